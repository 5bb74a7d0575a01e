"""What the page of `prefloop compare` says, in English and Chinese."""

from typing import Any

LANGUAGES = ("en", "zh")

LABELS: dict[str, tuple[str, str]] = {
    "kicker": ("prefloop compare", "prefloop 方法对比"),
    "space": (" ", ""),
    "comma": (", ", "、"),
    "on": (
        "Every method begins as the same model and learns from the same preferences. Seed {seed}.",
        "每个方法都从同一个模型出发，用同样的偏好学习。种子 {seed}。",
    ),
    "best": (
        "{name} was chosen on validation prompts; on new ones it wins {win} against SFT, a tie being half, by {judge}.",
        "按验证提示选出 {name}；在新提示上它对 SFT 的胜率为 {win}（平局算一半，由{judge}评判）。",
    ),
    "judge.gold": ("the helpdesk's gold program", "客服世界的标准答案程序"),
    "judge.score": ("the score itself, a proxy", "得分本身（只是代理）"),
    "near": (
        "Not clearly worse: {names}; their intervals reach into its own.",
        "不明显更差的有：{names}；它们的区间与它的重叠。",
    ),
    "alone": ("No other method's interval reaches into its own.", "没有其他方法的区间与它的重叠。"),
    "cheapest": (
        "The cheapest to train of these is {name}: {cpu} of CPU time, the reward model counted where it has one.",
        "其中训练最省的是 {name}：CPU 时间 {cpu}（用到奖励模型的，含奖励模型）。",
    ),
    "unclear": (
        "{name}, chosen on validation prompts, does not win clearly more than half on new ones: {win}, by {judge}.",
        "按验证提示选出的 {name} 在新提示上并不明显超过一半：{win}（由{judge}评判）。",
    ),
    "clear": ("On new prompts these do: {names}.", "在新提示上明显超过一半的有：{names}。"),
    "nobody": ("No method wins clearly more than half against SFT.", "没有方法对 SFT 的胜率明显超过一半。"),
    "warn.failed": ("{name} did not come to its end: {why}", "{name} 没有跑完：{why}"),
    "warn.worse": ("{name} wins clearly less than half: worse than SFT.", "{name} 的胜率明显低于一半：比 SFT 差。"),
    "warn.harmful": ("{name} is clearly more harmful than SFT.", "{name} 明显比 SFT 更有害。"),
    "warn.over_refusal": ("{name} refuses clearly more safe requests than SFT.", "{name} 拒绝的安全请求明显多于 SFT。"),
    "warn.far": (
        "{name} drifted {kl} nats from SFT on validation prompts, beyond the limit of {limit}.",
        "{name} 在验证提示上偏离 SFT 达 {kl} 奈特，超过限制 {limit}。",
    ),
    "table": ("What each gained and cost", "各方法的收益与代价"),
    "table.says": (
        "On new prompts, of the policy that won most often on validation prompts. Brackets are 95 % intervals. Marks: "
        "clearly better or worse than SFT.",
        "在新提示上测量，每个方法取验证提示上胜率最高的策略。方括号是 95% 区间。标记：明显好于或差于 SFT。",
    ),
    "cost.says": (
        "Learning, without the evaluation; memory is the most that one stage held. Best of n trains nothing and "
        "pays at every answer instead: n responses, each scored.",
        "只计学习，不含评测阶段；内存是单个阶段的峰值。n 选一不训练，而是每次回答都付出代价：写 n 条并逐条打分。",
    ),
    "col.method": ("method", "方法"),
    "col.win": ("wins over SFT", "对 SFT 胜率"),
    "col.score": ("reward", "奖励得分"),
    "col.kl": ("KL, nats", "KL（奈特）"),
    "col.length": ("tokens", "长度（词元）"),
    "col.harmful": ("harmful", "有害"),
    "col.over_refusal": ("over-refusal", "过度拒答"),
    "col.judgements": ("judgements", "判断数"),
    "col.cpu": ("CPU time", "CPU 时间"),
    "col.reward_cpu": ("+ reward model", "+ 奖励模型"),
    "col.memory": ("memory", "内存"),
    "col.sampled": ("tokens sampled", "采样词元"),
    "picture": ("Gained against drifted", "收益与偏离"),
    "picture.says": (
        "Each method's win rate against its KL from SFT, on new prompts. The same win rate at less KL is the better "
        "bargain: the farther from SFT, the less of what it could do is sure to be left.",
        "各方法在新提示上的胜率与它离 SFT 的 KL。胜率相同，KL 越小越划算：离 SFT 越远，它原有的本领越没有保证。",
    ),
    "picture.x": ("KL from SFT, nats per response", "离 SFT 的 KL（每条回答，奈特）"),
    "human": (
        "People may judge all of them blind, on the same prompts: bring {file} into the arena of a page of `prefloop "
        "web`; its leaderboard has a line for each method.",
        "人可以在同样的提示上盲评所有方法：把 {file} 导入 `prefloop web` 页面的竞技场；排行榜里每个方法一行。",
    ),
    "each": ("What each needs, and risks", "各方法需要什么、有什么风险"),
    "needs": ("needs", "需要"),
    "risks": ("risks", "风险"),
    "ran": ("What was run", "运行的命令"),
    "footer": ("Written by prefloop compare.", "由 prefloop compare 生成。"),
    "better": ("better", "更好"),
    "worse": ("worse", "更差"),
}

METHODS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "sft": (
        (
            "Demonstrations alone. Everything else begins as it.",
            "It imitates good and bad alike: no better than who wrote them, and nobody told it what to avoid.",
        ),
        ("只要示范。其他方法都从它出发。", "好坏一并模仿：不会比写示范的人更好，也没人告诉它该避免什么。"),
    ),
    "best-of-n": (
        (
            "A reward model, and n times the sampling at every answer, as long as it is used. No training.",
            "With a large n it finds what the reward model likes wrongly. Its users pay what it costs, in waiting.",
        ),
        (
            "奖励模型，以及每次回答 n 倍的采样，用多久付多久。不训练。",
            "n 大了就会找到奖励模型错误偏爱的回答。代价由用户以等待付出。",
        ),
    ),
    "rft": (
        (
            "A reward model, n responses to each prompt once, then a plain fine-tuning on the best ones.",
            "It learns only what the model writes now and then anyway; going on needs another turn.",
        ),
        (
            "奖励模型；每条提示采 n 条回答一次，再对最好的做普通微调。",
            "只能学到模型偶尔已会写的东西；要继续进步需再来一轮。",
        ),
    ),
    "ppo": (
        (
            "A reward model, and responses sampled while it learns; policy, reference and critic in memory too.",
            "It optimises what the reward model says and not what people mean: watch KL and a second judge. The most "
            "settings of all.",
        ),
        (
            "奖励模型，并在学习中不断采样：策略、参考、评论员和奖励模型都在内存里。",
            "它优化的是奖励模型的说法而非人的本意：要盯住 KL 和第二个评判者。设置最多。",
        ),
    ),
    "reinforce": (
        (
            "As PPO, without a critic: less memory, one update from each sampling.",
            "Noisier, so it needs more responses for the same way; the reward model can be cheated in the same manner.",
        ),
        (
            "同 PPO 但没有评论员：更省内存，每次采样只更新一次。",
            "噪声更大，走同样的路要更多回答；奖励模型同样会被钻空子。",
        ),
    ),
    "rloo": (
        (
            "A reward model, and several responses to each prompt while it learns; no critic.",
            "A response counts as one decision, so that long ones learn slowly; prompts whose responses all earn the "
            "same teach nothing. It optimises what the reward model says.",
        ),
        (
            "奖励模型，学习中对每条提示采多条回答；没有评论员。",
            "整条回答算一次决定，长回答学得慢；同一提示的回答得分都一样时学不到东西。优化的是奖励模型的说法。",
        ),
    ),
    "grpo": (
        (
            "As RLOO; advantages are measured in deviations of a prompt's responses, with several updates from each "
            "sampling.",
            "Small differences on an easy prompt count as much as large ones elsewhere, and long bad responses are "
            "cheap, unless scale and loss_mean say otherwise.",
        ),
        (
            "同 RLOO；优势按同一提示回答的标准差来量，每次采样可多次更新。",
            "除非改 scale 和 loss_mean：简单提示上的微小差别和别处的大差别一样重，又长又差的回答也罚得轻。",
        ),
    ),
    "online-dpo": (
        (
            "A reward model, and pairs of responses sampled while it learns; no critic.",
            "As PPO it optimises what the reward model says; of a pair only which is better counts, not by how much.",
        ),
        ("奖励模型，并在学习中成对采样；没有评论员。", "与 PPO 一样优化奖励模型的说法；一对里只看谁更好，不看好多少。"),
    ),
    "dpo": (
        (
            "Preferences alone: no reward model, nothing sampled, a reference read once.",
            "It knows only the responses of the file, and may make both of a pair less likely. No reward can be "
            "looked at, so measure what it writes.",
        ),
        (
            "只要偏好：没有奖励模型，不采样，参考只读一遍。",
            "它只认识文件里的回答，也可能让一对里的两条都更不可能。没有奖励可看，所以要测它写出的东西。",
        ),
    ),
    "ipo": (
        (
            "As DPO.",
            "It stops at a fixed distance however sure the preferences are: safe with few or noisy ones, slow with "
            "clear ones.",
        ),
        ("同 DPO。", "无论偏好多确定都停在固定距离：偏好少或有噪声时稳妥，偏好清楚时偏慢。"),
    ),
    "simpo": (
        (
            "As DPO, without a reference in memory.",
            "Nothing holds it near SFT, so that it may go far; beta and margin must be tried.",
        ),
        ("同 DPO，内存里不需要参考模型。", "没有什么把它留在 SFT 附近，可能走得很远；beta 和 margin 要试。"),
    ),
    "orpo": (
        (
            "As DPO, without a reference, imitating the better response at the same time.",
            "Mostly imitation, so that it moves little.",
        ),
        ("同 DPO，不要参考模型，同时模仿较好的回答。", "以模仿为主，所以变化不大。"),
    ),
    "kto": (
        (
            "Thumbs alone: each response good or bad by itself, nobody needs to compare. Here preferences are read as "
            "thumbs: up for what won more often than it lost.",
            "A thumb says less than a comparison; with few of one kind its weights matter.",
        ),
        (
            "只要赞或踩：逐条判断，不必比较。这里把偏好读成赞踩：赢多于输的算赞。",
            "一个赞比一次比较说得少；某一类太少时权重就很要紧。",
        ),
    ),
    "cpl": (
        ("Preferences alone, without a reference in the loss.", "Only its conservative bias holds it near the data."),
        ("只要偏好，损失里没有参考模型。", "只靠它的保守偏置留在数据附近。"),
    ),
    "filtered": (
        (
            "Responses with marks, or preferences: the best are imitated. The simplest of all that use preferences.",
            "It learns nothing from the worse ones.",
        ),
        ("带分数的回答，或偏好：模仿最好的。用到偏好的方法里最简单的。", "从较差的回答里什么也学不到。"),
    ),
    "awr": (
        (
            "Responses with marks, or preferences; a critic that learns what a prompt gets anyway.",
            "It imitates all, the better ones more: cautious, and slow to leave what is bad.",
        ),
        ("带分数的回答，或偏好；一个学习“这条提示本来能得多少”的评论员。", "都模仿，好的多些：谨慎，但离开坏习惯慢。"),
    ),
    "rlaif": (
        (
            "A judge that is a model in place of people, then a reward model and PPO: feedback costs computing alone.",
            "It learns the judge's biases too, and they do not show in its reward: have the judge audited by people.",
        ),
        (
            "用模型代替人做评判，再训练奖励模型和 PPO：反馈只花算力。",
            "评判者的偏见也会学进去，而且在它的奖励里看不出来：让人来审计这个评判者。",
        ),
    ),
    "constitutional": (
        (
            "Principles and a model that criticises and revises by them; no judgements of people at all.",
            "It is as good as its principles and as who applies them; what no principle names is not learned.",
        ),
        (
            "一组原则，和一个按原则批评并修改的模型；完全不用人的判断。",
            "好坏取决于原则和执行者；原则没有提到的，就学不到。",
        ),
    ),
}
"""Method -> what it needs and what it risks, in each language."""


def label(key: str, /, language: str, **values: Any) -> str:
    """A label of the page."""
    return LABELS[key][LANGUAGES.index(language)].format(**values)


def needs_and_risks(method: str, language: str) -> tuple[str, str]:
    """What a method needs, and what it risks."""
    return METHODS[method][LANGUAGES.index(language)]
