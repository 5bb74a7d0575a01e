"""What the doctor says, in English and Chinese; what a sign says is taken from the report and the health card."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath

from prefloop.doctor.examined import DIVERGED, Examined, Finding, Missing
from prefloop.doctor.judging import JUDGE
from prefloop.doctor.reading import Patient
from prefloop.doctor.remedies import Change, Remedy
from prefloop.drawing.numerals import written
from prefloop.health.words import RULES as OF_CARD
from prefloop.health.words import says as card_says
from prefloop.layout import MODEL, REWARD, SFT
from prefloop.notation import described
from prefloop.records.cards import Reason
from prefloop.report.cautions import KINDS, SCORES
from prefloop.report.sentences import SENTENCES as OF_REPORT
from prefloop.report.words import Words
from prefloop.signs import RULES, SENTENCES, STOPS, Sign, rule_of
from prefloop.signs import says as sign_says

LANGUAGES = ("en", "zh")
LABELS: dict[str, tuple[str, str]] = {
    "kicker": ("prefloop doctor", "prefloop 诊断"),
    "footer": (
        "Written by prefloop doctor. Where its rules are from stands in docs/signs.md; nothing in the run was changed.",
        "由 prefloop doctor 生成。规则和阈值的来历见 docs/signs.md；运行文件夹没有任何改动。",
    ),
    "space": (" ", ""),
    "alarms.none": ("Nothing was found.", "没有发现问题。"),
    "alarms.one": ("One sign raises an alarm.", "有一项报警。"),
    "notes.one": ("One thing is worth knowing.", "有一点值得知道。"),
    "notes.some": ("{num} things are worth knowing.", "有 {num} 点值得知道。"),
    "note": ("worth knowing", "值得知道"),
    "alarms.some": ("{num} signs raise an alarm, the most telling first.", "有 {num} 项报警，最要紧的在前。"),
    "checked": ("{fine} signs are fine.", "{fine} 项正常。"),
    "unchecked": (
        "{num} could not be checked, which is not the same as fine: what is missing stands below.",
        "{num} 项无法检查，这不等于正常：缺什么见下。",
    ),
    "unfinished": (
        "{stage} has not finished ({steps} rows so far): what is said is of what is there.",
        "{stage} 还没有跑完（目前 {steps} 行）：以下只针对已有的部分。",
    ),
    "title.fine": ("Checked, nothing found ({num})", "已检查，无异常（{num}）"),
    "title.unchecked": ("Could not be checked ({num})", "无法检查（{num}）"),
    "title.shown": ("What shows it", "表现"),
    "title.remedies": ("What to do", "怎么办"),
    "early": ("at first", "起初"),
    "late": ("at the end", "最后"),
    "sample": ("step {step}, score {score}", "第 {step} 步，得分 {score}"),
    "sample.model": ("{by}, score {score}", "{by}，得分 {score}"),
    "since": ("since step {step}", "从第 {step} 步起"),
    "values": ("looked at: {values}", "依据：{values}"),
    "limit": ("limit", "阈值"),
    "step": ("step", "步"),
    "advice": ("in general: {says}", "一般来说：{says}"),
    "exploits": ("late responses say far more often: {says}", "后来的回答多得多地说：{says}"),
    "exploit": ("“{text}” ({before} of them before, {after} now)", "“{text}”（此前 {before}，现在 {after}）"),
    "judge": ("the judge", "裁判"),
    "do": ("do", "先做"),
    "then": ("if that does not mend it", "若仍未好转"),
    "or": ("or", "或者"),
    "unmeasured": ("the run logged nothing of it", "运行没有记录它"),
    "unknown": ("it was not measured", "没有测量"),
    "few_samples": ("{least} samples with scores are needed", "至少要 {least} 个带得分的样本"),
    "few": ("only {steps} rows were logged, {least} are needed", "只记录了 {steps} 行，至少要 {least} 行"),
    "applied": ("Written: {file}, with these settings changed:", "已写入 {file}，改动的设置："),
    "nothing": (
        "No setting can be changed against this, so no file was written: what helps is said above.",
        "没有可以改的设置，所以没有写文件：该做什么见上。",
    ),
    "healthy": ("Nothing is wrong, so no file was written.", "没有问题，所以没有写文件。"),
    "type": ("Type: {command}", "请运行：{command}"),
    "copy": (
        "What comes before {stage} stays the same; to save its time, copy it first: {command}",
        "{stage} 之前的阶段不变；想省时间，可以先复制：{command}",
    ),
    "rollout.title": ("Step {step}, response {index}, prompt {id}", "第 {step} 步，第 {index} 个回答，提示 {id}"),
    "rollout.says": (
        "{num} tokens with a score of {score}: what each earned, and what became of it.",
        "{num} 个词元，得分 {score}：每个词元得到什么，后来怎样。",
    ),
    "rollout.tokens": ("Tokens", "词元"),
    "rollout.colours": (
        "Green is better than expected and made likelier, red is worse and made less likely; the stronger, the more. A "
        "line below: its update was cut off.",
        "绿色比预期好，概率被提高；红色比预期差，概率被降低；颜色越深越多。下方有线：更新被截断。",
    ),
    "rollout.table": ("Number by number", "逐项数字"),
    "rollout.means": ("What the columns mean", "各列的含义"),
    "rollout.missing": (
        "Not here: {names}. The algorithm has no such thing, or the run is of an older version.",
        "没有：{names}。这个算法没有，或运行版本较旧。",
    ),
    "tile.score": ("score", "得分"),
    "tile.drift": ("nats of drift from the reference", "与参考模型的偏离（奈特）"),
    "tile.rewards": ("all rewards together", "奖励合计"),
    f"sign.{DIVERGED}": ("Numbers do not go wrong in training", "训练中数值没有出错"),
    f"sign.{DIVERGED}.says": ("The run has diverged and stopped: {what}.", "运行已经发散并停止：{what}。"),
    "cure.hold": ("Charge more for drift from the reference.", "提高偏离参考模型的代价。"),
    "cure.slower": ("Take smaller steps.", "减小步长。"),
    "cure.fewer_epochs": ("Learn from the same data less often.", "同样的数据少学几遍。"),
    "cure.ends": ("Charge more for a response that does not end by itself.", "提高没有自行结束的回答的扣分。"),
    "cure.shorten": (
        "Let no response be more than {room} times as long as at first, and charge what is cut off.",
        "回答长度不超过起初的 {room} 倍，被截断的要扣分。",
    ),
    "cure.take_off": (
        "Take off what the reward pays for by itself, for each time it is said: {prices}. Their numbers alone explain "
        "{explained} of the scores.",
        "扣掉奖励按出现次数单独付的分：{prices}。仅它们的数量就解释了得分的 {explained}。",
    ),
    "beside.take_off": (
        "Take off what the reward pays for by itself, for each time it is said: {prices}. Their numbers explain "
        "{explained} of what the judge leaves of the scores.",
        "扣掉奖励按出现次数单独付的分：{prices}。评判解释不了的那部分得分里，它们的数量解释了 {explained}。",
    ),
    "cure.minimum": (
        "Optimise the lowest score of several reward models: what cheats one seldom cheats all.",
        "优化多个奖励模型中最低的得分：骗过一个的很少能骗过全部。",
    ),
    "cure.more_responses": (
        "Ask for more responses to a prompt, so that they differ.",
        "每个提示多采几个回答，让它们有差别。",
    ),
    "cure.exact": ("Compute in full precision, so that policy and sampler agree.", "用全精度计算，使策略与采样一致。"),
    "cure.ptx": ("Imitate the demonstrations beside, so that they are not forgotten.", "同时模仿示范，以免遗忘。"),
    "cure.abstain": (
        "Give responses that are unusual to the reward model the mean score of the others.",
        "奖励模型觉得反常的回答，改给其他回答的平均分。",
    ),
    "cure.foresee": ("Let the loss of the critic weigh more.", "让价值模型的损失占更大的权重。"),
    "cure.checkpoint": ("Take the policy from before it began: {policy}.", "改用问题出现之前的策略：{policy}。"),
    "cure.hacks": (
        "Find what cheats the reward model, and train it again with these as rejected (replay=hacks/hacks.jsonl of "
        "prefloop reward).",
        "找出骗过奖励模型的回答，作为被拒绝的一方重新训练它（prefloop reward 的 replay=hacks/hacks.jsonl）。",
    ),
    "cure.judge_more": (
        "Have more judged, of what the policy writes now where there is one: the reward model knows too little there.",
        "多收集评判，有策略时就用它现在写的回答：奖励模型在那里知道得太少。",
    ),
    "cure.read": ("Read what was written: {samples}.", "读一读写出的内容：{samples}。"),
}


def label(key: str, language: str, **values: object) -> str:
    """The words of a key, values filled in."""
    return LABELS[key][LANGUAGES.index(language)].format(**values)


def summary(found: Examined, language: str) -> list[str]:
    """How much was found, fine, and not to be checked, a sentence each."""
    alarms = sum(finding.stops for finding in found.findings)
    notes = len(found.findings) - alarms
    told = [
        label("alarms.none" if not alarms else "alarms.one" if alarms == 1 else "alarms.some", language, num=alarms)
    ]
    told += [label("notes.one" if notes == 1 else "notes.some", language, num=notes)] if notes else []
    told.append(label("checked", language, fine=len(found.fine)))
    return told + ([label("unchecked", language, num=len(found.unchecked))] if found.unchecked else [])


def says(finding: Finding, patient: Patient, language: str) -> str:
    """What an alarm says."""
    sign = finding.sign
    if sign.name == DIVERGED:
        return label(f"sign.{DIVERGED}.says", language, **sign.values)
    if finding.ran.stage == REWARD:
        values = {name: value for name, value in sign.values.items() if value is not None}
        return card_says(Reason(name=sign.name, stops=sign.name in STOPS, values=values), language)
    if sign.name in SENTENCES and f"rule.{sign.name}.says" not in OF_REPORT:
        by = {name: label("judge", language) for name, value in sign.values.items() if value == JUDGE}
        return sign_says(replace(sign, values={**sign.values, **by}), language, change=False)
    words = _words(patient, language)
    told = {name: number(sign, name, value) for name, value in sign.values.items()}
    reference = patient.evaluation.reference if patient.evaluation else None
    told |= {name: words.before for name, value in sign.values.items() if value == reference}
    return words.plain(f"rule.{sign.name}.says", **told)


def _words(patient: Patient, language: str) -> Words:
    """The report's words; what it is compared with is SFT unless an evaluation says otherwise."""
    evaluation = patient.evaluation
    path = evaluation.models[evaluation.reference].path if evaluation else f"{SFT}/{MODEL}"
    return Words(language, is_sft=PurePath(path).parts[-2:] == (SFT, MODEL))


def rule(name: str, stage: str, language: str) -> str:
    """What a rule asks for, when it is fine."""
    if stage == REWARD and name in OF_CARD:
        return OF_CARD[name][LANGUAGES.index(language)]
    if name == DIVERGED:
        return label(f"sign.{DIVERGED}", language)
    if name in SENTENCES and f"rule.{name}" not in OF_REPORT:
        return rule_of(name, language)
    return Words(language).plain(f"rule.{name}", percent=100 * (RULES[name].limit or 0))


def advice(sign: Sign, language: str) -> str:
    """What is commonly done against it, beside the remedies; empty if nothing is said of it."""
    return SENTENCES[sign.name].change[LANGUAGES.index(language)] if sign.name in SENTENCES else ""


def number(sign: Sign, name: str, value: float | str | None) -> str:
    """One of a sign's values, as a reader sees it."""
    if isinstance(value, str):
        return value
    return written(value, "plain" if name in SCORES else KINDS.get(sign.name, "share"))


def why(missing: Missing, language: str) -> str:
    """Why a rule could not be checked."""
    return label(missing.why, language, steps=missing.steps, least=missing.least)


def exploits(finding: Finding, language: str) -> str:
    """What the late responses say far more often, which may be what pays; empty if nothing is clear."""
    told = [
        label(
            "exploit", language, text=one.text, before=written(one.before, "share"), after=written(one.after, "share")
        )
        for one in finding.exploits
    ]
    return label("exploits", language, says="; ".join(told)) if told else ""


def values(sign: Sign, language: str) -> str:
    """What a rule looked at, exactly: name = number."""
    names: Mapping[str, str] = {"limit": label("limit", language)}
    shown = {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in sign.values.items()}
    return ", ".join(f"{names.get(key, key)} {value}" for key, value in shown.items() if value not in ("", "None"))


def when(remedy: Remedy, finding: Finding, language: str) -> str:
    """Whether a remedy comes first, next, or instead."""
    return label(("do" if finding.treated else "then") if remedy.first else "or", language)


def cure(remedy: Remedy, language: str) -> str:
    """What a remedy does."""
    kind = "beside" if remedy.values.get("beside") else "cure"
    return label(f"{kind}.{remedy.name}", language, **remedy.values)


def setting(change: Change) -> str:
    """A change as one would type it: ppo.kl_coef 0.05 -> 0.1."""
    return f"{change.stage}.{change.key} {described(change.old)} -> {described(change.new)}"
