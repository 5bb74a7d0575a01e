"""The page's whole sentences in English and Chinese."""

SENTENCES: dict[str, tuple[str, str]] = {
    "intervals": (
        "Numbers in brackets are intervals as the evaluation estimated them; a difference is called clear only "
        "if they do not touch.",
        "方括号里是评测给出的区间；只有两个区间互不相接时，才说差别明显。",
    ),
    "verdict.none": (
        "This run was not evaluated, so it cannot say whether people would like the final model better. "
        "What did run is shown below.",
        "本次没有评测，所以无法判断最终模型是否更受欢迎。下面是实际运行的部分。",
    ),
    "verdict.won": (
        "The final model was preferred to SFT on {rate} of held-out prompts, judged by {judge}.",
        "由{judge}裁判，在留出的提示上，最终模型有 {rate} 胜过 SFT。",
    ),
    "verdict.lost": (
        "SFT was preferred: the final model won on only {rate} of held-out prompts, judged by {judge}.",
        "由{judge}裁判，SFT 更好：最终模型只在 {rate} 的留出提示上胜出。",
    ),
    "verdict.unclear": (
        "The final model was preferred to SFT on {rate} of held-out prompts, judged by {judge}: no clear difference.",
        "由{judge}裁判，在留出的提示上，最终模型有 {rate} 胜过 SFT，差别并不明显。",
    ),
    "verdict.self_judged": (
        " That judge is the very score that was optimised, so it says nothing about people.",
        "这个裁判正是被优化的得分，因此不能说明人是否喜欢。",
    ),
    "verdict.no_win_rate": ("The final model was not compared head to head with SFT.", "最终模型没有与 SFT 逐条对比。"),
    "verdict.no_gold": (
        "There is no gold preference in this run, so satisfaction, harm and over-refusal were not measured.",
        "本次没有真实偏好可用，所以满意、有害和过度拒答都没有测量。",
    ),
    "verdict.satisfied": ("Satisfied {moved}.", "满意{moved}。"),
    "verdict.safety": ("Harmful {harmful}; over-refusal {over_refusal}.", "有害{harmful}；过度拒答{over_refusal}。"),
    "moved.rose": ("rose from {sft} to {final}", "从 {sft} 升到 {final}"),
    "moved.fell": ("fell from {sft} to {final}", "从 {sft} 降到 {final}"),
    "moved.unclear": ("went from {sft} to {final}, no clear difference", "从 {sft} 到 {final}，差别不明显"),
    "moved.bare": ("went from {sft} to {final}", "从 {sft} 到 {final}"),
    "moved.unmeasured": ("was not measured", "没有测量"),
    "verdict.kl_limit": (
        "It drifted {value} nats per response from SFT, where {limit} were allowed.",
        "它与 SFT 的偏离是每条回答 {value} 奈特，上限为 {limit}。",
    ),
    "verdict.proxy": (
        "The score is only a proxy: on held-out pairs it agrees with the true preference {accuracy} of the time; "
        "the annotators agree with each other {agreement}.",
        "得分只是代理：在留出的对上，它与真实偏好的一致率是 {accuracy}；标注员彼此的一致率是 {agreement}。",
    ),
    "verdict.proxy_alone": (
        "The score is only a proxy: on held-out pairs it is right {accuracy} of the time.",
        "得分只是代理：在留出的对上，它判对 {accuracy}。",
    ),
    "flow.says": (
        "Every box is a step that ran; the letters are fingerprints of what it wrote, the numbers are its last "
        "measurements.",
        "每个方框是实际运行的一步；字母串是产物的指纹，数字是它最后的测量值。",
    ),
    "table.says": (
        "What supervised fine-tuning cannot do by itself, and what was measured before and after. "
        "Dots: ochre is SFT, blue is RLHF, on a rail from 0 to 100%.",
        "监督微调自身做不到的事，以及前后测得的数字。圆点：赭色是 SFT，蓝色是 RLHF，横轴从 0 到 100%。",
    ),
    "limit.imitation.says": (
        "SFT copies demonstrations, so at best it is as good as they are.",
        "SFT 模仿示范，最好也只能和示范一样好。",
    ),
    "limit.preference.says": (
        "SFT sees one answer per prompt and never learns which of two is better; RLHF learns exactly that.",
        "SFT 每个提示只见到一个答案，学不到两个里哪个更好；RLHF 学的正是这个。",
    ),
    "limit.ood.says": (
        "Away from its demonstrations SFT has nothing to copy; these prompts look unlike those it was trained on.",
        "离开示范，SFT 就无从模仿；这些提示与训练时的不同。",
    ),
    "limit.truth.says": (
        "SFT is rewarded for sounding like the answer, known or not, and so learns to invent facts.",
        "SFT 只要像答案就得分，不管知不知道，因此会学着编造事实。",
    ),
    "limit.safety.says": (
        "The two always stand side by side: a model that refuses everything harms nobody and helps nobody.",
        "两者总是并列：什么都拒答的模型不伤人，也不帮人。",
    ),
    "limit.form.says": (
        "A reward model can be pleased by length alone; these rows show whether that happened.",
        "奖励模型可能只因为长就给高分；这几行看有没有发生。",
    ),
    "limit.axes.says": ("The remaining parts of the gold preference.", "真实偏好的其余部分。"),
    "checkpoints.says": (
        "The selected model is chosen on measured preference among those within the KL limit, not on the last step.",
        "选模型看的是 KL 上限之内测得的偏好，而不是最后一步。",
    ),
    "checkpoints.validation": (
        "These are the validation prompts it was selected on; everywhere else the numbers are from test prompts.",
        "这里是用来选模型的验证提示；其他各处的数字都来自测试提示。",
    ),
    "checkpoints.kl": ("KL estimator: {value}.", "KL 估计：{value}。"),
    "curves.says": ("Faint: the values as logged. Bold: their moving average.", "淡线：记录的原值。粗线：滑动平均。"),
    "frontier.score.says": (
        "How much score each nat of drift bought; a flat end buys nothing more.",
        "每偏离一奈特换来多少得分；末端变平就再也换不到。",
    ),
    "frontier.utility.says": (
        "What people would truly have got; if it bends down while score still climbs, the proxy is being gamed.",
        "人真正得到了多少；若得分还在升而它往下弯，就是在钻代理的空子。",
    ),
    "curve.scores/mean.says": (
        "Should rise and then level off; a rise that never slows often means a gamed reward model.",
        "应先升后平；一直猛升往往是奖励模型被钻了空子。",
    ),
    "curve.rewards/kl.says": (
        "How far the policy has moved; should grow slowly and stay below the limit.",
        "策略走了多远；应缓慢增长，并低于上限。",
    ),
    "curve.rollouts/length.says": (
        "Should stay near where it began; steady growth means the score likes length.",
        "应在起点附近；持续变长说明得分偏爱长度。",
    ),
    "curve.entropy/mean.says": (
        "How undecided the policy is; a slow fall is learning, a crash to zero is collapse.",
        "策略有多犹豫；缓慢下降是学习，骤降到零是坍缩。",
    ),
    "curve.ratio/clipped.says": (
        "Share of tokens whose update was cut off; a few percent is healthy, above {clipped} the steps are too large.",
        "更新被截断的词元比例；百分之几正常，超过 {clipped} 说明步子太大。",
    ),
    "curve.ratio/kl.says": (
        "How far a single update moves the policy; spikes warn of a learning rate that is too high.",
        "一次更新走多远；尖峰说明学习率太高。",
    ),
    "curve.rollouts/finished.says": (
        "Responses that ended by themselves; a fall means they run into the length limit.",
        "自行结束的回答；下降说明撞到了长度上限。",
    ),
    "curve.values/explained_variance.says": (
        "How much of the return the critic foresees; should climb from zero, below zero it misleads.",
        "价值模型预见了多少回报；应从零上升，低于零就是误导。",
    ),
    "curve.advantages/std.says": (
        "How strongly responses differ from what was expected; should stay steady.",
        "回答与预期相差多少；应当平稳。",
    ),
    "curve.loss/policy.says": (
        "Hovers near zero by construction; look here only for spikes.",
        "本来就在零附近；只需留意尖峰。",
    ),
    "curve.loss/value.says": (
        "The critic's squared error; should fall, then follow the noise of the scores.",
        "价值模型的平方误差；应先降，再随得分的噪声起伏。",
    ),
    "curve.kl/coef.says": (
        "The price of a nat; if adaptive, it moves to hold KL at its target.",
        "一奈特的价格；若是自适应的，它会变动以把 KL 稳在目标上。",
    ),
    "curve.grad/norm.says": ("Should be steady; spikes go with unstable updates.", "应当平稳；尖峰伴随不稳定的更新。"),
    "curve.lr.says": ("The schedule as it was run.", "实际的学习率安排。"),
    "curve.pretrain/loss/validation.says": (
        "Both should fall together; validation turning up alone is memorising.",
        "两条应一起下降；只有验证上翘就是在死记。",
    ),
    "curve.sft/loss/validation.says": (
        "Falls quickly, then flattens; stop where validation stops falling.",
        "很快下降再变平；验证不再降就该停。",
    ),
    "curve.reward/accuracy/validation.says": (
        "Share of held-out pairs in the right order; expect to level off near the annotators' own agreement.",
        "留出对里排对的比例；预计停在标注员自身一致率附近。",
    ),
    "curve.reward/loss/train.says": (
        "Starts at ln 2 = 0.69, a coin toss; near zero it has memorised the pairs.",
        "从 ln 2 = 0.69（抛硬币）开始；接近零就是记住了训练对。",
    ),
    "proxy.says": (
        "PPO optimises this model's score, so its mistakes become the policy's habits. Read its accuracy between "
        "two marks: "
        "choosing by length alone, and the best that noisy decisions allow.",
        "PPO 优化的是这个模型的得分，它的错误会变成策略的习惯。它的准确率要放在两个标尺之间看：只看长度，"
        "以及带噪标注所允许的最好成绩。",
    ),
    "proxy.accuracy.says": ("held-out pairs, against the true preference", "留出对，对照真实偏好"),
    "proxy.accuracy_labels.says": ("held-out pairs, against what annotators decided", "留出对，对照标注员的决定"),
    "proxy.annotator_agreement.says": ("the noise of the decisions it learned from", "它所学的决定自身的噪声"),
    "proxy.bayes_accuracy.says": ("nobody can do better, given that noise", "有这些噪声，谁也不能更好"),
    "proxy.length_only_accuracy.says": ("what a model with no understanding gets", "毫无理解的模型能得多少"),
    "proxy.reliability.says": (
        "Dots on the dashed line: when it says 80% sure it is right 80% of the time. Below the line it is "
        "overconfident.",
        "点在虚线上：说有八成把握时，八成是对的。在线下方就是过于自信。",
    ),
    "proxy.strength.says": ("Strong preferences should be easier than weak ones.", "强偏好应当比弱偏好更容易判对。"),
    "proxy.absent": ("No reward model was evaluated in this run.", "本次没有评测奖励模型。"),
    "ood.says": (
        "The same measures on familiar prompts and on prompts unlike the training ones.",
        "同样的指标，分别在熟悉的提示和与训练不同的提示上。",
    ),
    "ood.absent": ("No unfamiliar prompts were evaluated in this run.", "本次没有在陌生提示上评测。"),
    "samples.says": (
        "Nobody picked these by hand: up to four with a harmful or over-refusing response, "
        "then evenly spaced from the worst change to the best.",
        "这些不是人工挑的：先列至多四个有害或过度拒答的，其余从变化最差到最好等距抽取。",
    ),
    "samples.none": ("No samples were recorded side by side.", "没有记录并排的样例。"),
    "warnings.none": ("No rule raised a warning.", "没有规则报警。"),
    "rule.kl": ("KL stays within the limit", "KL 不超过上限"),
    "rule.kl.says": (
        "The selected model is {value} nats from SFT, over the limit of {limit}.",
        "选中的模型与 SFT 相距 {value} 奈特，超过上限 {limit}。",
    ),
    "rule.over_optimised": ("Score and gold utility move together", "得分与真实效用同向"),
    "rule.over_optimised.says": (
        "From {before} to {after} the score rose ({s0} to {s1}) while gold utility fell ({u0} to {u1}): "
        "over-optimisation.",
        "从 {before} 到 {after}，得分上升（{s0} 到 {s1}），真实效用却下降（{u0} 到 {u1}）：过度优化。",
    ),
    "rule.harmful": ("Harm does not rise by more than {percent:g} points", "有害上升不超过 {percent:g} 个百分点"),
    "rule.harmful.says": ("Harmful rose from {sft} to {final}.", "有害从 {sft} 升到 {final}。"),
    "rule.over_refusal": (
        "Over-refusal does not rise by more than {percent:g} points",
        "过度拒答上升不超过 {percent:g} 个百分点",
    ),
    "rule.over_refusal.says": (
        "Over-refusal rose from {sft} to {final}: the model may be buying safety with silence.",
        "过度拒答从 {sft} 升到 {final}：模型可能在用沉默换安全。",
    ),
    "rule.suspicious": (
        "Reward-model validation accuracy is believable (up to {percent:g}%)",
        "奖励模型验证准确率可信（至多 {percent:g}%）",
    ),
    "rule.suspicious.says": (
        "Validation accuracy {value} is suspiciously high: look for the same prompts in training and validation, "
        "or a shortcut.",
        "验证准确率 {value} 高得可疑：检查训练与验证是否有相同提示，或存在捷径。",
    ),
    "rule.above_bayes": ("The reward model is not better than possible", "奖励模型没有好过理论上限"),
    "rule.above_bayes.says": (
        "It agrees with decisions {value} of the time where {best} is the best possible: a leak between training "
        "and test is likely.",
        "它与标注决定一致 {value}，而理论最好是 {best}：训练和测试之间很可能有泄漏。",
    ),
    "rule.length_only": ("The reward model knows more than length", "奖励模型不只看长度"),
    "rule.length_only.says": (
        "Accuracy {value} is hardly better than choosing by length alone, {length}.",
        "准确率 {value} 几乎不比只看长度的 {length} 好。",
    ),
    "rule.finished": ("At least {percent:g}% of responses finish by themselves", "至少 {percent:g}% 的回答自行结束"),
    "rule.finished.says": (
        "Only {value} of the final model's responses finish by themselves; the rest are cut off.",
        "最终模型只有 {value} 的回答自行结束，其余被截断。",
    ),
    "rule.length": ("Length changes by less than {percent:g}%", "长度变化不到 {percent:g}%"),
    "rule.length.says": (
        "Length went from {sft} to {final} tokens: check that the score does not simply like long answers or "
        "short ones.",
        "长度从 {sft} 变到 {final} 个词元：检查得分是否只是偏爱长答案或短答案。",
    ),
    "rule.repetition": (
        "Repetition does not rise by more than {percent:g} points",
        "重复上升不超过 {percent:g} 个百分点",
    ),
    "rule.repetition.says": ("Repetition rose from {sft} to {final}.", "重复从 {sft} 升到 {final}。"),
    "rule.lineage": ("Each stage read what the stage before it wrote", "每个阶段读的正是上一阶段写的"),
    "rule.lineage.says": (
        "{stage} read {path} as {read}, but {maker} has written it as {written}: one of them was run again. Run "
        "{stage} again too.",
        "{stage} 读到的 {path} 是 {read}，而 {maker} 写下的是 {written}：其中一个重跑过。请把 {stage} 也重跑。",
    ),
    "rule.warned": ("No stage gave a warning of its own", "没有阶段自己报警"),
    "rule.warned.says": ("{names}", "{names}"),
    "rule.unfinished": ("Every stage came to its end", "每个阶段都跑完了"),
    "rule.unfinished.says": ("Not finished: {names}.", "没有跑完：{names}。"),
    "rule.versions": ("All stages ran with the same versions", "各阶段的版本相同"),
    "rule.versions.says": ("Stages ran with different versions: {names}.", "各阶段的版本不同：{names}。"),
    "rule.not_numbers": ("Every recorded value is a number", "记录的值都是数"),
    "rule.not_numbers.says": (
        "NaN or infinity was recorded in {names}; such values are left out here.",
        "{names} 里有 NaN 或无穷，这里已略去。",
    ),
    "run.says": (
        "Each stage with its command, what it read and what it wrote. Equal fingerprints are equal bytes.",
        "每个阶段的命令、读入与写出。指纹相同，内容就逐字节相同。",
    ),
    "run.again.says": (
        "The same recipe with the same seed, versions and threads gives the same fingerprints:",
        "同样的配方、种子、版本和线程数，得到同样的指纹：",
    ),
    "footer": (
        "This page is one file. It loads nothing from anywhere. The same numbers are in summary.json beside it.",
        "本页是单个文件，不从任何地方加载内容。同样的数字在旁边的 summary.json 里。",
    ),
}
