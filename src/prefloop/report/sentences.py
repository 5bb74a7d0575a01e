"""The page's whole sentences in English and Chinese."""

SENTENCES: dict[str, tuple[str, str]] = {
    "intervals": (
        "Numbers in brackets are 95 % intervals for other prompts of the same kind. A difference is "
        "called clear only if two intervals do not touch, a win rate only if its interval leaves out "
        "one half.",
        "方括号里是对同类其他提示的 95% 区间。两个区间互不相接时才说差别明显；胜率的区间不含一半时才说胜负明显。",
    ),
    "verdict.none": (
        "This run was not evaluated, so it cannot say whether people would like the final model better. "
        "What did run is shown below.",
        "本次没有评测，所以无法判断最终模型是否更受欢迎。下面是实际运行的部分。",
    ),
    "verdict.won": (
        "Judged by {judge}, the final model wins: {rate} of comparisons with {before} on held-out "
        "prompts, a tie counting as half.",
        "由{judge}裁判，最终模型胜出：在留出的提示上与 {before} 对比，胜率 {rate}（平局算一半）。",
    ),
    "verdict.lost": (
        "Judged by {judge}, the final model loses: it wins only {rate} of comparisons with {before} "
        "on held-out prompts, a tie counting as half.",
        "由{judge}裁判，最终模型落败：在留出的提示上与 {before} 对比，胜率只有 {rate}（平局算一半）。",
    ),
    "verdict.unclear": (
        "Judged by {judge}, the final model wins {rate} of comparisons with {before} on held-out "
        "prompts, a tie counting as half: no clear difference.",
        "由{judge}裁判，在留出的提示上与 {before} 对比，最终模型的胜率是 {rate}（平局算一半），差别并不明显。",
    ),
    "verdict.self_judged": (
        " That judge is the very score that was optimised, so it says nothing about people.",
        "这个裁判正是被优化的得分，因此不能说明人是否喜欢。",
    ),
    "verdict.no_win_rate": (
        "The final model was not compared head to head with {before}.",
        "最终模型没有与 {before} 逐条对比。",
    ),
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
        "It drifted {value} nats per response from {before}, where {limit} were allowed.",
        "它与 {before} 的偏离是每条回答 {value} 奈特，上限为 {limit}。",
    ),
    "verdict.proxy": (
        "The score is only a proxy: it orders {accuracy} of the held-out pairs as the truth does.",
        "得分只是代理：留出的对里，它有 {accuracy} 与真实偏好排得一致。",
    ),
    "flow.says": (
        "Every solid box is a step that ran; the letters are fingerprints of what it wrote, the "
        "numbers are its last measurements. Dashed boxes did not run here.",
        "每个实线方框是实际运行的一步；字母串是产物的指纹，数字是它最后的测量值。虚线方框在这里没有运行。",
    ),
    "table.says": (
        "What was measured before and after, beside what supervised fine-tuning cannot do by itself. "
        "Dots: ochre is {before}, blue is RLHF, on a rail from 0 to 100%.",
        "前后测得的数字，以及监督微调自身做不到的事。圆点：赭色是 {before}，蓝色是 RLHF，横轴从 0 到 100%。",
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
        "The selected model is the most preferred of those within the KL limit, not the last one.",
        "选中的是 KL 上限之内最受偏好的模型，而不是最后一个。",
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
        "What customers truly get; if it bends down while the score still climbs, the proxy is being gamed.",
        "顾客真正得到了多少；若得分还在升而它往下弯，就是在钻代理的空子。",
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
        "Share of tokens whose update was cut off at the trust region and that taught nothing more; "
        "a few percent is healthy, above {clipped} the steps are too large.",
        "在信任域边界被截断、不再起作用的词元比例；百分之几正常，超过 {clipped} 说明步子太大。",
    ),
    "curve.ratio/kl.says": (
        "How far the policy in training is from the one that sampled, mean over a step's updates; "
        "spikes warn of a learning rate that is too high.",
        "训练中的策略与采样策略相距多远，取一步内各次更新的平均；尖峰说明学习率太高。",
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
        "The loss that was minimised; its value means little by itself, so look for spikes.",
        "被最小化的损失；数值本身意义不大，只需留意尖峰。",
    ),
    "curve.loss/value.says": (
        "Half the critic's squared error, as clipped; should fall, then follow the noise of the scores.",
        "价值模型平方误差的一半（截断后）；应先降，再随得分的噪声起伏。",
    ),
    "curve.kl/coef.says": ("The price of a nat of drift, fixed in this run.", "偏离一奈特的价格，本次固定不变。"),
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
        "Share of held-out pairs with a majority whose chosen response scores higher; it levels off "
        "where the noise of the decisions begins.",
        "有多数意见的留出对里，被选中的回答得分更高的比例；到了决定自身的噪声就不再升。",
    ),
    "curve.reward/loss/train.says": (
        "Should fall and then level off; near zero it has memorised the pairs.",
        "应下降再变平；接近零就是记住了训练对。",
    ),
    "proxy.says": (
        "The policy is trained on this model's score, so its mistakes become the policy's habits. "
        "Each question has a ceiling of its own.",
        "策略按这个模型的得分训练，它的错误会变成策略的习惯。每个问题各有自己的上限。",
    ),
    "proxy.accuracy.says": (
        "{num} held-out pairs, with or without a majority; whoever knows gets 100%",
        "{num} 个留出对，不论有无多数意见；知道真相就是 100%",
    ),
    "proxy.accuracy_labels.says": ("{num} decisions for a side, on held-out pairs", "留出对上 {num} 次选了一边的决定"),
    "proxy.bayes_accuracy.says": (
        "the same decisions: nobody can foresee these annotators better",
        "同样这些决定：谁也不能更好地预见这些标注员",
    ),
    "proxy.length_only_accuracy.says": (
        "the same decisions, longer or shorter as in training",
        "同样这些决定，按训练里的长或短",
    ),
    "proxy.reliability.says": (
        "Votes for a side on held-out pairs, before any temperature. On the dashed line: when it "
        "says 80% sure it is right 80% of the time. Below the line it is overconfident.",
        "留出对上选了一边的票，未经温度校正。在虚线上：说有八成把握时，八成是对的。在线下方就是过于自信。",
    ),
    "proxy.strength.says": ("Strong preferences should be easier than weak ones.", "强偏好应当比弱偏好更容易判对。"),
    "untouched.says": (
        "What all began from, on the same test prompts. If the final model's responses surprise the untouched model "
        "more than its own do, the final model may have left the language that it was taught.",
        "在同样的测试提示上与最初的模型比较。如果最终模型的回答比原始模型自己的回答更令原始模型意外，它可能已经偏离了原来的语言。",
    ),
    "ood.says": (
        "The same measures on familiar prompts and on prompts unlike the training ones.",
        "同样的指标，分别在熟悉的提示和与训练不同的提示上。",
    ),
    "samples.says": (
        "Nobody picked these by hand: up to four with a harmful or over-refusing response, then "
        "evenly spaced from the worst change to the best.",
        "这些不是人工挑的：先列至多四个有害或过度拒答的，其余从变化最差到最好等距抽取。",
    ),
    "warnings.none": ("No rule raised a warning.", "没有规则报警。"),
    "rule.kl": ("KL stays within the limit", "KL 不超过上限"),
    "rule.kl.says": (
        "The selected model is {value} nats from {before}, over the limit of {limit}.",
        "选中的模型与 {before} 相距 {value} 奈特，超过上限 {limit}。",
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
    "rule.card": ("The reward model's health card says that it is ready", "奖励模型的体检卡说可以使用"),
    "rule.card.says": (
        "The reward model's health card says that it is not ready for RL. {reasons}",
        "奖励模型的体检卡说它还不能用于 RL。{reasons}",
    ),
    "rule.above_bayes": ("The reward model is not better than possible", "奖励模型没有好过理论上限"),
    "rule.above_bayes.says": (
        "It agrees with single decisions {value} of the time, and even the low end of that, {low}, "
        "is above the best possible, {best}: a leak between training and test is likely.",
        "它与单次决定一致 {value}，连区间下端 {low} 也高于理论最好的 {best}：训练和测试之间很可能有泄漏。",
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
    "rule.judge_order": (
        "The order in which responses are shown does not decide what the judge says",
        "回答的先后顺序不影响评判模型的选择",
    ),
    "rule.judge_order.says": (
        "The model that judged prefers one place: with the order turned it contradicts itself on {flips} of the pairs.",
        "评判模型偏爱某个位置：顺序对调后，它在 {flips} 的回答对上自相矛盾。",
    ),
    "rule.judge_spread": ("The judge's ratings tell responses apart", "评判模型的评分能区分回答"),
    "rule.judge_spread.says": (
        "On an axis the model that judged gave {spread} of the responses one and the same rating.",
        "在某个方面，评判模型给 {spread} 的回答打了同一个分。",
    ),
    "rule.judge_length": ("The judge prefers longer responses no more than people do", "评判模型并不比人更偏爱长回答"),
    "rule.judge_length.says": (
        "Length changed {length} of the judge's decisions beyond what people explain (below zero: for the shorter); "
        "whatever learned from them may have learned that.",
        "除去人的选择所能解释的，长度改变了评判模型 {length} 的决定（负数表示偏爱短的）；由此学到的可能也包括这一点。",
    ),
    "rule.judge_kind": (
        "The judge prefers its own kind no more than people do",
        "评判模型并不比人更偏爱自己一类的回答",
    ),
    "rule.judge_kind.says": (
        "That a response is of the judge's own kind changed {kind} of its decisions beyond what people explain (below "
        "zero: against it).",
        "除去人的选择所能解释的，回答出自评判模型一类这一点改变了它 {kind} 的决定（负数表示反对）。",
    ),
    "rule.judge_agreement": (
        "The judge agrees with people as they agree with each other",
        "评判模型与人的一致率不低于人与人之间",
    ),
    "rule.judge_agreement.says": (
        "It decides as one of the people in {judge} of the cases, and two of them alike in {people}.",
        "它与人一致的比例是 {judge}，而两个人之间是 {people}。",
    ),
    "rule.lineage": ("Each stage read what the stage before it wrote", "每个阶段读的正是上一阶段写的"),
    "rule.lineage.says": (
        "{stage} read {path} as {read}, but {maker} has written it as {written}: one of them was run again. Run "
        "{stage} again too.",
        "{stage} 读到的 {path} 是 {read}，而 {maker} 写下的是 {written}：其中一个重跑过。请把 {stage} 也重跑。",
    ),
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
        "The same recipe with the same seed, versions, threads and kind of processor gives the same fingerprints:",
        "同样的配方、种子、版本、线程数和处理器，得到同样的指纹：",
    ),
    "footer": (
        "This page is one file. It loads nothing from anywhere. The same numbers are in summary.json beside it.",
        "本页是单个文件，不从任何地方加载内容。同样的数字在旁边的 summary.json 里。",
    ),
    "verdict.score_judged": (
        " That judge is a score, a proxy, so it says nothing about people.",
        "这个裁判是一个得分，只是代理，因此不能说明人是否喜欢。",
    ),
    "verdict.proxy_labels": (
        "The score is only a proxy: it agrees with {accuracy} of the annotators' single decisions on held-out pairs.",
        "得分只是代理：在留出的对上，它与标注员单次决定的一致率是 {accuracy}。",
    ),
    "checkpoints.nearest": (
        "No model was within the KL limit: the selected one is the nearest.",
        "没有模型在 KL 上限之内：选中的是离得最近的。",
    ),
    "curve.values/clipped.says": (
        "Share of tokens at which the critic may not move further; if it stays high, value_clip holds the critic back.",
        "价值模型不能再移动的词元比例；一直很高说明 value_clip 拖住了它。",
    ),
    "curve.advantages/std.whitened": (
        "1 by construction: this run whitens its advantages.",
        "按定义为 1：本次把优势做了白化。",
    ),
    "curve.loss/policy.whitened": (
        "Hovers near zero by construction, as advantages have mean 0; look here only for spikes.",
        "优势的均值为 0，所以本来就在零附近；只需留意尖峰。",
    ),
    "curve.kl/coef.adaptive": (
        "The price of a nat of drift; it moves to hold KL at its target of {target} nats.",
        "偏离一奈特的价格；它会变动，以把 KL 稳在 {target} 奈特的目标上。",
    ),
    "curve.reward/loss/train.begun": (
        "A model to which all responses are equal begins at {start}; below {floor}, which it reaches "
        "by knowing how often each answer is given, it has learned from responses; near zero it has "
        "memorised them.",
        "对所有回答一视同仁的模型从 {start} 开始；低于 {floor}（只知道各种回答的频率就能达到）才是从"
        "回答里学到了东西；接近零就是死记。",
    ),
    "proxy.accuracy_decided.says": ("{num} pairs, the easier ones", "{num} 对，较容易的那些"),
    "proxy.annotator_agreement.says": (
        "{num} couples of decisions on one pair, held out or not; no ceiling: a good model may lie above it",
        "{num} 组对同一对的两次决定，不限留出；不是上限：好模型可以更高",
    ),
    "proxy.own_accuracy.says": (
        "{num} held-out preferences, against the decision of the majority",
        "{num} 条留出偏好，对照多数意见的决定",
    ),
    "proxy.own_length.says": (
        "the same preferences, longer or shorter as in training",
        "同样这些偏好，按训练里的长或短",
    ),
    "unchecked.no_reward": (
        "Beyond that it was not checked: the evaluation was given no reward.",
        "此外没有检查：评测时没有给奖励模型。",
    ),
    "unchecked.no_collected": (
        "Beyond that it was not checked: the evaluation was given no `collected` folder, whose "
        "held-out judgements could tell.",
        "此外没有检查：评测时没有给 `collected` 文件夹，要靠其中留出的判断才能检查。",
    ),
    "unchecked.nothing_held_out": (
        "Beyond that it was not checked: the collect stage held nothing out.",
        "此外没有检查：收集阶段没有留出任何比较。",
    ),
    "unchecked.not_judged": (
        "Beyond that it was not checked: of the held-out pairs nobody chose a side, and the truth is not known.",
        "此外没有检查：留出的对没有人选出一边，真实偏好也不知道。",
    ),
    "unchecked.no_evaluation": (
        "Beyond that it was not checked: there is no evaluation.",
        "此外没有检查：没有做评测。",
    ),
    "reason.preferred": (
        "Of {num} models, {name} wins most often against {before} on validation prompts ({rate}, a "
        "tie is half, judged by {judge}) within the KL limit of {limit} nats ({kl} nats).",
        "在 {num} 个模型中，{name} 在验证提示上对 {before} 的胜率最高（{rate}，平局算一半，由"
        "{judge}裁判），且在 KL 上限 {limit} 奈特之内（{kl} 奈特）。",
    ),
    "reason.unclear": (
        " By this judge none is clearly better than {before}.",
        "按这个裁判，没有哪个明显好过 {before}。",
    ),
    "reason.over": (" Preferred more often, but over the limit: {names}.", "胜率更高但超过上限：{names}。"),
    "reason.nearest": (
        "All {num} models drifted further than {limit} nats; {name} drifted least ({kl} nats). Raise "
        "kl_coef (beta in dpo, kto and online-dpo) and train again.",
        "{num} 个模型的偏离都超过 {limit} 奈特；{name} 偏离最小（{kl} 奈特）。请调高 kl_coef"
        "（dpo、kto、online-dpo 中是 beta）再训练。",
    ),
}
