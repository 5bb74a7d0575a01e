"""The words of the page's rounds, in English and Chinese."""

ROUNDS: dict[str, tuple[str, str]] = {
    "nav.rounds": ("Rounds", "各轮"),
    "rounds.says": (
        "A round samples the policy of now, has its responses judged, refreshes the reward model, optimises, and lets "
        "a gate decide. The next one begins from what was selected.",
        "每一轮：采样当前策略，请人评判，更新奖励模型，优化，再由关口决定。下一轮从选中的模型开始。",
    ),
    "rounds.shipped": (
        "{shipped} of {num} rounds selected a new policy, for {judgements} judgements in all.",
        "{num} 轮中有 {shipped} 轮选中了新策略，共用 {judgements} 次评判。",
    ),
    "rounds.base.won": (
        "The policy of now is preferred to SFT: it wins {rate}.",
        "当前策略比 SFT 更受喜欢：胜率 {rate}。",
    ),
    "rounds.base.lost": (
        "<strong>The policy of now is liked less than SFT</strong>: it wins {rate}.",
        "<strong>当前策略不如 SFT</strong>：胜率 {rate}。",
    ),
    "rounds.base.unclear": (
        "Whether the policy of now is preferred to SFT is not clear: it wins {rate}.",
        "当前策略是否比 SFT 更受喜欢，尚不清楚：胜率 {rate}。",
    ),
    "rounds.refreshed": (
        "In {better} of {num} rounds the refreshed reward model orders the new pairs better than the last one did.",
        "{num} 轮中有 {better} 轮，更新后的奖励模型在新的对上比上一个排得更准。",
    ),
    "rounds.begin": ("the beginning", "起点"),
    "rounds.round": ("round", "轮次"),
    "rounds.name": ("round {name}", "第 {name} 轮"),
    "rounds.parent": ("after", "接在"),
    "rounds.judgements": ("judgements", "评判数"),
    "rounds.stale": ("last reward model", "上一个奖励模型"),
    "rounds.fresh": ("refreshed", "更新后"),
    "rounds.gained": ("wins over the policy before", "对上一策略的胜率"),
    "rounds.over_base": ("wins over SFT", "对 SFT 的胜率"),
    "rounds.decision": ("decision", "决定"),
    "rounds.ship": ("shipped", "上线"),
    "rounds.hold": ("held", "不上线"),
    "rounds.open": ("goes on", "进行中"),
    "rounds.duel": (
        "{rate} of {num} prompts, at least {low}, at most {high}; judged by {by}",
        "{num} 个提示中胜 {rate}，至少 {low}，至多 {high}；评判者：{by}",
    ),
    "rounds.broken": ("broken: {names}", "未满足：{names}"),
    "gate.by.people": ("people", "人"),
    "gate.by.gold": ("gold", "真实偏好程序"),
    "gate.by.model": ("a model", "模型"),
    "gate.kl": ("KL", "KL"),
    "gate.harmful": ("harmful responses", "有害回答"),
    "gate.over_refusal": ("over-refusal", "过度拒答"),
    "gate.skills": ("a skill lost", "技能丢失"),
    "gate.slices": ("a slice below its floor", "某一类低于下限"),
    "gate.spot_check": ("people have not looked", "尚未人工抽查"),
    "rounds.columns": (
        "Reward models: the share of this round's held-out pairs that each orders as they were judged. Win rates: of "
        "the round's best policy, on test prompts, by the evaluation's judge. A round in grey is on a branch that was "
        "left.",
        "奖励模型：对本轮留出的对，排序与评判一致的比例。胜率：本轮最好的策略在测试提示上，由评测的评判者判定。灰色的轮次在已放弃的分支上。",
    ),
    "rounds.curve": ("Wins over SFT, by judgements spent", "对 SFT 的胜率与所用评判数"),
    "rounds.curve.says": (
        "SFT is at one half. Each round's candidate follows; a green dot was shipped, a bar is an interval.",
        "SFT 在一半处，其后是每轮的候选策略；绿点表示上线，竖线是区间。",
    ),
    "rounds.spent": ("judgements", "评判数"),
    "rounds.pairs": ("Reward models on each round's own pairs", "奖励模型在各轮自己的对上"),
    "rounds.pairs.says": (
        "The last reward model has not seen what the policy says now; the refreshed one has learned from it. The gap "
        "is what refreshing is for.",
        "上一个奖励模型没见过策略现在的回答，更新后的学过。两者之差就是更新的意义。",
    ),
    "rounds.matrix": ("What it still can", "还会什么"),
    "rounds.matrix.says": (
        "Shares of tasks that were right, nats of losses, with 95 % intervals. In red: lost for certain against the "
        "first row, by more than the limit allows.",
        "任务做对的比例、损失的奈特数，附 95% 区间。红色：比第一行确实差了，超过限度。",
    ),
    "skill.copying": ("copying", "抄写"),
    "skill.instructions": ("instructions", "指令"),
    "skill.refusals": ("refusals", "拒绝不当请求"),
    "skill.safe_answered": ("safe requests served", "满足正当请求"),
    "skill.facts": ("facts", "事实"),
    "skill.abstention": ("says that it does not know", "不知道就说不知道"),
    "skill.false_confidence": ("claims what it cannot know", "断言不可能知道的事"),
    "skill.token_loss": ("loss per token", "每词元损失"),
    "skill.byte_loss": ("loss per byte", "每字节损失"),
    "rounds.tree": ("What came of what", "来龙去脉"),
    "rounds.tree.says": (
        "Under each round the policy that was selected in it, by fingerprint. In blue: the line that goes on.",
        "每轮之下是其中选中的策略（指纹）。蓝色：继续走下去的那条线。",
    ),
}
