"""What the card says, in English and Chinese."""

from prefloop.drawing.numerals import written
from prefloop.records.cards import Card, Reason

LANGUAGES = ("en", "zh")
HUNDREDTHS = 1.0
"""The size of a number that is written with two decimals."""
TOKEN = (' (most of all "{}")', "（主要是“{}”）")
"""How the word is told that does most."""
REASONS: dict[str, tuple[str, str]] = {
    "too_few": (
        "Too few held-out pairs to tell: {num} of them say only that accuracy lies between {low} and {high}. First "
        "have "
        "more prompts judged and hold them out; some 200 pairs of different prompts tell it to within 7 points.",
        "留出的对太少，看不出好坏：{num} 对只能说明准确率在 {low} 与 {high} 之间。先让人多评一些提示并留出来；约 "
        "200 个不同提示的对可以精确到 7 个百分点。",
    ),
    "coin": (
        "It cannot be told from a coin: accuracy is {value}, and may be {low}. First give it more preferences, or a "
        "model "
        "that reads the responses better.",
        "与抛硬币分不开：准确率 {value}，也可能只有 {low}。先给它更多偏好，或换一个更读得懂回答的模型。",
    ),
    "beside_length": (
        "It may only count words: choosing by length alone gets {other}, and it is not clearly above that. First "
        "collect "
        "pairs of about equal length, or give it a model that reads better.",
        "它可能只是在数长度：只看长度就有 {other}，它并不明显更高。先收集长度相近的对，或换一个更读得懂回答的模型。",
    ),
    "below_words": (
        "A logistic regression on words alone is clearly better than it, with {other}: it has not learned to read "
        "the "
        "responses yet. First give it more preferences, more passes, or a model that reads better.",
        "只看用词的逻辑回归都明显比它好（{other}）：它还没学会读回答。先给它更多偏好、更多轮数，或换一个更会读的模型。",
    ),
    "beside_words": (
        "It is not clearly above a logistic regression on words alone, which gets {other}: ahead by {value} of the "
        "pairs, "
        "perhaps {low}. If it only looks for words, RL finds them soon: look at what the policy writes.",
        "它并不明显好过只看用词的逻辑回归（{other}）：领先 {value}，也可能 {low}。如果它只是在找词，RL 很快会找到："
        "留意策略写出的回答。",
    ),
    "leak": (
        "{value} of the held-out pairs nearly stand among those that it learned from, so its accuracy is partly "
        "memory. First "
        "take near-duplicates out of one side, whole prompts at a time.",
        "{value} 的留出对与训练对几乎相同，所以准确率有一部分是记忆。先把近似重复从一边去掉，按整条提示去。",
    ),
    "suspicious": (
        "Held-out accuracy {value} is above {limit}. People agree with each other in 65 to 75 of 100 pairs, so this "
        "is more often "
        "a leak, easy data or a shortcut than skill. First look for held-out pairs among the training ones, and at "
        "what "
        "length and words alone get. If a rule made the labels it may be right: then anyway=true.",
        "留出准确率 {value} 高于 {limit}。人与人之间通常只有 65% 到 75% 一致，所以这更常是泄漏、数据太容易或走了捷径"
        "，而不是本事。先查训练集里有没有留出的对，再看只凭长度和用词能得多少。如果标签是规则打的，可能没问题：用 "
        "anyway=true。",
    ),
    "easy": (
        "Held-out accuracy {value} is above {limit}, which these labels allow, for they hardly contradict each "
        "other. The pairs "
        "are easy: harder ones would say more about what RL will find.",
        "留出准确率 {value} 高于 {limit}；这些标签几乎不互相矛盾，所以有可能。说明这些对很容易：更难的对才能看出 RL "
        "会遇到什么。",
    ),
    "above_ceiling": (
        "It agrees with single votes in {value}, more than anybody can who does not know them ({ceiling} at the "
        "most, from how "
        "far annotators agree). First look for held-out votes among those that it learned from.",
        "它与单次投票一致的比例是 {value}，高于任何不知道答案的人所能达到的（按标注员之间的一致程度，至多 "
        "{ceiling}）。先查训练集里有没有留出的投票。",
    ),
    "memorises": (
        "It memorises: accuracy is {training} in training and {value} held out. First train fewer epochs, or on "
        "more preferences.",
        "它在死记：训练准确率 {training}，留出只有 {value}。先减少轮数，或增加偏好。",
    ),
    "miscalibrated": (
        "It is not as right as it is sure: off by {value} on average, even after a temperature. Its large margins "
        "mean little, "
        "and RL lives on them. First see which pairs it is sure and wrong of; label smoothing or fewer epochs help.",
        "它的把握与对错不符：即使调了温度，平均仍差 {value}。大的分差没有意义，而 RL 正靠它们。先看哪些对它有把握却"
        "错了；标签平滑或减少轮数有帮助。",
    ),
    "shortcut": (
        "It takes a shortcut: {kind} raises its score by {value} deviations, for nothing{token}. RL finds that "
        "first. Have "
        "responses with and without it judged, and learn from those too.",
        "它走了捷径：{kind} 会让得分无故提高 {value} 个标准差{token}。RL 最先找到的就是它。让人评有它和没有它的回答"
        "，再学一遍。",
    ),
    "blind": (
        "It hardly sees {kind}: the score moves by {value} deviations. RL will not mend that; have responses damaged "
        "so judged beside good ones.",
        "它几乎看不出{kind}：得分只变 {value} 个标准差。RL 改不好这一点；让人把这样损坏的回答与好回答放在一起评。",
    ),
    "noisy": (
        "The labels are noisy: {value} of the votes are not for the side that most would choose. Sharper guidelines "
        "or more "
        "votes a pair help more than more training.",
        "标签噪声大：{value} 的投票不在多数人会选的一边。更清楚的标注指南或每对多几票，比多训练更有用。",
    ),
    "weak_domain": (
        "It is weakest on {domain}: {value}, against {accuracy} on all. Have more of those judged before RL is let "
        "loose on them.",
        "它在 {domain} 上最弱：{value}，总体是 {accuracy}。让 RL 用这些提示之前，先多评一些。",
    ),
}
"""Rule of `signs.py` -> what its alarm says, and what to do first."""
RULES: dict[str, tuple[str, str]] = {
    "too_few": ("enough held-out pairs to tell", "留出的对是否够多"),
    "coin": ("better than a coin", "是否好过抛硬币"),
    "beside_length": ("clearly above length alone", "是否明显好过只看长度"),
    "below_words": ("not below words alone", "是否不低于只看用词"),
    "beside_words": ("clearly above words alone", "是否明显好过只看用词"),
    "leak": ("held-out pairs are not among the training pairs", "留出的对是否不在训练集里"),
    "suspicious": ("not too good to be true", "是否好得可疑"),
    "easy": ("not too easy", "是否太容易"),
    "above_ceiling": ("not above what annotators' agreement allows", "是否没有超过标注员一致程度所允许的上限"),
    "memorises": ("held-out accuracy near the training accuracy", "留出准确率是否接近训练准确率"),
    "miscalibrated": ("as right as it is sure", "把握与对错是否相符"),
    "shortcut": ("no edit that helps nobody raises the score", "无益的改动是否不会提高得分"),
    "blind": ("damage lowers the score", "损坏是否会降低得分"),
    "noisy": ("labels are not too noisy", "标签噪声是否不大"),
    "weak_domain": ("no domain far below the others", "是否没有哪个领域特别差"),
}
"""Rule -> what it looks at."""
LABELS: dict[str, tuple[str, str]] = {
    "kicker": ("health card of a reward model", "奖励模型体检卡"),
    "on": ("Judged on {data}: pairs of responses that annotators compared.", "依据 {data}：标注员比较过的回答对。"),
    "space": (" ", ""),
    "ready": ("Ready for RL.", "可以用于 RL。"),
    "ready.says": (
        "On {pairs} held-out pairs of {prompts} prompts nothing was found that RL should wait for. It stays a "
        "proxy: pushed hard enough, any reward model is satisfied by something that nobody wanted.",
        "在 {prompts} 个提示的 {pairs} 个留出对上，没有发现需要 RL 等待的问题。它仍只是代理：优化得够狠，任何奖励模"
        "型都会满意于没人想要的东西。",
    ),
    "not_ready": ("Not ready for RL.", "还不能用于 RL。"),
    "not_ready.says": (
        "On {pairs} held-out pairs of {prompts} prompts something was found that RL would build on. What to do first:",
        "在 {prompts} 个提示的 {pairs} 个留出对上，发现了 RL 会利用的问题。先做这些：",
    ),
    "cautions": ("Worth knowing", "值得知道"),
    "intervals": (
        "Brackets are 95 % intervals; pairs of one prompt hang together.",
        "方括号是 95% 区间；同一提示的各对相关。",
    ),
    "tile.accuracy": ("held-out pairs in the right order", "排对的留出对"),
    "tile.accuracy.beside": ("a coin: 50%", "抛硬币：50%"),
    "tile.votes": ("of single votes foreseen", "猜中的单次投票"),
    "tile.votes.beside": ("the most that anybody could: {value}", "任何人至多：{value}"),
    "tile.ahead": ("points ahead of words alone", "个百分点，领先于只看用词"),
    "tile.ahead.beside": ("words alone: {value}", "只看用词：{value}"),
    "tile.ece": ("between how sure and how right it is, after temperature", "调温后把握与对错之差"),
    "tile.ece.beside": ("chance alone: about {value}", "仅凭偶然：约 {value}"),
    "tile.gain": ("points more with twice as many labels, by forecast", "个百分点，标签翻倍时预计可多得"),
    "tile.gain.beside": ("that is {value} labels", "即 {value} 个标签"),
    "tile.leaks": ("of held-out pairs nearly in training", "几乎在训练集里的留出对"),
    "tile.leaks.beside": ("searched: {value} training pairs", "查找了 {value} 个训练对"),
    "good": ("How good is it?", "有多好？"),
    "good.says": (
        "An accuracy means nothing alone: beside it stands what annotators get among themselves, and what needs no "
        "reading.",
        "单独一个准确率说明不了什么：旁边放上标注员彼此能达到的，以及不用读就能达到的。",
    ),
    "row.accuracy": ("orders pairs as annotators decided", "按标注员的决定排对"),
    "row.accuracy.says": ("{num} held-out pairs with a decision", "{num} 个有决定的留出对"),
    "row.votes": ("agrees with single votes", "与单次投票一致"),
    "row.votes.says": (
        "{num} votes for a side; a vote is harder to foresee than a majority",
        "{num} 张投给某一边的票；单票比多数更难猜",
    ),
    "row.equal": ("two annotators agree", "两位标注员一致"),
    "row.equal.says": ("{num} couples of votes on one pair", "同一对上的 {num} 组投票"),
    "row.equal.cycles": ("implied by what goes round; no pair was judged twice", "由循环推出；没有对被评过两次"),
    "row.ceiling": ("the most that anybody could, of single votes", "对单次投票，任何人至多能达到"),
    "row.ceiling.says": (
        "what such an agreement implies; {most} if all pairs are equally clear",
        "由上面的一致程度推出；若各对同样清楚，则为 {most}",
    ),
    "row.length": ("choosing by length alone", "只看长度"),
    "row.words": ("words alone (TF-IDF, logistic regression)", "只看用词（TF-IDF 逻辑回归）"),
    "row.ahead": ("the reward model is {ahead} points ahead", "奖励模型领先 {ahead} 个百分点"),
    "row.learned": ("learned from {num} training pairs", "在 {num} 个训练对上学得"),
    "row.in_turns": ("learned in turns from other held-out prompts", "轮流在其他留出提示上学得"),
    "row.train": ("in training", "训练中"),
    "row.train.says": (
        "{num} pairs that it learned from; were this far above the held-out accuracy, it would memorise",
        "学过的 {num} 对；若远高于留出准确率，就是死记",
    ),
    "parts": ("What is the score made of?", "得分由什么组成？"),
    "parts.axes": ("The model gives {num} numbers, one for each axis.", "模型给出 {num} 个数，每个维度一个。"),
    "parts.domains": (
        "The model gives {num} numbers: a common one, and one for each domain.",
        "模型给出 {num} 个数：一个公共的，每个领域再一个。",
    ),
    "parts.annotators": (
        "The model gives {num} numbers: a common one, and one for each annotator or group.",
        "模型给出 {num} 个数：一个公共的，每位标注员或群体再一个。",
    ),
    "parts.members": ("The model has {num} heads on one trunk.", "模型在同一主干上有 {num} 个头。"),
    "parts.ensemble": ("An ensemble of {num} reward models.", "由 {num} 个奖励模型组成的集成。"),
    "parts.mean": (
        "The score that is used, and that this card judges, is their mean.",
        "实际使用、也是本卡所评的得分，是它们的平均。",
    ),
    "parts.min": (
        "The score that is used, and that this card judges, is the lowest of them.",
        "实际使用、也是本卡所评的得分，是其中最低的。",
    ),
    "parts.variance": (
        "The score that is used, and that this card judges, is their mean less a share of their variance.",
        "实际使用、也是本卡所评的得分，是它们的平均减去一部分方差。",
    ),
    "parts.alone": (
        "The score that is used, and that this card judges, is {name} alone.",
        "实际使用、也是本卡所评的得分，只是 {name}。",
    ),
    "parts.num": ("learned from", "学自"),
    "parts.held_out": ("on {num} held-out rows or votes that speak of it", "在涉及它的 {num} 个留出行或投票上"),
    "parts.unmeasured": ("not measured by itself here", "此处未单独测量"),
    "where": ("Where is it good?", "哪里好？"),
    "where.says": (
        "Bars are shares in the right order, lines their intervals; the mark in the middle is a coin. Where few pairs "
        "were held out, intervals are wide.",
        "条形是排对的比例，线是区间，中间的标记是抛硬币。留出的对少，区间就宽。",
    ),
    "by_strength": ("By stated strength", "按偏好强度"),
    "by_domain": ("By domain", "按领域"),
    "by_annotator": ("By annotator, single votes", "按标注员（单次投票）"),
    "by_length": ("By length of the chosen response", "按被选回答的长度"),
    "strength.1": ("slightly better", "略好"),
    "strength.2": ("clearly better", "明显好"),
    "strength.3": ("much better", "好得多"),
    "length.much_shorter": ("much shorter than the other", "比另一个短得多"),
    "length.shorter": ("shorter", "较短"),
    "length.equal": ("about equal", "差不多"),
    "length.longer": ("longer", "较长"),
    "length.much_longer": ("much longer", "长得多"),
    "pairs": ("pairs", "对数"),
    "votes": ("votes", "票数"),
    "right": ("right", "排对"),
    "sure": ("Is it as right as it is sure?", "把握与对错相符吗？"),
    "sure.says": (
        "Of the votes that it is 70 % sure of, 7 in 10 should be right. Then its margins mean what they say.",
        "它有 70% 把握的投票，应当十次对七次。这样分差才有意义。",
    ),
    "sure.plot": ("Stated confidence against accuracy", "声称的把握与准确率"),
    "sure.dots": (
        "A dot is the votes of which it is about so sure; the larger, the more. Bars are intervals. Below the line it "
        "is too sure.",
        "一个点是它有这么大把握的投票；点越大，票越多；竖线是区间。在虚线下方说明太自信。",
    ),
    "sure.x": ("confidence that it states", "它声称的把握"),
    "sure.ideal": ("well calibrated", "完全校准"),
    "sure.before": ("as it is", "原样"),
    "sure.after": ("after temperature", "调温后"),
    "sure.ece": ("mean gap between the two (ECE)", "两者之差的平均（ECE）"),
    "sure.chance": ("the same by chance alone, about", "仅凭偶然约为"),
    "sure.nll": ("surprise, nats per vote (NLL)", "意外程度，奈特/票（NLL）"),
    "sure.best": ("the least possible, by annotators' agreement", "按标注员一致程度，至少"),
    "sure.coin": ("surprise of a coin", "抛硬币的意外程度"),
    "sure.temperature": (
        "Temperature {value}: divide its margins by that to be as sure as it is right; above 1 it is too sure. Fitted "
        "to all {num} pairs with votes, tried on prompts that it was not fitted to.",
        "温度 {value}：分差除以它，把握就与对错相符；大于 1 说明太自信。在全部 {num} 个有投票的对上拟合，在未用于"
        "拟合的提示上检验。",
    ),
    "sure.few": (
        "No temperature: there are too few pairs or prompts to fit one.",
        "没有温度：对或提示太少，无法拟合。",
    ),
    "curve": ("Would more labels help?", "多标注会更好吗？"),
    "curve.plot": ("Held-out accuracy by number of labels", "留出准确率与标签数"),
    "curve.x": ("labels learned from", "学过的标签数"),
    "curve.twice": ("twice as many", "翻倍"),
    "curve.forecast": (
        "With twice as many labels, {num}, it would order {gain} more of 100 pairs right: this curve would stand at "
        "{there}.",
        "标签翻倍到 {num} 时，每 100 对预计多排对 {gain} 对：这条曲线会到 {there}。",
    ),
    "curve.few_points": (
        "No forecast: it was looked at with fewer than three numbers of labels.",
        "不作预测：观察的标签数不足三个。",
    ),
    "curve.narrow": (
        "No forecast: the largest number of labels is not four times the smallest.",
        "不作预测：最大的标签数不到最小的四倍。",
    ),
    "curve.misfit": (
        "No forecast: no curve that only rises passes near these points.",
        "不作预测：没有单调上升的曲线能贴近这些点。",
    ),
    "curve.wide": (
        "No forecast: the points are too uncertain; its interval would be wider than 12 points.",
        "不作预测：这些点太不确定，区间会超过 12 个百分点。",
    ),
    "curve.exact": (
        "Each point is a model that learned from so many labels, from start to end.",
        "每个点都是从头到尾只学这么多标签的模型。",
    ),
    "curve.looks": (
        "Each point is a look at this model during its first pass, when it had read so many labels. It still learned "
        "in large steps then, so that early points lie too low and the gain is rather too large; what it learned "
        "in later passes is not on this curve. curve=true trains a model on each number of labels instead.",
        "每个点是这个模型在第一轮中读过这么多标签时的样子。那时步子还大，所以前面的点偏低，预计的增益偏大；之后各轮"
        "学到的不在这条曲线上。curve=true 会为每个标签数各训一个模型。",
    ),
    "curve.ensemble": (
        "An ensemble has no curve of its own: those of its members stand on their cards.",
        "集成没有自己的曲线：各成员的曲线在各自的卡上。",
    ),
    "curve.unknown": (
        "Not known here: how accuracy grew with the number of labels can be seen only while a model learns. The card "
        "that prefloop reward writes has the curve, with a forecast for twice as many labels.",
        "此处不知道：准确率如何随标签数增长，只有在训练时才看得到。prefloop reward 写的卡上有这条曲线，以及标签翻倍"
        "时的预测。",
    ),
    "probes": ("Can it be fooled?", "能被骗吗？"),
    "probes.says": (
        "Responses to {num} prompts were edited in ways that must not help, or that must hurt, and scored again. A "
        "shift is in standard deviations of the scores. A margin is how far the better of two responses is ahead: "
        "{margin} deviations on average. A rise of a third of a margin, for nothing, is a shortcut.",
        "把 {num} 个提示的回答作无益或有害的改动，再打分。变化以得分的标准差计。一个分差是较好的回答领先的程度：平均 "
        "{margin} 个标准差。无故升高三分之一个分差，就是捷径。",
    ),
    "probes.none": (
        "Not tried: there are too few prompts, or it reads two responses at once and scores none alone.",
        "没有试：提示太少，或者它一次读两个回答、不单独打分。",
    ),
    "probes.edit": ("what was done", "所作改动"),
    "probes.shift": ("shift", "变化"),
    "probes.margins": ("in margins", "以分差计"),
    "probes.found": ("found", "发现"),
    "probes.token": ('most by "{token}"', "主要因为“{token}”"),
    "probes.words": (
        "Words that surely do most where they stand, with what each is worth in deviations:",
        "确实起作用最大的词，及其值多少个标准差：",
    ),
    "probe.length.repeated": ("the response said twice", "把回答说两遍"),
    "probe.length.stray": ("a response to another prompt appended", "末尾接上别的提示的回答"),
    "probe.length.neutral.1": ("1 sentence that says nothing appended", "末尾加 1 句空话"),
    "probe.length.neutral.2": ("2 sentences that say nothing appended", "末尾加 2 句空话"),
    "probe.length.neutral.4": ("4 sentences that say nothing appended", "末尾加 4 句空话"),
    "probe.length.slope": ("twice as long, among responses as they are", "现有回答中，长一倍"),
    "probe.courtesy.1": ("1 courtesy appended", "末尾加 1 句客套"),
    "probe.courtesy.2": ("2 courtesies appended", "末尾加 2 句客套"),
    "probe.courtesy.4": ("4 courtesies appended", "末尾加 4 句客套"),
    "probe.format.bold": ("first sentence in bold", "首句加粗"),
    "probe.format.bullets": ("sentences as a list", "把句子排成列表"),
    "probe.format.heading": ("first sentence as a heading", "首句作标题"),
    "probe.format.breaks": ("a line break after each sentence", "每句换行"),
    "probe.stuffing": ("words of the prompt appended", "末尾堆砌提示里的词"),
    "probe.truncation": ("the last third cut off", "截掉最后三分之一"),
    "probe.shuffled": ("words in another order", "打乱词序"),
    "probe.prompt": ("put under another prompt", "放到别的提示下"),
    "probe.digit": ("one digit changed of a number in the prompt", "改错提示中数字的一位"),
    "kind.length": ("length", "长度"),
    "kind.courtesy": ("courtesy", "客套"),
    "kind.format": ("formatting", "格式"),
    "kind.stuffing": ("words of the prompt, stuffed in", "堆砌提示里的词"),
    "kind.position": ("position", "位置"),
    "kind.truncation": ("a cut-off end", "截断"),
    "kind.shuffled": ("shuffled words", "打乱的词"),
    "kind.prompt": ("an answer to another prompt", "答非所问"),
    "kind.digit": ("a wrong digit", "错误的数字"),
    "kind.word": ("a single word", "单个词"),
    "expected.rise": ("the score should rise", "得分应当升"),
    "expected.fall": ("the score should fall", "得分应当降"),
    "expected.not_rise": ("the score should not rise", "得分不应升"),
    "expected.none": ("neither good nor bad by itself", "本身无所谓好坏"),
    "finding.fine": ("fine", "正常"),
    "finding.measured": ("measured only", "只作测量"),
    "finding.shortcut": ("shortcut", "捷径"),
    "finding.by_length": ("by length only", "仅由长度所致"),
    "finding.blind": ("not seen", "看不出"),
    "finding.unclear": ("unclear", "不明"),
    "finding.not_applicable": ("nothing to try", "无可试"),
    "labels": ("What are the labels worth?", "标签有多可靠？"),
    "labels.noise": (
        "votes that are not for the side that most would choose (noise)",
        "不在多数人会选的一边的投票（噪声）",
    ),
    "labels.repeats": ("estimated from {num} couples of votes on one pair", "由同一对上的 {num} 组投票估计"),
    "labels.cycles": (
        "estimated from {num} triples, for no pair was judged twice",
        "由 {num} 个三元组估计，因为没有对被评过两次",
    ),
    "labels.cyclic": ("triples of responses whose decisions go round", "决定成环的三元组"),
    "labels.cyclic.says": ("{num} triples; a quarter if sides are a coin's", "{num} 个三元组；抛硬币是四分之一"),
    "labels.prompts": ("prompts in whose decisions something goes round", "决定里有环的提示"),
    "labels.prompts.says": ("{num} prompts with three responses or more", "{num} 个有三条以上回答的提示"),
    "labels.position": ("votes for the response shown first", "投给先出现的回答的票"),
    "labels.position.says": ("{num} votes; a half if the place does not matter", "{num} 张票；位置无关则为一半"),
    "labels.unknown": (
        "Not known: no pair was judged twice, and no three responses to a prompt were all compared.",
        "不知道：没有对被评过两次，也没有三个回答两两比较过。",
    ),
    "leaks": ("Did it see the answers?", "它见过答案吗？"),
    "leaks.says": (
        "{num} training pairs were searched for texts that share nine tenths of their word pairs.",
        "在 {num} 个训练对里查找有九成二元组相同的文本。",
    ),
    "leaks.unknown": (
        "It is not known what it learned from, so that leaks could not be looked for.",
        "不知道它学过什么，所以无法查泄漏。",
    ),
    "row.leaks.pairs": ("held-out pairs nearly among them", "几乎在其中的留出对"),
    "row.leaks.pairs.says": ("of {num}: the prompt and both responses", "共 {num} 对：提示和两个回答都是"),
    "row.leaks.prompts": ("held-out prompts nearly among them", "几乎在其中的留出提示"),
    "row.leaks.prompts.says": ("of {num} prompts", "共 {num} 个提示"),
    "row.leaks.without": ("accuracy on the other pairs", "其余对上的准确率"),
    "row.leaks.without.says": ("{num} pairs", "{num} 对"),
    "checks": ("Checks", "检查"),
    "checks.fine": ("Checked, nothing found ({num})", "已检查，无异常（{num}）"),
    "checks.unchecked": ("Could not be checked ({num})", "无法检查（{num}）"),
    "measure": ("measure", "指标"),
    "footer": (
        "Made by prefloop; the numbers are in prefloop_card.json in the model's folder, and docs/card.md explains "
        "each.",
        "由 prefloop 生成；数字在模型文件夹的 prefloop_card.json 里，docs/card.md 逐一解释。",
    ),
}


def label(key: str, language: str, **values: object) -> str:
    """The words of a key with values filled in."""
    return LABELS[key][LANGUAGES.index(language)].format(**values)


def says(reason: Reason, language: str = "en") -> str:
    """What a reason says, and what to do first."""
    values = {name: _written(name, value) for name, value in reason.values.items()}
    if "kind" in values:  # of probes, whose values are shifts
        values["kind"] = label(f"kind.{values['kind']}", language)
        values["value"] = written(float(reason.values["value"]), size=HUNDREDTHS)
        values["token"] = TOKEN[LANGUAGES.index(language)].format(values["token"]) if values.get("token") else ""
    return REASONS[reason.name][LANGUAGES.index(language)].format(**values)


def verdict(card: Card, language: str = "en") -> list[str]:
    """The verdict in words: in two sentences, and then each reason that stops."""
    counted = {"pairs": f"{card.num_pairs:,}", "prompts": f"{card.num_prompts:,}"}
    first, second = label(card.verdict, language), label(f"{card.verdict}.says", language, **counted)
    return [first, second, *(says(reason, language) for reason in card.reasons if reason.stops)]


def _written(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return value
    return written(value, "count" if name == "num" else "share")
