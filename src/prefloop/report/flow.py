"""The flow diagram: pretrain -> SFT -> collect -> reward, then the PPO loop in its six words, with real numbers.

It is drawn twice from the same boxes, wide for a screen and tall for a phone; the style sheet shows one of them.
"""

import itertools
from dataclasses import dataclass

from markupsafe import Markup

from prefloop.drawing import svg
from prefloop.drawing.numerals import Kind, duration, written
from prefloop.report.pipeline import POLICY, Pipeline, Stage, as_number
from prefloop.report.words import Words

LINE = ("pretrain", "sft", "collect", "reward")
SPINE = ("prompts", "rollouts", "scores", "rewards", "advantages", "loss")
_MAIN = ("model", "preferences")
FACTS: dict[str, tuple[tuple[str, Kind], ...]] = {
    "pretrain": (("perplexity", "plain"), ("bigram_perplexity", "plain")),
    "sft": (("loss_validation", "plain"), ("finished_share", "share")),
    "reward": (("accuracy", "share"),),
    "collect": (("num_preferences", "count"), ("num_comparisons", "count")),
}
"""Stage -> the results that stand in its box."""
SPINE_FACTS: tuple[tuple[str, str, str, Kind], ...] = (
    ("rollouts", "fact.length", "rollouts/length", "tokens"),
    ("rollouts", "fact.ended", "rollouts/finished", "share"),
    ("scores", "fact.spread", "scores/std", "plain"),
    ("rewards", "fact.kl", "rewards/kl", "nats"),
    ("rewards", "fact.coef", "kl/coef", "plain"),
    ("advantages", "fact.explained", "values/explained_variance", "share"),
    ("loss", "fact.clipped", "ratio/clipped", "share"),
    ("loss", "fact.step_kl", "ratio/kl", "plain"),
)
"""(box, words, metric, how it is written)."""


@dataclass(frozen=True)
class Box:
    """A box of the diagram: a title, a fingerprint in typewriter letters, lines of facts."""

    title: str
    mark: str
    facts: tuple[str, ...]
    kind: str = ""
    says: str = ""
    """What it is, for somebody who meets the word for the first time."""


def flow(pipeline: Pipeline, words: Words) -> Markup:
    """Both drawings."""
    boxes = {name: _stage_box(pipeline, name, words) for name in LINE}
    boxes |= {
        name: Box(words.plain(f"spine.{name}"), "", tuple(facts), "spine", words.plain(f"spine.{name}.says"))
        for name, facts in _spine(pipeline, words).items()
    }
    boxes |= _models(pipeline, words)
    label = words.plain("flow.label")
    title = _loop_title(pipeline.stage(POLICY), words)
    update = words.plain("flow.update")
    wide = svg.drawing(1080, 668, label, *_wide(boxes, title, update), kind="flow wide", prefix="wide")
    tall = svg.drawing(360, 1206, label, *_tall(boxes, title, update), kind="flow tall", prefix="tall")
    return wide + tall


def main_output(stage: Stage) -> str:
    """Fingerprint of the stage's chief output, empty if it wrote none."""
    outputs = stage.outputs
    names = [name for name in outputs if name.partition(".")[0] in _MAIN] or list(outputs)
    return outputs[names[0]].fingerprint if names else ""


def _stage_box(pipeline: Pipeline, name: str, words: Words) -> Box:
    title = words.plain(f"stage.{name}")
    stage = pipeline.stages.get(name)
    if stage is None:
        given = _given(pipeline, {"sft": "policy", "reward": "reward"}.get(name, ""))
        key = "flow.given" if given else "flow.absent"
        return Box(title, given, (words.plain(key),), "absent")
    if stage.finished is None:
        return Box(title, "", (words.plain("flow.unfinished"),), "absent")
    return Box(title, main_output(stage), tuple(_facts(stage, words)))


def _given(pipeline: Pipeline, name: str) -> str:
    """Fingerprint of an input that the policy's stage was given and no stage of this pipeline wrote, else empty."""
    aligning = pipeline.stage(POLICY)
    return aligning.card.inputs[name].fingerprint if aligning and name in aligning.card.inputs else ""


def _facts(stage: Stage, words: Words) -> list[str]:
    facts: list[str] = []
    for key, kind in FACTS.get(stage.name, ()):
        value = stage.result(key)
        if value is not None:
            facts.append(words.plain(f"fact.{key}", value=written(value, kind)))
    return facts + ([duration(stage.seconds)] if stage.seconds is not None else [])


def _models(pipeline: Pipeline, words: Words) -> dict[str, Box]:
    sft = pipeline.stages.get("sft")
    start = main_output(sft) if sft else _given(pipeline, "policy")
    selected = Box(words.plain("flow.selected"), "", (words.plain("flow.no_selection"),), "absent")
    if pipeline.evaluation is not None:
        mark = pipeline.evaluation.compared[1].fingerprint
        selected = Box(words.plain("flow.selected"), mark, (pipeline.evaluation.selected,))
    return {
        "policy": Box(words.plain("flow.policy"), start, (words.plain("flow.policy_fact"),), "policy"),
        "reference": Box(words.plain("flow.reference"), start, (words.plain("flow.reference_fact"),), "reference"),
        "selected": selected,
    }


def _spine(pipeline: Pipeline, words: Words) -> dict[str, list[str]]:
    aligning = pipeline.stage(POLICY)
    facts: dict[str, list[str]] = {name: [] for name in SPINE}
    if aligning is None:
        return facts | {"prompts": [words.plain("flow.absent")]}
    size = as_number(aligning.card.config.get("rollouts_per_step"))
    if size is not None:
        facts["prompts"].append(words.plain("fact.per_step", value=written(size, "count")))
    scores = aligning.series("scores/mean")
    if scores:
        facts["scores"].append(f"{written(scores[0][1])} → {written(scores[-1][1])}")
    for box, key, metric, kind in SPINE_FACTS:
        value = aligning.last(metric)
        if value is not None:
            facts[box].append(words.plain(key, value=written(value, kind)))
    return facts


def _loop_title(aligning: Stage | None, words: Words) -> str:
    name = "ppo" if aligning is None else aligning.name
    parts = [words.plain("flow.loop", algorithm=words.plain(f"stage.{name}"))]
    if aligning is None:
        return parts[0]
    steps = aligning.metrics[-1].get("step") if aligning.metrics else None
    if isinstance(steps, int):
        parts.append(words.plain("fact.steps", value=f"{steps:,}"))
    if aligning.seconds is not None:
        parts.append(duration(aligning.seconds))
    return " · ".join(parts)


def _draw(box: Box, x: float, y: float, width: float, height: float) -> Markup:
    """One box: its title and what it is, then its fingerprint, then its facts."""
    frame = {"x": x, "y": y, "width": width, "height": height, "rx": 9, "class": f"box {box.kind}"}
    parts = [svg.element("rect", frame), svg.text(x + 12, y + 23, box.title, "title")]
    row = y + 42
    if box.says and width > 200:
        parts.append(svg.text(x + width - 12, y + 23, box.says, "says", "end"))
    elif box.says:
        parts.append(svg.text(x + 12, row, box.says, "says"))
        row += 22
    if box.mark:
        parts.append(svg.text(x + 12, row, box.mark, "mark"))
        row += 18
    for fact in box.facts:
        parts.append(svg.text(x + 12, row, fact, "fact"))
        row += 17
    return svg.element("g", {}, *parts)


def _wide(boxes: dict[str, Box], title: str, update: str) -> list[Markup]:
    parts: list[Markup] = []
    lefts = [8.0 + 279 * index for index in range(4)]
    for left, right in itertools.pairwise(lefts):
        parts.append(svg.arrow([(left + 227, 75), (right - 2, 75)], "wide"))
    parts += [
        svg.arrow([(400, 136), (400, 164), (273, 164), (273, 206)], "wide"),
        svg.arrow([(400, 164), (629, 164), (629, 206)], "wide"),
        svg.element("rect", {"x": 6, "y": 326, "width": 1068, "height": 214, "rx": 14, "class": "panel"}),
        svg.text(22, 350, title, "heading"),
        svg.arrow([(958, 136), (958, 186), (451, 186), (451, 370)], "wide"),
        svg.arrow([(273, 286), (273, 370)], "wide"),
        svg.arrow([(629, 286), (629, 370)], "wide"),
        svg.arrow([(985, 478), (985, 510), (95, 510), (95, 480)], "wide", "arrow turn"),
        svg.text(540, 529, update, "note", "middle"),
        svg.arrow([(540, 542), (540, 574)], "wide"),
        _draw(boxes["policy"], 163, 208, 220, 78),
        _draw(boxes["reference"], 519, 208, 190, 78),
        _draw(boxes["selected"], 400, 576, 280, 80),
    ]
    parts += [_draw(boxes[name], left, 16, 227, 120) for name, left in zip(LINE, lefts, strict=True)]
    places = [18.0 + 178.4 * index for index in range(6)]
    for left, right in itertools.pairwise(places):
        parts.append(svg.arrow([(left + 152, 425), (right - 2, 425)], "wide"))
    parts += [_draw(boxes[name], left, 372, 152, 106) for name, left in zip(SPINE, places, strict=True)]
    return parts


def _tall(boxes: dict[str, Box], title: str, update: str) -> list[Markup]:
    parts: list[Markup] = []
    tops = [6.0 + 126 * index for index in range(4)]
    for above, below in itertools.pairwise(tops):
        parts.append(svg.arrow([(180, above + 106), (180, below - 2)], "tall"))
    spine = [672.0 + 70 * index for index in range(6)]
    parts += [
        svg.arrow([(44, 185), (20, 185), (20, 514), (92, 514), (92, 536)], "tall"),
        svg.arrow([(20, 514), (254, 514), (254, 536)], "tall"),
        svg.element("rect", {"x": 4, "y": 638, "width": 352, "height": 470, "rx": 14, "class": "panel"}),
        svg.text(44, 660, title, "heading"),
        svg.arrow([(44, 1052), (30, 1052), (30, 700), (42, 700)], "tall", "arrow turn"),
        svg.arrow([(92, 616), (92, 630), (14, 630), (14, 770), (42, 770)], "tall"),
        svg.arrow([(254, 616), (254, 630), (330, 630), (330, 910), (316, 910)], "tall"),
        svg.arrow([(314, 437), (346, 437), (346, 840), (316, 840)], "tall"),
        svg.text(44, 1098, update, "note"),
        svg.arrow([(180, 1110), (180, 1128)], "tall"),
        _draw(boxes["policy"], 16, 538, 152, 78),
        _draw(boxes["reference"], 178, 538, 152, 78),
        _draw(boxes["selected"], 44, 1130, 270, 72),
    ]
    parts += [_draw(boxes[name], 44, top, 270, 106) for name, top in zip(LINE, tops, strict=True)]
    for above, below in itertools.pairwise(spine):
        parts.append(svg.arrow([(180, above + 56), (180, below - 2)], "tall"))
    for name, top in zip(SPINE, spine, strict=True):
        box = boxes[name]
        facts = (" · ".join(box.facts),) if box.facts else ()
        parts.append(_draw(Box(box.title, "", facts, box.kind, box.says), 44, top, 270, 56))
    return parts
