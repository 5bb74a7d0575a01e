"""Tables worked by hand, and laws: less of anything never takes more."""

from dataclasses import replace

import pytest

from prefloop.costs.estimate import HEAP, LEFT, Estimate, Moment, Needs, Role, in_three_lines, size, span, table
from prefloop.costs.reading import Lengths, Model
from prefloop.models.memory import Anatomy, Way

SMALL = Anatomy(
    layers=2,
    width=64,
    inner=128,
    heads=4,
    kv_heads=2,
    head_width=16,
    vocabulary=1000,
    embeddings=64_000,
    matrices=73_728,
    vectors=320,
    context=512,
)
"""64000 + 73728 + 320 = 138048 numbers; a layer's LoRA of rank 1 has 2(64+64) + 2(64+32) + 3(64+128) = 1024."""


@pytest.mark.parametrize(
    ("role", "weights", "gradients", "optimiser"),
    [
        (Role("m", SMALL, trained=True), 4 * 138_048, 4 * 138_048, 8 * 138_048),
        # matrices in bfloat16: 2 bytes less for weight and gradient, 2 more beside the means for what they lack
        (
            Role("m", SMALL, trained=True, form="bfloat16"),
            4 * 138_048 - 2 * 73_728,
            4 * 138_048 - 2 * 73_728,
            8 * 138_048 + 2 * 73_728,
        ),
        (Role("m", SMALL, form="int8"), 4 * 138_048 - 3 * 73_728, 0, 0),
        (Role("m", SMALL, rank=8, form="bfloat16"), 4 * 138_048 - 2 * 73_728 + 4 * 16_384, 4 * 16_384, 8 * 16_384),
        (Role("m", SMALL, rank=8, shares="policy"), 4 * 16_384, 4 * 16_384, 8 * 16_384),
        (Role("m", SMALL, shares="policy"), 0, 0, 0),
    ],
)
def test_a_role_by_hand(role: Role, weights: float, gradients: float, optimiser: float):
    assert (role.weights, role.gradients, role.optimiser) == (weights, gradients, optimiser)


def test_a_peak_by_hand():
    """
    policy 400 weights, 400 gradients, 800 optimiser; reference 400; around 100
    update   100 + 800 + 800 + 400 + 1000 (HEAP + 1)       sampling  100 + 800 + 800 + (50 + 60) (HEAP + 1)
    loading  100 + 800 + 300, no heap, before there is an optimiser
    """
    hundred = replace(SMALL, embeddings=0, matrices=100, vectors=0)
    roles = (Role("policy", hundred, trained=True), Role("reference", hundred))
    update = Moment("update", "policy", 900, beside=100, beside_role="critic", gradients=1.0)
    sampling = Moment("sampling", "policy", 50, cache=60)
    loading = Moment("loading", "policy", 300, optimiser=False, heap=1.0)
    peaks = [Estimate(Needs("ppo", roles, (moment,)), 100).peak for moment in (update, sampling, loading)]
    assert peaks == pytest.approx([3100 + 1000 * HEAP, 1810 + 110 * HEAP, 1200])
    whole = Estimate(Needs("ppo", roles, (loading, sampling, update)), 100)
    assert (whole.peak, whole.at) == (peaks[0], "update")
    large = replace(update, activations=1e9, beside=0)  # of much that passes, holes are closed on the way
    assert Estimate(Needs("ppo", roles, (large,)), 100).peak == pytest.approx(2100 + 1e9 * HEAP + LEFT)
    one_batch = Estimate(Needs("ppo", roles, (replace(update, activations=10, beside=0, gradients=0.0),)), 100)
    assert one_batch.peak == pytest.approx(1710 + 10 * HEAP)
    gradients_last = replace(update, activations=10, beside=0, gradients=0.1)
    assert Estimate(Needs("ppo", roles, (gradients_last,)), 100).peak == pytest.approx(2100)
    on_an_accelerator = Estimate(Needs("ppo", roles, (update,), device="cuda"), 0)
    assert on_an_accelerator.peak == 3000


def test_what_is_printed():
    roles = (Role("policy", SMALL, rank=8, form="bfloat16"), Role("reference", SMALL, shares="policy"))
    needs = Needs("ppo", roles, (Moment("update", "policy", 5e8), Moment("sampling", "policy", 1e6, cache=7e7)))
    estimate = Estimate(needs, 4e8)
    lines = table(estimate)
    assert lines[0].split() == ["weights", "gradients", "optimiser", "activations", "cache"]
    assert [line.split()[0] for line in lines[1:3]] == ["policy", "reference"]
    assert lines[1].endswith("500 MB  70 MB")
    assert lines[2].endswith("on the policy's base")
    three = in_three_lines(estimate, 2e9)
    assert len(three) == 3
    assert three[0].endswith("optimiser 131 kB for 16.4 thousand trained weights")
    assert f"peak {size(estimate.peak)} expected (update), 2.00 GB there" in three[2]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "0.5 s"), (42, "42 s"), (600, "10 min"), (7200, "2.0 h"), (500_000, "5.8 days")]
)
def test_a_span(seconds: float, words: str):
    assert span(seconds) == words


MODEL = Model(Role("policy", SMALL, trained=True), Way(longest=100))
ROWS = Lengths(50, mean=80, longest=100, responses=40)


def test_more_takes_more():
    few, many = (MODEL.update(tokens, tokens / 2).activations for tokens in (500, 1000))
    assert few < many <= 2 * few
    assert MODEL.reading("r", 1000, 500).activations < MODEL.update(1000, 500).activations
    long, short = (MODEL.sampling("s", 16, ROWS, new).cache for new in (64, 16))
    assert long / short == (100 + 64) / (100 + 16)
    assert MODEL.sampling("s", 1000, ROWS, 64).cache == MODEL.sampling("s", 64, ROWS, 64).cache  # 64 at once on a CPU
    each = 2 * 2 * 32 * 4  # bytes of a token: layers, keys and values, width, float32
    assert MODEL.sampling("s", 64, ROWS, 64, cache_tokens=1000).cache == 1000 * each  # the others wait
    assert MODEL.sampling("s", 64, ROWS, 64, cache_tokens=10).cache == (100 + 64) * each  # one is always there
    few = {form: _sampled_in_half(form) for form in ("float32", "bfloat16", "int8")}
    assert few["float32"] == few["bfloat16"] == few["int8"] + 2 * 73_728 + 4 * 64_000  # laid out anew for sampling
    adapted = Model(Role("policy", SMALL, rank=8), replace(MODEL.way, adapter=True, rank=8))
    assert adapted.update(1000, 500).activations < many
    again = replace(MODEL, way=replace(MODEL.way, recompute=True))
    assert again.update(1000, 500).activations < many


def _sampled_in_half(form: str) -> float:
    return Model(Role("policy", SMALL, form=form), Way(half=True)).sampling("s", 4, ROWS, 16).activations


def test_arithmetic_by_hand():
    """
    a token forward: 2 x 73728 for the matrices, 2 x 2 layers x 64 x 100 for attention (scores and values, half hidden)
    an update is three times that, two where weights are frozen, one more where layers are computed again
    """
    each = 2 * 73_728 + 2 * 2 * 64 * 100
    forward = MODEL.forward("f", 10, 4)
    assert (forward.flops, forward.flops_full) == (10 * each, 4 * 2 * 1000 * 64)
    assert MODEL.learning("l", 10, 4).flops == 3 * 10 * each
    adapted = Model(Role("policy", SMALL, rank=8), MODEL.way)
    assert adapted.learning("l", 10, 4).flops == 2 * 10 * each
    assert replace(adapted, way=replace(MODEL.way, recompute=True)).learning("l", 10, 4).flops == 3 * 10 * each
    written = MODEL.writing("w", rows=8, together=8, prompt=ROWS, new=16, copies=4)
    assert written.flops == pytest.approx((2 * 80 + 8 * 16) * each)
    assert written.calls == 16 * 2
