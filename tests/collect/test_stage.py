"""Collecting: different responses, judgements kept raw, and a held-out share that training never sees."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefloop.collect import stage
from prefloop.collect.config import CollectConfig
from prefloop.collect.older import writers
from prefloop.collect.stage import collect
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.tables import read_records, write_records
from prefloop.models.load import save_model
from prefloop.records import Comparison, Judgement, Message, Preference, Prompt, Ranking
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled
from prefloop.seeds import is_held_out
from prefloop.world.annotators import PanelConfig
from prefloop.world.grammar import prompts


@pytest.fixture
def make_config(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., CollectConfig]:
    prompts = [
        {"id": f"p{i}", "messages": [{"role": "user", "content": f"where is {i}?"}], "tags": ["topic:x"]}
        for i in range(40)
    ]
    path = write_rows("prompts.jsonl", prompts)

    def make(name: str = "collect", **settings: Any) -> CollectConfig:
        values: dict[str, Any] = {
            "out": str(tmp_path / name),
            "model": folder,
            "prompts": path,
            "max_new_tokens": 6,
            "batch_prompts": 16,
            "held_out": 0.3,
            "ranking_share": 0.3,
            "overlap_share": 0.5,
            "annotators": PanelConfig(count=4),
            "threads": 1,
            "dtype": "float32",
        }
        return CollectConfig(**{**values, **settings})

    return make


@pytest.fixture(autouse=True)
def short_prompts(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The helpdesk's own prompts do not fit this model's 64 tokens: here all are let through."""
    if "foreign" not in request.node.name:
        monkeypatch.setattr(stage, "own", lambda *args, **kwargs: None)


@pytest.fixture(scope="module")
def words() -> tuple[str, ...]:
    """Texts that annotators feel differently about."""
    return (
        "i am sorry about that, i will refund order 12.",
        "no.",
        "your parcel is on its way.",
        "what?",
        "please wait a day for it",
        "thanks for writing",
    )


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int, int], str]], list[int]]:
    """Replaces the model by a function from (attempt, number of the draw) to a text. Returns: how many prompts each
    attempt had."""

    def replace(text: Callable[[int, int], str]) -> list[int]:
        attempts: list[int] = []

        class Speaker(InProcess):
            def sample(self, prompts: Any, sampling: Any, place: int, *, copies: int = 1) -> list[Sampled]:
                attempts.append(len(prompts))
                texts = [text(len(attempts) - 1, k) for _ in prompts for k in range(copies)]
                return [Sampled(tuple(self.policy.codec.response_ids(t)), True) for t in texts]

        monkeypatch.setattr(stage, "InProcess", Speaker)
        return attempts

    return replace


def test_what_is_written_fits_together(make_config: Callable[..., CollectConfig], says: Any, words: tuple[str, ...]):
    """Every judgement of a comparison that is there; preferences of either side of the split, never of both."""
    says(lambda attempt, k: words[k])
    folder = collect(make_config())
    comparisons = read_records(folder / "comparisons.jsonl", Comparison)
    judgements = read_records(folder / "judgements.jsonl", Judgement)
    training, held_out = (read_records(folder / name, Preference) for name in ("preferences.jsonl", "held_out.jsonl"))
    rankings = read_records(folder / "rankings.jsonl", Ranking)
    by_id = {c.id: c for c in comparisons}
    assert len(comparisons) == 40
    assert {c.tags for c in comparisons} == {("topic:x",)}
    sides = [{by_id[p.comparison].prompt_id for p in side} for side in (training, held_out)]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]
    assert not {r.comparison for r in rankings} & {p.comparison for p in held_out}
    for p in (*training, *held_out):
        responses = by_id[p.comparison].responses
        assert p.chosen_index is not None
        assert p.rejected_index is not None
        assert (responses[p.chosen_index].text, responses[p.rejected_index].text) == (p.chosen, p.rejected)
    assert all(j.seconds > 0 and j.annotator_kind == "simulated" and j.annotator.startswith("sim-") for j in judgements)
    pairs = [j for j in judgements if j.kind == "pair"]
    assert {tuple(sorted(j.order)) != j.order for j in pairs} == {True, False}  # shown both ways round
    assert all((j.strength is not None) == (j.choice in ("left", "right")) for j in pairs)
    assert {j.kind for j in judgements} == {"pair", "ranking"}


def test_near_duplicates_and_silence_are_drawn_again(
    make_config: Callable[..., CollectConfig], says: Any, words: tuple[str, ...], read_lines: Any
):
    """First draw: two alike and one empty. Second: one new. Third: another. After that nothing is missing."""
    first = (words[0], words[0].upper(), " ", words[1])
    attempts = says(
        lambda attempt, k: (first, (words[1], words[2], words[2], words[0]), (words[3],) * 4)[attempt % 3][k]
    )
    folder = collect(make_config(batch_prompts=40, resample=2))
    assert attempts == [40, 40, 40]
    for c in read_records(folder / "comparisons.jsonl", Comparison):
        assert [r.text for r in c.responses] == [words[0], words[1], words[2], words[3]]
    import json

    result = json.loads((folder / "finished.json").read_text())["result"]
    assert (result["num_resampled"], result["num_missing"], result["num_left_out"]) == (80, 0, 0)


def test_a_prompt_with_one_answer_only_is_left_out(make_config: Callable[..., CollectConfig], says: Any):
    says(lambda attempt, k: "always the same")
    with pytest.raises(UserError, match="0 comparisons gave no preference"):
        collect(make_config())


def test_the_same_prompt_under_another_name_is_on_the_same_side(
    make_config: Callable[..., CollectConfig], says: Any, words: tuple[str, ...], write_rows: Any
):
    """Files of prompts repeat themselves; a prompt held out must not be trained on under another id."""
    says(lambda attempt, k: words[k])
    rows = [{"id": f"p{i}", "messages": [{"role": "user", "content": f"where is {i // 2}?"}]} for i in range(60)]
    folder = collect(make_config(prompts=write_rows("twice.jsonl", rows)))
    sides = [
        {p.messages[-1].content for p in read_records(folder / name, Preference)}
        for name in ("preferences.jsonl", "held_out.jsonl")
    ]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_the_seed_decides(make_config: Callable[..., CollectConfig]):
    files = ("comparisons.jsonl", "judgements.jsonl", "preferences.jsonl", "held_out.jsonl")
    one, two, three = (collect(make_config(name, seed=seed)) for name, seed in (("one", 0), ("two", 0), ("three", 1)))
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)
    assert (one / files[0]).read_bytes() != (three / files[0]).read_bytes()


@pytest.mark.parametrize("text", ["p{}", "where is {}?", "order {} has not come, and i am angry about it"])
def test_the_held_out_share(text: str):
    """However alike the prompts are: the share asked for, evenly among the first and the last, and another for each
    seed."""
    flags = [is_held_out(text.format(i), 0.3, 7) for i in range(2000)]
    for part in (flags[:500], flags[500:1000], flags[1000:]):
        assert sum(part) / len(part) == pytest.approx(0.3, abs=0.07)
    assert not any(is_held_out(text.format(i), 0.0, 7) for i in range(100))
    other = [is_held_out(text.format(i), 0.3, 8) for i in range(2000)]
    assert sum(a and b for a, b in zip(flags, other, strict=True)) / 2000 == pytest.approx(0.09, abs=0.03)


def test_prompts_without_room_are_refused(make_config: Callable[..., CollectConfig]):
    with pytest.raises(UserError, match=r"no prompt leaves room for max_new_tokens = 64 in the context of 64"):
        collect(make_config(max_new_tokens=64))


@pytest.mark.parametrize("place", [0, 30])
def test_simulated_annotators_refuse_foreign_prompts(
    make_config: Callable[..., CollectConfig], tmp_path: Path, place: int
):
    """One prompt of one's own among the helpdesk's, wherever it stands; before it is reached nothing is refused."""
    made = prompts("train", 31)
    made[place] = made[place].model_copy(update={"id": "mine", "messages": (Message(role="user", content="Hi?"),)})
    write_records(tmp_path / "mixed.jsonl", made)
    config = make_config(prompts=str(tmp_path / "mixed.jsonl"), max_new_tokens=64)
    says = r"mixed.jsonl: 1 of its 31 prompts .* 'mine' .*by=simulated knows the helpdesk.*by=people"
    with pytest.raises(UserError, match=says):
        collect(config)
    assert not list((tmp_path / "collect").glob("*.jsonl"))
    if place:
        with pytest.raises(UserError, match="no prompt leaves room"):
            collect(config.model_copy(update={"num_prompts": 30}))


LONGER = """
def score(prompts, responses):
    return [float(len(r)) for r in responses]
"""


def judged(make_config: Callable[..., CollectConfig], folder: Path, name: str, **settings: Any) -> Path:
    """A run whose judge prefers the longer response."""
    file = folder / "longer.py"
    file.write_text(LONGER, encoding="utf-8")
    return collect(make_config(name, by=f"python:{file}:score", **settings))


def test_a_function_judges_by_its_numbers(
    make_config: Callable[..., CollectConfig], says: Any, words: tuple[str, ...], tmp_path: Path
):
    """Of every pair the longer response is chosen; nobody is called a person; both sides are shown first."""
    says(lambda attempt, k: words[k])
    folder = judged(make_config, tmp_path, "collect", pairs_per_prompt=6)
    comparisons = {c.id: c for c in read_records(folder / "comparisons.jsonl", Comparison)}
    judgements = read_records(folder / "judgements.jsonl", Judgement)
    assert {(j.annotator, j.annotator_kind) for j in judgements} == {("python:longer.py:score", "model")}
    assert len({j.id for j in judgements}) == len(judgements) == 6 * len(comparisons)
    assert {j.order[0] < j.order[1] for j in judgements} == {True, False}
    for j in judgements:
        left, right = (len(comparisons[j.comparison].responses[i].text) for i in j.order)
        assert j.choice == ("left" if left > right else "right" if right > left else "tie")
    for p in read_records(folder / "preferences.jsonl", Preference):
        assert len(p.chosen) > len(p.rejected)


def test_numbers_within_the_margin_are_a_tie(
    make_config: Callable[..., CollectConfig], says: Any, words: tuple[str, ...], tmp_path: Path
):
    says(lambda attempt, k: words[k])
    folder = judged(make_config, tmp_path, "collect", pairs_per_prompt=6, margin=20)
    comparisons = {c.id: c for c in read_records(folder / "comparisons.jsonl", Comparison)}
    for j in read_records(folder / "judgements.jsonl", Judgement):
        left, right = (len(comparisons[j.comparison].responses[i].text) for i in j.order)
        assert (j.choice == "tie") == (abs(left - right) <= 20)
    undecided = read_records(folder / "undecided.jsonl", Preference)
    assert undecided
    assert all(vote.side == "tie" for p in undecided for vote in p.votes)


def test_another_function_is_another_run(
    make_config: Callable[..., CollectConfig], says: Any, words: tuple[str, ...], tmp_path: Path
):
    """The judge's file is an input like any other: changed after the run, the folder is no longer of this run."""
    says(lambda attempt, k: words[k])
    judged(make_config, tmp_path, "collect")
    (tmp_path / "longer.py").write_text(LONGER.replace("float(len(r))", "-float(len(r))"), encoding="utf-8")
    with pytest.raises(UserError, match="by"):
        collect(make_config("collect", by=f"python:{tmp_path / 'longer.py'}:score"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"by": "peple"}, "nobody is called that"),
        ({"by": "people", "margin": 1.0}, "margin is for a function"),
        ({"by": "python:nowhere.py:score"}, "no such file"),
        ({"by": "python:nowhere"}, r"write python:FILE.py:FUNCTION"),
    ],
)
def test_a_judge_that_cannot_be(make_config: Callable[..., CollectConfig], settings: dict[str, Any], says: str):
    with pytest.raises((UserError, ValueError), match=says):
        collect(make_config(**settings))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory, new_llama: Callable[..., Any], codec: Any) -> tuple[str, ...]:
    """Two older policies."""
    made: list[str] = []
    for seed in (2, 3):
        path = tmp_path_factory.mktemp("older") / "model"
        save_model(path, new_llama(seed), codec)
        made.append(str(path))
    return tuple(made)


def test_older_policies_write_their_share(
    make_config: Callable[..., CollectConfig], folder: str, others: tuple[str, ...]
):
    """5 responses, 30 % of them: 1 or 2 of each prompt, 1.5 on average, of either policy as many."""
    config = make_config(responses_per_prompt=5, older=others, older_share=0.3, near_duplicate=1.0)
    rows = read_records(collect(config) / "comparisons.jsonl", Comparison)
    names = [fingerprints.of_path(path) for path in (folder, *others)]
    wrote = [[names.index(r.sampler) for r in row.responses] for row in rows if len(row.responses) == 5]
    assert len(wrote) > 30
    assert {sum(who > 0 for who in one) for one in wrote} == {1, 2}
    mean = sum(who > 0 for one in wrote for who in one) / len(wrote)
    assert mean == pytest.approx(1.5, abs=4 * 0.5 / len(wrote) ** 0.5)
    counts = Counter(who for one in wrote for who in one)
    assert counts[1] + counts[2] == pytest.approx(2 * counts[1], abs=4 * (counts[1] + counts[2]) ** 0.5)
    firsts = Counter(one[0] > 0 for one in wrote)  # the place says nothing of who wrote it
    assert 0 < firsts[True] < len(wrote) / 2


def test_every_response_is_what_its_sampler_writes(
    make_config: Callable[..., CollectConfig], folder: str, others: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    """Each policy says its own word, and draws no number twice."""
    places: list[int] = []

    class Speaker(InProcess):
        def sample(self, prompts: Any, sampling: Any, place: int, *, copies: int = 1) -> list[Sampled]:
            places.append(place)
            who = (folder, *others).index(self.policy.path)
            texts = [f"{'abc'[who]} {n} {place} where" for n in range(len(prompts) * copies)]
            return [Sampled(tuple(self.policy.codec.response_ids(text)), True) for text in texts]

    monkeypatch.setattr(stage, "InProcess", Speaker)
    rows = read_records(collect(make_config(older=others, older_share=0.5)) / "comparisons.jsonl", Comparison)
    names = {fingerprints.of_path(path): letter for path, letter in zip((folder, *others), "abc", strict=True)}
    assert all(r.text[0] == names[r.sampler] for row in rows for r in row.responses)
    assert {r.text[0] for row in rows for r in row.responses} == {"a", "b", "c"}
    assert len(set(places)) == len(places)


def test_who_writes_what_depends_on_seed_and_prompt_alone(make_config: Callable[..., CollectConfig]):
    config = make_config(older=("x", "y"), older_share=0.4)
    prompts = [Prompt(id=f"p{i}", messages=(Message(role="user", content="a"),)) for i in range(200)]
    plans = [writers(config, prompt) for prompt in prompts]
    assert [writers(config, prompt) for prompt in reversed(prompts)] == plans[::-1]
    assert [writers(config.model_copy(update={"seed": 1}), prompt) for prompt in prompts] != plans
    assert sum(who > 0 for plan in plans for who in plan) / 800 == pytest.approx(0.4, abs=4 * (0.24 / 200) ** 0.5 / 4)
    every = make_config(older=("x",), older_share=1.0)
    assert {writers(every, prompt) for prompt in prompts} == {(1, 1, 1, 1)}
    assert {writers(make_config(), prompt) for prompt in prompts} == {(0, 0, 0, 0)}


def test_a_share_of_nobody_and_somebody_without_one_are_refused(make_config: Callable[..., CollectConfig]):
    given = {"model": "m", "prompts": "p", "out": "o"}
    with pytest.raises(UserError, match="older names none"):
        CollectConfig.parse({**given, "older_share": 0.2}, where="here")
    with pytest.raises(UserError, match="older names policies that write nothing"):
        CollectConfig.parse({**given, "older": ["a"]}, where="here")


def test_an_older_policy_of_a_shorter_context_is_refused_before_anything_is_written(
    make_config: Callable[..., CollectConfig], new_llama: Callable[..., Any], codec: Any, tmp_path: Path
):
    model = new_llama(2)
    model.config.max_position_embeddings = 16
    save_model(tmp_path / "short", model, replace(codec, context=16))
    config = make_config(older=(str(tmp_path / "short"),), older_share=0.5, max_new_tokens=10)
    with pytest.raises(UserError, match=r"older=.*short: \d+ of 40 prompts leave no room for max_new_tokens = 10"):
        collect(config)
    assert not (Path(config.out) / "parts").exists()


def test_with_older_policies_it_goes_on_where_it_stopped(
    make_config: Callable[..., CollectConfig], others: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    whole = make_config("whole", older=others, older_share=0.3)
    killed = make_config("killed", older=others, older_share=0.3)
    collect(whole)
    real = stage._comparisons  # pyright: ignore[reportPrivateUsage]

    def dies(prompts: Any, policies: Any, config: Any, samplers: Any, index: int, facts: Any) -> Any:
        if index == 1:
            raise RuntimeError("killed")
        return real(prompts, policies, config, samplers, index, facts)

    monkeypatch.setattr(stage, "_comparisons", dies)
    with pytest.raises(RuntimeError, match="killed"):
        collect(killed)
    monkeypatch.setattr(stage, "_comparisons", real)
    for name in ("comparisons.jsonl", "preferences.jsonl"):
        assert (collect(killed) / name).read_bytes() == (Path(whole.out) / name).read_bytes()
