"""Policy, reference, critic and reward model on one base: each says what it says as a model of its own, also in turn.

One base is in memory; their gradients are those of separate models, and so is a whole step of PPO.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from adapting import moved
from prefloop.align import ppo
from prefloop.errors import UserError
from prefloop.models import load
from prefloop.models.device import Placement
from prefloop.models.load import causal, reader, save, scalar
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream, Stream
from prefloop.settings import Adapted, Lora

CPU = Placement(torch.device("cpu"))
PROMPTS, RESPONSES = [[5, 9, 7], [8]], [[30, 2, 11, 1], [12, 1]]
SEQUENCES = [[*p, *r] for p, r in zip(PROMPTS, RESPONSES, strict=True)]
LORA = Adapted(adapter="lora", lora=Lora(rank=4, alpha=8))
Folders = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def folders(bases: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Of each family: a base, an adapter that writes and one that scores, both on that base."""
    made: Folders = {}
    for family, base in bases.items():
        place = tmp_path_factory.mktemp("roles")
        made[family] = {"base": base, "sft": str(place / "sft"), "reward": str(place / "reward")}
        policy = causal(base, CPU)
        policy.train_as(LORA, seed=0)
        save(place / "sft", moved(policy, 1))
        judge = scalar(made[family]["sft"], CPU, fresh_head=True)
        judge.train_as(Adapted(), seed=0)
        save(place / "reward", moved(judge, 2), beside={"prefloop_scores.json": {"mean": 0.5, "std": 2.0}})
    return made


def said(roles: dict[str, Network]) -> dict[str, Tensor]:
    """What each says, in turn."""
    packed = ResponseStream.of(PROMPTS, RESPONSES, CPU.device)
    found: dict[str, Tensor] = {}
    for turn in range(2):
        now = roles["policy"].read(packed, temperature=1.0)
        assert now.values is not None
        found |= {f"logprobs {turn}": now.logprobs, f"values {turn}": now.values}
        with torch.no_grad():
            found[f"reference {turn}"] = roles["reference"].logprobs(packed, temperature=1.0)
            found[f"scores {turn}"] = roles["reward"].scores(SEQUENCES)
    return found


def gradients(policy: Network) -> dict[str, Tensor]:
    """Of the policy's adapter, the critic's adapter and its head."""
    assert policy.role is not None
    assert policy.critic is not None
    assert policy.critic.role is not None
    parts: dict[str, Any] = {f"policy {n}": p for n, p in policy.role.tensors.items()}
    parts |= {f"critic {n}": p for n, p in policy.critic.role.tensors.items()}
    parts |= {f"head {n}": p for n, p in policy.critic.head.named_parameters()}
    assert all(part.grad is not None for part in parts.values())
    return {name: part.grad.clone() for name, part in parts.items()}


@pytest.mark.parametrize("family", ["Llama", "GPT-2"])
def test_roles_on_one_base_are_separate_models(folders: Folders, family: str):
    where = folders[family]
    apart = {
        "policy": causal(where["sft"], CPU),
        "reference": causal(where["sft"], CPU),
        "reward": scalar(where["reward"], CPU),
    }
    apart["policy"].train_as(Adapted(), seed=0)
    judge = reader(where["reward"], CPU)
    judge.train_as(Adapted(), seed=0)
    apart["policy"].with_critic(judge)
    policy = causal(where["sft"], CPU)
    policy.train_as(Adapted(), seed=0)
    shared = {
        "policy": policy,
        "reference": policy.frozen_copy(),
        "reward": scalar(where["reward"], CPU, beside=policy).freeze(),
    }
    policy.with_critic(reader(where["reward"], CPU, beside=policy))
    with torch.no_grad():
        for roles in (apart, shared):
            assert roles["policy"].critic is not None
            torch.nn.init.normal_(roles["policy"].critic.head.weight, generator=torch.Generator().manual_seed(5))

    trunks = {id(role.pretrained.base_model) for role in shared.values()}
    assert len(trunks) == 1
    outcomes = [said(roles) for roles in (apart, shared)]
    for name, value in outcomes[0].items():
        assert torch.allclose(outcomes[1][name], value, atol=1e-5), name
    for roles, found in zip((apart, shared), outcomes, strict=True):
        (found["logprobs 0"].sum() + found["values 0"].square().sum() + found["logprobs 1"].square().sum()).backward()
        assert all(p.grad is None for name, p in roles["policy"].named_parameters() if not p.requires_grad), name
    both = [gradients(roles["policy"]) for roles in (apart, shared)]
    for name, value in both[0].items():
        assert torch.allclose(both[1][name], value, atol=1e-5, rtol=1e-5), name
    trained = {n for n, p in policy.named_parameters() if p.requires_grad}
    assert policy.role is not None
    assert trained == policy.trained().keys()
    assert all("lora_" in name or name.startswith("critic.head.") for name in trained)
    assert len(trained) == 2 * len(policy.role.tensors) + 2


@pytest.mark.parametrize(("family", "kind"), [("Llama", "reward"), ("GPT-2", "separate"), ("Llama", "shared")])
def test_a_step_of_ppo_is_that_of_separate_models(
    folders: Folders,
    family: str,
    kind: str,
    make_config: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    read_lines: Callable[[Path], list[dict[str, Any]]],
):
    where = folders[family]
    settings = {"policy": where["sft"], "reward": where["reward"], "critic": where.get(kind, kind), "steps": 2}
    settings |= {"epochs": 2, "minibatch_size": 4, "max_new_tokens": 6}
    one = ppo.train(make_config(**settings))
    monkeypatch.setattr(load._Source, "in_memory", lambda *_: None)
    monkeypatch.setattr(Network, "frozen_copy", lambda self: causal(self.path, CPU))
    if kind == "separate":
        real = Network.with_critic
        monkeypatch.setattr(Network, "with_critic", lambda self, separate: real(self, trained(causal(self.path, CPU))))
    many = ppo.train(make_config(**settings))
    rows = [read_lines(folder.parent.parent / "metrics.jsonl") for folder in (one, many)]
    assert len(rows[0]) == 2
    for first, second in zip(*rows, strict=True):
        assert first == pytest.approx(second, abs=1e-5, rel=1e-5)
        assert first["ratio/first_error"] == 0
    networks = [causal(str(folder), CPU) for folder in (one, many)]
    for first, second in zip(*(n.role.tensors.items() for n in networks if n.role is not None), strict=True):
        assert torch.allclose(first[1], second[1], atol=1e-5), first[0]
    assert json.loads((one / "adapter_config.json").read_text())["base_model_name_or_path"] == where["base"]


@pytest.mark.parametrize(("policy", "critic"), [("base", "reward"), ("sft", "whole"), ("sft", "base")])
def test_a_critic_of_ones_own_is_trained_as_the_policy_is(
    folders: Folders,
    policy: str,
    critic: str,
    make_config: Callable[..., Any],
    watch: Callable[..., Any],
    tmp_path: Path,
):
    """All weights, its adapter merged; or a new adapter on a base of its own, or on the policy's. It begins with what
    its folder says."""
    where = folders["Llama"] | {"whole": str(tmp_path / "whole")}
    save(tmp_path / "whole", scalar(where["reward"], CPU).merged())
    seen = watch()
    ppo.train(make_config(policy=where[policy], critic=where[critic], lr=1e-9))
    network = seen.setups[0].policy
    made = network.critic
    stream = Stream.of(SEQUENCES, CPU.device)
    with torch.no_grad(), made.wearing():
        states = network._states(made.trunk or network.pretrained.base_model, stream)
        assert torch.allclose(states, reader(where[critic], CPU).hidden_states(stream), atol=1e-5)
    assert (made.role is None) == (policy == "base")
    assert (made.trunk is None) == (critic == "base")
    learning = {name for name, weight in network.named_parameters() if weight.requires_grad}
    own = {name for name in learning if name.startswith("critic.trunk.") or ".critic" in name or ".policy." in name}
    assert own
    assert all((".lora_" in name) == (policy == "sft") for name in own)


def test_layers_computed_again_wear_what_they_wore(folders: Folders):
    """Policy and critic on one trunk, and nothing worn when the backward pass comes."""
    found = []
    for again in (False, True):
        policy = trained(causal(folders["GPT-2"]["sft"], CPU))
        policy.with_critic(reader(folders["GPT-2"]["reward"], CPU, beside=policy))
        policy.recompute = again
        assert policy.critic is not None
        torch.nn.init.ones_(policy.critic.head.weight)
        now = policy.read(ResponseStream.of(PROMPTS, RESPONSES, CPU.device), temperature=1.0)
        assert now.values is not None
        (now.logprobs.sum() + now.values.square().sum()).backward()
        found.append(gradients(policy))
    for name, value in found[0].items():
        assert torch.allclose(found[1][name], value, atol=1e-6), name


@pytest.mark.parametrize("weights", ["int8", "nf4", "bfloat16"])
def test_a_base_that_is_held_small_is_shared_too(folders: Folders, weights: str, tmp_path: Path):
    where = folders["Llama"]
    policy = causal(where["sft"], CPU, weights=weights)
    policy.hold(weights)
    apart = scalar(where["reward"], CPU)
    changed = apart.hold(weights)
    shared = scalar(where["reward"], CPU, beside=policy, weights=weights)
    assert shared.pretrained.base_model is policy.pretrained.base_model
    with torch.no_grad():
        assert torch.allclose(shared.scores(SEQUENCES), apart.scores(SEQUENCES), atol=1e-5)
    if weights != "bfloat16":
        judge = scalar(where["base"], CPU, fresh_head=True)
        judge.train_as(Adapted(adapter="lora", lora=Lora(rank=4, dora=True)), seed=0)
        save(tmp_path / "dora", judge)
        with pytest.raises(UserError, match=r"\(DoRA\) measures its base's matrices .* quantised here"):
            scalar(str(tmp_path / "dora"), CPU, beside=policy)
    assert shared.hold(weights) == changed  # and not that nothing changed because all is held already
    late = causal(where["sft"], CPU)
    late.hold(weights)
    said = " ".join(scalar(where["reward"], CPU, beside=late).hold(weights))
    assert ("what that changes in its scores is unknown" in said) == (weights != "bfloat16")
    base = causal(where["base"], CPU, beside=policy)
    assert base.pretrained is policy.pretrained
    untouched = causal(where["base"], CPU)
    untouched.hold(weights)
    packed = ResponseStream.of(PROMPTS, RESPONSES, CPU.device)
    with torch.no_grad():
        assert torch.equal(base.logprobs(packed, temperature=1.0), untouched.logprobs(packed, temperature=1.0))


def test_an_adapter_that_is_released_leaves_the_others_as_they_were(folders: Folders):
    where = folders["Llama"]
    reference = causal(where["sft"], CPU)
    packed = ResponseStream.of(PROMPTS, RESPONSES, CPU.device)
    with torch.no_grad():
        before = reference.logprobs(packed, temperature=1.0)
        for _ in range(2):
            judge = scalar(where["reward"], CPU, beside=reference)
            assert torch.equal(reference.logprobs(packed, temperature=1.0), before)
            judge.scores(SEQUENCES)
            judge.release()
            assert sum(1 for name, _ in reference.named_parameters() if "lora_A" in name) == 14
        assert torch.equal(reference.logprobs(packed, temperature=1.0), before)


def trained(network: Network) -> Network:
    """With gradients in its adapter."""
    network.train_as(Adapted(), seed=0)
    return network
