"""The data card: what was collected, from whom, how far they agree, and which personal data are in it."""

from collections import Counter
from functools import partial

from prefloop.cards.config import CardsConfig
from prefloop.cards.facts import Facts
from prefloop.cards.markdown import cell, front, section, table
from prefloop.cards.people import Collected
from prefloop.cards.words import label
from prefloop.drawing.numerals import MISSING, written

MOST = 20
"""Rows of a table of findings or annotators; the rest is told."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""How the hub calls sizes."""


def data_card(config: CardsConfig, facts: Facts, language: str) -> str:
    """The whole card."""
    t = partial(label, language=language)
    data, shown = facts.collected, facts.demonstrations
    size = (data.num_comparisons if data else 0) + (shown.num if shown else 0)
    people = data is not None and any(one.kind == "person" for one in data.annotators)
    head = {
        "license": config.data_licence or "unknown",
        "pretty_name": f"{facts.name}: demonstrations and preferences",
        "task_categories": ["text-generation"],
        "size_categories": [next((name for limit, name in SIZES if size < limit), "n>1M")],
        "annotations_creators": ["machine-generated"] if data and not people else [],
        "tags": ["prefloop", "preference", "rlhf"],
    }
    lines = [*front(head), f"# {t('data', name=cell(facts.name))}", "", t("written"), ""]
    counts = counted(facts, language)
    lines += section(t("holds"), table(["", ""], counts) if counts else [t("unknown")])
    if shown:
        named = [f"- {cell(source) or t('unknown')}: {num:,}" for source, num in list(shown.sources.items())[:MOST]]
        lines += section(t("sources"), named)
    if data:
        wrote = [f"- {t('samplers.says', fingerprint=name, num=f'{num:,}')}" for name, num in data.samplers.items()]
        lines += section(t("samplers"), wrote)
        lines += section(
            t("tags"), table(["", t("comparisons")], [[k, f"{n:,}"] for k, n in data.tags.items()]) if data.tags else []
        )
        lines += section(t("who"), _who(data, language))
        lines += section(t("agreement"), agreement(data, language))
    lines += section(t("consent"), [cell(config.consent) or t("unknown")])
    lines += section(t("guidelines"), _guidelines(data, language))
    lines += section(t("data_licence"), [cell(config.data_licence) or t("unknown")])
    return "\n".join([*lines, *section(t("pii"), personal(facts, language))]).rstrip() + "\n"


def counted(facts: Facts, language: str) -> list[list[str]]:
    """Rows of what there is, and how much."""
    t, data = partial(label, language=language), facts.collected
    rows = [[t("demonstrations"), f"{facts.demonstrations.num:,}"]] if facts.demonstrations else []
    if data is None:
        return rows
    rows += [
        [t("prompts"), f"{data.num_prompts:,}"],
        [t("comparisons"), f"{data.num_comparisons:,}"],
        [t("responses"), f"{data.num_responses:,}"],
    ]
    rows += [[t("judgements.kind", kind=kind), f"{num:,}"] for kind, num in data.judgements.items()]
    rows += [[t("rulings"), f"{data.rulings:,}"]] if data.rulings else []
    kinds = Counter(one.kind for one in data.annotators)
    rows += [[t("annotators.kind", kind=_kind(kind, language)), f"{num:,}"] for kind, num in sorted(kinds.items())]
    return rows + [[t(name), f"{num:,}"] for name, num in data.decisions.items()]


def agreement(data: Collected, language: str) -> list[str]:
    """How far annotators agree, in sentences."""
    t = partial(label, language=language)
    if data.alpha.value is None:
        lines = [t("agreement.none")]
    else:
        ends = data.alpha_interval
        value = f"{data.alpha.value:.2f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "")
        lines = [t("agreement.alpha", value=value, num=f"{data.num_units:,}")]
    for (one, other), both in data.couples.items():
        told = {"one": _kind(one, language), "other": _kind(other, language), "num": f"{both.num:,}"}
        told |= {"value": written(both.equal / both.num, "share"), "num_sides": f"{both.num_sides:,}"}
        sides = written(both.equal_sides / both.num_sides if both.num_sides else None, "share")
        lines.append(t("agreement.couples", sides=sides, **told))
    return [f"- {line}" for line in lines]


def personal(facts: Facts, language: str) -> list[str]:
    """What the search for personal data came to."""
    t, scan = partial(label, language=language), facts.scan
    if not scan.files:
        return [t("pii.nothing")]
    if not scan.found:
        files = ", ".join(f"`{file}`" for file in scan.files)
        return [t("pii.clean", num=f"{scan.num_texts:,}", files=files), "", t("pii.limits")]
    rows = [[f"`{one.file}:{one.line}` {one.field}", t(one.kind), f"`{one.masked}`"] for one in scan.found[:MOST]]
    rows += [[t("pii.more", num=f"{len(scan.found) - MOST:,}"), "", ""]] if len(scan.found) > MOST else []
    shown = table([t("pii.where"), t("pii.kind"), t("pii.masked")], rows)
    return [found(facts, language), "", *shown, t("pii.limits")]


def found(facts: Facts, language: str) -> str:
    """The sentence that says that personal data were found."""
    t, scan = partial(label, language=language), facts.scan
    kinds = ", ".join(f"{t(kind)} {num:,}" for kind, num in scan.kinds.items())
    return t("pii.found", num=f"{len(scan.found):,}", texts=f"{scan.num_texts:,}", kinds=kinds)


def _kind(kind: str, language: str) -> str:
    return label("model.kind" if kind == "model" else kind, language)


def _who(data: Collected, language: str) -> list[str]:
    t = partial(label, language=language)
    head = [t("who.name"), t("who.kind"), t("judgements"), t("who.seconds"), t("who.equal")]
    rows: list[list[str]] = []
    for one in data.annotators[:MOST]:
        equal, every = one.equal
        share = f"{written(equal / every, 'share')} ({every:,})" if every else MISSING
        rows.append([one.name, _kind(one.kind, language), f"{one.judgements:,}", f"{one.seconds:.1f}", share])
    left = len(data.annotators) - MOST
    rows += [[f"+ {left}", "", "", "", ""]] if left > 0 else []
    return [t("who.says"), "", *table(head, rows)]


def _guidelines(data: Collected | None, language: str) -> list[str]:
    t = partial(label, language=language)
    if data is None or not data.guidelines:
        return [t("unknown")]
    lines = [f"- {cell(version)}" for version in data.guidelines]
    return lines + [f"- {t('guidelines.without', num=f'{data.without_guideline:,}')}"] * bool(data.without_guideline)
