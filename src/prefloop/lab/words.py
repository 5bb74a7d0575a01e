"""What the lab's page and picture say, in English and Chinese."""

from typing import Any

LANGUAGES = ("en", "zh")

LABELS: dict[str, tuple[str, str]] = {
    "kicker": ("prefloop lab overopt", "prefloop 过度优化实验"),
    "space": (" ", ""),
    "comma": (", ", "、"),
    "title": ("{title}: proxy and gold as policies drift", "{title}：策略漂移时的代理得分与真实效用"),
    "on": (
        "Optimised by {algorithm} and by the best of n; {num} seeds, {prompts} prompts each time. Gains are over the "
        "model that all begin as, in deviations of its own responses.",
        "用 {algorithm} 和 n 选一优化；{num} 个种子，每次 {prompts} 条提示。"
        "增益相对于共同的起点模型，以它自己回答的标准差为单位。",
    ),
    "turned": (
        "{name}: gold turned in {turned} of {num} seeds: it was highest at {kl} nats, {rise} deviations above its "
        "beginning, and fell by {fall} to the end, while the score rose by {proxy}.",
        "{name}：{num} 个种子中有 {turned} 个真实效用回落：在 {kl} 奈特处最高，比起点高 {rise} 个标准差，"
        "到结束下降 {fall}，而得分上升 {proxy}。",
    ),
    "ahead.higher": (
        "{name} ends {ahead} deviations higher than {first}.",
        "{name} 结束时比 {first} 高 {ahead} 个标准差。",
    ),
    "ahead.lower": (
        "{name} ends {ahead} deviations, lower than {first}.",
        "{name} 结束时与 {first} 相差 {ahead} 个标准差，更低。",
    ),
    "ahead.unclear": (
        "{name} cannot be told from {first} at the end: {ahead}.",
        "{name} 与 {first} 在结束时分不出高下：{ahead}。",
    ),
    "signs": (
        "Signs raised an alarm in {num} of the {runs} runs whose gold fell by {least} or more ({rules}); the first one "
        "came {when}.",
        "真实效用下降 {least} 以上的 {runs} 次运行中，有 {num} 次触发了警报（{rules}）；最早的警报{when}。",
    ),
    "signs.none": (
        "Signs raised no alarm in the {runs} runs whose gold fell by {least} or more: what is logged did not show it.",
        "真实效用下降 {least} 以上的 {runs} 次运行都没有触发警报：日志里看不出来。",
    ),
    "when.after": ("{steps} steps after gold's peak in the middle run", "在中位运行里比真实效用的峰值晚 {steps} 步"),
    "when.before": ("{steps} steps before gold's peak in the middle run", "在中位运行里比真实效用的峰值早 {steps} 步"),
    "when.at": ("with gold's peak in the middle run", "在中位运行里与真实效用的峰值同时"),
    "warn.failed": ("{name}, seed {seed}, did not come to its end: {why}", "{name}（种子 {seed}）没有跑完：{why}"),
    "picture": ("Proxy against gold over KL", "代理得分与真实效用随 KL 的变化"),
    "picture.says": (
        "Each plot is a cell. Faint lines are single seeds, bold ones their mean; the dashed line is the law fitted to "
        "gold. KL is spaced by its root, in which the laws are told.",
        "每幅小图是一个单元。细线是单个种子，粗线是均值；虚线是对真实效用拟合的规律。"
        "横轴按 KL 的平方根排列，规律以它为自变量。",
    ),
    "picture.x": (
        "KL from the beginning, nats per response; gain in deviations",
        "离起点的 KL（每条回答，奈特）；纵轴为增益（标准差）",
    ),
    "legend.proxy": ("score that is optimised", "被优化的得分"),
    "legend.gold": ("gold", "真实效用"),
    "legend.law": ("law", "拟合的规律"),
    "legend.best": ("gold, best of n", "真实效用，n 选一"),
    "peak.note": ("peak at {kl} nats, then {fall}", "峰值在 {kl} 奈特，之后 {fall}"),
    "table": ("What each cell came to", "各单元的结果"),
    "table.says": (
        "Means over seeds, in deviations; brackets are 95 % intervals over seeds. Turned: gold fell by {least} or more "
        "from its highest while the score rose. Accuracy is of the reward model on held-out preferences.",
        "各种子的均值，单位为标准差；方括号是种子间的 95% 区间。"
        "回落：真实效用从最高处下降 {least} 以上而得分仍升。准确率是奖励模型在留出偏好上的。",
    ),
    "laws": ("Laws", "规律"),
    "laws.says": (
        "Gold's gain as d (a - b d) for the best of n and d (a - b log d) for RL, d the root of KL (Gao et al. 2022), "
        "fitted to all seeds together; intervals by drawing seeds anew. R2 is the share of variance that it explains.",
        "真实效用的增益：n 选一为 d (a - b d)，强化学习为 d (a - b log d)，d 是 KL 的平方根（Gao 等 2022），"
        "对所有种子一起拟合；区间由重抽种子得到。R2 是解释的方差份额。",
    ),
    "runs": ("Every run, and when signs raised an alarm", "每次运行，以及警报何时出现"),
    "runs.says": (
        "The step of gold's highest point beside the first step at which each rule of signs raised an alarm, looked at "
        "after every step, from what a run logs alone: gold is not in it.",
        "真实效用最高点所在的步，旁边是各条规则最早报警的步（每步之后都检查，只用运行自己的日志，其中没有真实效用）。",
    ),
    "col.cell": ("cell", "单元"),
    "col.accuracy": ("accuracy", "准确率"),
    "col.turned": ("turned", "回落"),
    "col.peak_kl": ("peak, nats", "峰值处 KL"),
    "col.peak": ("gold's peak", "真实效用峰值"),
    "col.end": ("gold at the end", "结束时真实效用"),
    "col.end_kl": ("end, nats", "结束时 KL"),
    "col.proxy": ("score at the end", "结束时得分"),
    "col.ahead": ("ahead of {first}", "比 {first} 高"),
    "col.far": ("gold at the end, of {n}", "结束时或 {n} 选一的真实效用"),
    "col.law": ("law", "规律"),
    "col.seed": ("seed", "种子"),
    "col.step": ("gold's peak, step", "真实效用峰值（步）"),
    "col.fall": ("fall", "下降"),
    "col.fall_low": ("at least", "至少"),
    "col.rise": ("score rose", "得分上升"),
    "col.alarms": ("alarms, step", "警报（步）"),
    "law.rl": ("RL", "强化学习"),
    "law.best_of_n": ("best of n", "n 选一"),
    "law.highest": ("highest at, nats", "最高处（奈特）"),
    "never": ("nowhere", "无"),
    "footer": ("Written by prefloop lab overopt.", "由 prefloop lab overopt 生成。"),
}


def label(key: str, /, language: str, **values: Any) -> str:
    """A label of the page."""
    return LABELS[key][LANGUAGES.index(language)].format(**values)


def described(settings: dict[str, Any], language: str) -> str:
    """What a cell is, in a few words."""
    english = language == "en"
    pairs = settings["pairs"]
    told = [
        ("all pairs" if pairs is None else f"{pairs} pairs")
        if english
        else ("全部偏好" if pairs is None else f"{pairs} 对"),
        f"{settings['flips']:.0%} flipped" if english else f"翻转 {settings['flips']:.0%}",
    ]
    if settings["layers"] is not None:
        told.append(f"{settings['layers']} layers" if english else f"{settings['layers']} 层")
    if settings["members"] > 1:
        how = {"mean": ("mean", "均值"), "min": ("lowest", "最低"), "variance": ("mean - variance", "均值减方差")}
        told.append(f"{settings['members']} × {how[settings['combine']][0 if english else 1]}")
    if settings["kl_coef"]:
        told.append(f"KL × {settings['kl_coef']:g}")
    return label("comma", language).join(told)
