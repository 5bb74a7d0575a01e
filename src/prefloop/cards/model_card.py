"""The model card: what a model is, where it came from, what it learned from, how good it is, and what it is bad at."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from prefloop import layout
from prefloop.cards.config import CardsConfig
from prefloop.cards.data_card import counted, found, personal
from prefloop.cards.facts import Facts
from prefloop.cards.markdown import cell, front, section, table
from prefloop.cards.words import label
from prefloop.drawing.numerals import Kind, in_words, written
from prefloop.health.words import label as of_health
from prefloop.health.words import verdict
from prefloop.records.cards import Card
from prefloop.records.evaluations import Evaluation, GoldNumbers, Split, mean
from prefloop.records.probes import blind_to, shortcuts

ROWS: tuple[tuple[str, Kind], ...] = (
    ("win_rate", "share"), ("utility", "plain"), ("satisfied", "share"), ("harmful", "share"),
    ("over_refusal", "share"), ("score", "plain"), ("kl_nats", "nats"), ("perplexity", "plain"),
    ("length", "tokens"), ("finished", "share"), ("distinct_2", "share"), ("repetition", "share"),
)  # fmt: skip
"""Numbers of an evaluation that are shown, and how each is written."""
WORSE_IF_MORE = ("harmful", "over_refusal")
WEAKEST = 3
"""Slices that are named as the weakest."""
ENOUGH = 10
"""Prompts that a slice must have to be named."""


def model_card(config: CardsConfig, facts: Facts, language: str) -> str:
    """The whole card."""
    t = partial(label, language=language)
    made = facts.made[0].stage if facts.made else ""
    data = [f"demonstrations-{facts.demonstrations.fingerprint}"] if facts.demonstrations else []
    read = [(name, mark) for run in facts.made for name, path, mark in run.inputs if Path(path).suffix == ".jsonl"]
    data += [f"{name}-{mark}" for name, mark in dict.fromkeys(read) if not any(each.endswith(mark) for each in data)]
    head = {
        "license": config.licence or "unknown",
        "base_model": config.base or "",
        "datasets": data,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["prefloop", "rlhf", *([made] if made else [])],
    }
    lines = [*front(head), f"# {t('model', name=cell(facts.name))}", "", t("written"), ""]
    lines += section(t("is"), _is(config, facts, language))
    lines += section(t("lineage"), _lineage(facts, language))
    counts = counted(facts, language)
    card = layout.DATA_CARD if language == "en" else layout.DATA_CARD_ZH
    more = [*table(["", ""], counts), t("learned.more", file=card)] if counts else [t("unknown")]
    lines += section(t("learned"), more)
    lines += section(t("measured"), _measured(facts, language))
    lines += section(t("gate"), _gate(facts, language))
    lines += section(t("limits"), _limits(facts, language))
    lines += section(t("pii"), _personal(facts, language))
    return "\n".join([*lines, *section(t("licence"), [cell(config.licence) or t("unknown")])]).rstrip() + "\n"


def _is(config: CardsConfig, facts: Facts, language: str) -> list[str]:
    t = partial(label, language=language)
    key = "is.model" if facts.made else "is.unmade"
    lines = [t(key, stage=facts.made[0].stage if facts.made else "", fingerprint=facts.fingerprint), ""]
    shape = ", ".join(", ".join(v) if isinstance(v, list) else f"{key} {v}" for key, v in facts.architecture.items())
    lines.append(f"- {t('is.config')}: {cell(shape) or t('unknown')}")
    return [*lines, f"- {t('base')}: {cell(config.base or '') or t('unknown')}"]


def _lineage(facts: Facts, language: str) -> list[str]:
    t = partial(label, language=language)
    if not facts.made:
        return [t("unknown")]
    lines = [t("lineage.says"), ""]
    for run in facts.made:
        lines.append(f"- {t('lineage.run', stage=run.stage, seed=run.seed, versions=run.versions or t('unknown'))}")
        for name, path, mark in run.inputs:
            lines.append(f"  - {t('lineage.read', name=name, path=path, fingerprint=mark)}")
        if run.settings:
            told = ", ".join(f"`{name}={value}`" for name, value in run.settings.items())
            lines.append(f"  - {t('lineage.settings', settings=told)}")
    return lines


def _measured(facts: Facts, language: str) -> list[str]:
    """A table for each split on which it was measured."""
    t, evaluation = partial(label, language=language), facts.evaluation
    if evaluation is None or facts.evaluated is None:
        return [t("unmeasured")]
    lines: list[str] = []
    for split, this, before in _splits(evaluation, facts.evaluated):
        told = {"num": f"{this.num_prompts:,}", "split": t(f"split.{split}"), "reference": evaluation.reference}
        lines += [t("measured.says", judge=t(f"judge.{evaluation.judge}"), **told), ""]
        rows: list[list[str]] = []
        for name, kind in ROWS:
            mine, theirs = this.measured(name), before.measured(name) if before else None
            if mean(mine) is not None:
                other = in_words(theirs, kind) if mean(theirs) is not None else ""
                rows.append([t(f"row.{name}"), in_words(mine, kind), other])
        lines += table([t("number"), t("this"), evaluation.reference], rows)
    return lines


def _splits(evaluation: Evaluation, name: str) -> Sequence[tuple[str, Split, Split | None]]:
    """(split, this model's numbers, the reference's): on test prompts and others where it was measured there."""
    this, reference = evaluation.models[name], evaluation.models[evaluation.reference]
    both = (("test", this.test, reference.test), ("ood", this.ood, reference.ood))
    found = [(split, mine, theirs) for split, mine, theirs in both if mine is not None]
    return found or [("validation", this.validation, reference.validation)]


def _gate(facts: Facts, language: str) -> list[str]:
    t, gate = partial(label, language=language), facts.gate
    if gate is None:
        return [t("gate.none")]
    head = [t(f"gate.{column}") for column in ("condition", "state", "value", "limit", "sentence")]
    states = {"unmeasured": t("unknown"), **{name: t(name) for name in ("kept", "broken", "waiting")}}
    rows = [
        [one.name, states[one.state], written(one.value), written(one.limit), one.sentence] for one in gate.conditions
    ]
    return [f"{t(f'gate.{gate.verdict}')} {cell(gate.sentence)}", "", *(table(head, rows) if rows else [])]


def _limits(facts: Facts, language: str) -> list[str]:
    """What is known to be bad, each as a line of a list."""
    t, evaluation = partial(label, language=language), facts.evaluation
    lines: list[str] = []
    if evaluation is not None and facts.evaluated is not None:
        for split, this, before in _splits(evaluation, facts.evaluated):
            for name in WORSE_IF_MORE:
                value, old = this.measured(name), before.measured(name) if before else None
                if mean(value) is not None:
                    told = {"what": t(f"row.{name}"), "on": t(f"split.{split}"), "before": in_words(old, "share")}
                    lines.append(t("limits.rise", value=in_words(value, "share"), **told))
        _, this, before = _splits(evaluation, facts.evaluated)[0]
        lines += _slices(this.gold, before.gold if before else None, language)
    if facts.collected is not None:
        kinds = {one.kind for one in facts.collected.annotators}
        every = sum(one.judgements for one in facts.collected.annotators)
        machines = sum(one.judgements for one in facts.collected.annotators if one.kind != "person")
        if kinds == {"simulated"}:
            lines.append(t("limits.simulated"))
        elif machines:
            lines.append(t("limits.machines", share=written(machines / every, "share")))
    reward = _reward(facts.reward, language) if facts.reward is not None else [t("limits.no_reward")]
    return [f"- {line}" for line in [*lines, *reward]]


def _slices(this: GoldNumbers | None, before: GoldNumbers | None, language: str) -> list[str]:
    t = partial(label, language=language)
    numbers = (
        {name: one for name, one in this.by_tag.items() if one.num >= ENOUGH and one.utility is not None}
        if this
        else {}
    )
    if this is None or not numbers:
        return [t("limits.slices")]
    known = {name: one.utility or 0.0 for name, one in numbers.items()}
    weakest = sorted(known, key=lambda name: (known[name], name))[:WEAKEST]
    told = t("list").join(f"{name} {written(known[name], size=1.0)} ({numbers[name].num})" for name in weakest)
    lines = [t("limits.weak", whole=in_words(this.utility), slices=told)]
    old = {name: one.utility for name, one in before.by_tag.items()} if before else {}
    worse = [(name, value) for name in known if (value := old.get(name)) is not None and value > known[name]]
    if worse:
        told = t("list").join(f"{name} {written(known[name], size=1.0)} < {written(v, size=1.0)}" for name, v in worse)
        lines.append(t("limits.worse", slices=told))
    return lines


def _reward(reward: tuple[str, Card | None], language: str) -> list[str]:
    """What is known of the reward model."""
    t, (mark, card) = partial(label, language=language), reward
    named = t("limits.marked", what=t("limits.reward"), mark=mark)
    if card is None:
        return [t("limits.named", what=named, says=t("limits.no_card"))]
    accuracy = t("limits.accuracy", value=in_words(card.accuracy.interval, "share"), num=f"{card.num_pairs:,}")
    lines = [t("limits.named", what=named, says=t("space").join([verdict(card, language)[0], accuracy]))]
    seen = (("limits.blind", blind_to(card.probes)), ("limits.shortcut", shortcuts(card.probes)))
    named_kinds = [(key, [kind for kind in kinds if kind != "quality"]) for key, kinds in seen]  # accuracy tells of it
    told = [
        t(key, kinds=t("list").join(of_health(f"kind.{kind}", language) for kind in kinds))
        for key, kinds in named_kinds
        if kinds
    ]
    told = told or [t("limits.seeing" if card.probes else "limits.no_probes")]
    return [*lines, *(t("limits.named", what=t("limits.reward"), says=each) for each in told)]


def _personal(facts: Facts, language: str) -> list[str]:
    if not facts.scan.found:
        return personal(facts, language)
    return [found(facts, language), "", label("pii.model", language)]
