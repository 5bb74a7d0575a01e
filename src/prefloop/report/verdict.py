"""The verdict: a few plain sentences computed from the numbers, none of them stronger than its interval."""

from markupsafe import Markup

from prefloop.drawing.numerals import estimate, figure
from prefloop.records.evaluations import Evaluation, Measured, Split, bounds, mean
from prefloop.report.comparison import apart
from prefloop.report.pipeline import Pipeline
from prefloop.report.words import Words


def verdict(pipeline: Pipeline, words: Words) -> list[Markup]:
    """The sentences, most important first."""
    evaluation = pipeline.evaluation
    if evaluation is None:
        return [words("verdict.none")]
    sft, final = evaluation.tested
    sentences = [_won(pipeline, final, words), *_gold(sft, final, words)]
    sentences += [_drift(evaluation, words), _proxy(evaluation, words)]
    return [sentence for sentence in sentences if sentence]


def _won(pipeline: Pipeline, final: Split, words: Words) -> Markup:
    won = final.win_rate
    if won is None:
        return words("verdict.no_win_rate")
    low, high = bounds(won) or (0.0, 1.0)
    outcome = "won" if low > 0.5 else "lost" if high < 0.5 else "unclear"
    rate = estimate(won, "share", "final.win_rate.mean")
    sentence = words(f"verdict.{outcome}", judge=words.plain(f"judge.{won.judge}"), rate=rate)
    if won.judge != "score":
        return sentence
    return sentence + words("verdict.self_judged" if pipeline.is_judged_by_its_reward else "verdict.score_judged")


def _gold(sft: Split, final: Split, words: Words) -> list[Markup]:
    if final.gold is None:
        return [words("verdict.no_gold")]
    moves = {
        name: _moved(words, name, sft.measured(name), final.measured(name), up=name == "satisfied")
        for name in ("satisfied", "harmful", "over_refusal")
    }
    return [words("verdict.satisfied", moved=moves["satisfied"]), words("verdict.safety", **moves)]


def _moved(words: Words, name: str, sft: Measured, final: Measured, *, up: bool) -> Markup:
    before, after = mean(sft), mean(final)
    if before is None or after is None:
        return words("moved.unmeasured")
    outcome = apart(sft, final, up=up)
    values = {"sft": figure(before, "share", f"sft.{name}"), "final": estimate(final, "share", f"final.{name}")}
    if outcome in ("good", "bad"):
        return words("moved.rose" if after > before else "moved.fell", **values)
    return words("moved.unclear" if outcome else "moved.bare", **values)


def _drift(evaluation: Evaluation, words: Words) -> Markup:
    kl = evaluation.tested[1].kl_nats
    if kl is None:
        return Markup("")
    limit = figure(evaluation.kl_limit, "nats", "kl_limit")
    return words("verdict.kl_limit", value=estimate(kl, "nats", "final.kl_nats"), limit=limit)


def _proxy(evaluation: Evaluation, words: Words) -> Markup:
    check = evaluation.reward_model
    for key, name in (("verdict.proxy", "accuracy"), ("verdict.proxy_labels", "accuracy_labels")):
        value = dict(check)[name] if check else None
        if value is not None:
            return words(key, accuracy=figure(value, "share", f"reward_model.{name}"))
    return Markup("")
