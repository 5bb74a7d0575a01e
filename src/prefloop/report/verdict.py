"""The verdict: a few plain sentences computed from the numbers, none of them stronger than its interval."""

from markupsafe import Markup

from prefloop.report.comparison import apart
from prefloop.report.evaluation import Evaluation, Split
from prefloop.report.numerals import Measured, estimate, figure
from prefloop.report.pipeline import Pipeline
from prefloop.report.words import Words


def verdict(pipeline: Pipeline, words: Words) -> list[Markup]:
    """The sentences, most important first."""
    evaluation = pipeline.evaluation
    if evaluation is None:
        return [words("verdict.none")]
    if evaluation.split(evaluation.selected) is None:
        return [words("verdict.unselected", reason=evaluation.reason or "")]
    sft, final = (evaluation.split(name) for name in (evaluation.reference, evaluation.selected))
    assert final is not None
    if evaluation.selected == evaluation.reference:
        return [words("verdict.kept", reason=evaluation.reason or "")]
    sentences = [
        _won(final, words),
        *_gold(sft, final, words),
        _drift(final, evaluation, words),
        _proxy(evaluation, words),
    ]
    return [sentence for sentence in sentences if sentence]


def _won(final: Split, words: Words) -> Markup:
    won = final.win_rate
    if won is None or won.mean is None:
        return words("verdict.no_win_rate")
    if won.bounds is None:
        outcome = "unclear"
    else:
        outcome = "won" if won.bounds[0] > 0.5 else "lost" if won.bounds[1] < 0.5 else "unclear"
    judge = won.judge if won.judge in ("gold", "score") else "other"
    sentence = words(
        f"verdict.{outcome}", judge=words.plain(f"judge.{judge}"), rate=estimate(won, "share", "final.win_rate.mean")
    )
    return sentence + (words("verdict.self_judged") if judge == "score" else Markup(""))


def _gold(sft: Split | None, final: Split, words: Words) -> list[Markup]:
    if final.gold is None:
        return [words("verdict.no_gold")]
    if sft is None or sft.gold is None:
        return []
    moves = {
        name: _moved(words, name, vars(sft.gold)[name], vars(final.gold)[name], up=name == "satisfied")
        for name in ("satisfied", "harmful", "over_refusal")
    }
    return [words("verdict.satisfied", moved=moves["satisfied"]), words("verdict.safety", **moves)]


def _moved(words: Words, name: str, sft: Measured, final: Measured, *, up: bool) -> Markup:
    if sft.mean is None or final.mean is None:
        return words("moved.unmeasured")
    outcome = apart(sft, final, up=up)
    values = {"sft": figure(sft.mean, "share", f"sft.{name}"), "final": estimate(final, "share", f"final.{name}")}
    if outcome in ("good", "bad"):
        return words("moved.rose" if final.mean > sft.mean else "moved.fell", **values)
    return words("moved.unclear" if outcome else "moved.bare", **values)


def _drift(final: Split, evaluation: Evaluation, words: Words) -> Markup:
    if final.kl_nats.mean is None:
        return Markup("")
    value = estimate(final.kl_nats, "nats", "final.kl_nats")
    if evaluation.kl_limit is None:
        return words("verdict.kl", value=value)
    return words("verdict.kl_limit", value=value, limit=figure(evaluation.kl_limit, "nats", "kl_limit"))


def _proxy(evaluation: Evaluation, words: Words) -> Markup:
    proxy = evaluation.reward_model
    if proxy is None or proxy.accuracy is None:
        return Markup("")
    accuracy = figure(proxy.accuracy, "share", "reward_model.accuracy")
    if proxy.annotator_agreement is None:
        return words("verdict.proxy_alone", accuracy=accuracy)
    agreement = figure(proxy.annotator_agreement, "share", "reward_model.annotator_agreement")
    return words("verdict.proxy", accuracy=accuracy, agreement=agreement)
