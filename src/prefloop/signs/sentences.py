"""What each rule about a run says, in English and Chinese: what is so when all is well, what was found, what to do.

Values stand in braces, `{limit}` is the rule's threshold, and no threshold is written out. `saying` fills them in.
"""

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES = ("en", "zh")
Both = tuple[str, str]
"""English and Chinese."""


@dataclass(frozen=True)
class Said:
    """What is said of a rule."""

    rule: Both
    """when it is fine"""
    found: Both
    """of an alarm, with its values"""
    change: Both
    """what to do then"""


SENTENCES: dict[str, Said] = {
    "nan": Said(
        ("Losses and gradients are numbers", "损失和梯度都是数"),
        ("{what} was no number.", "{what} 不是一个数。"),
        ("Lower lr, or set dtype=float32.", "请调低 lr，或设 dtype=float32。"),
    ),
    "first_ratio": Said(
        ("A step's first probability ratios are one", "每一步最初的概率比都是一"),
        (
            "A step's first probability ratios are off one by up to {value}, though nothing had been learned yet: "
            "policy and sampler disagree, so what is learned from these rollouts cannot be trusted.",
            "一步最初的概率比与一相差达 {value}，而此时还什么都没学：策略与采样器不一致，从这些回答里学到的不可信。",
        ),
        (
            "Look for dropout that is on, for another temperature or template where responses are written, or for "
            "weights that were not taken over.",
            "请检查是否开着 dropout、写回答时是否用了别的温度或模板、权重是否没有同步。",
        ),
    ),
    "other_sampling": Said(
        ("Responses are drawn from the policy as it is read", "回答是按读取时的分布采样的"),
        (
            "The first responses are not drawn from the policy as it is read: a token of theirs is {said} nats "
            "likelier than one that is drawn, {value} standard errors from nothing.",
            "最初的回答不是按读取时的策略采样的：其词元的对数概率平均高出 {said} 奈特，偏离零 {value} 个标准误。",
        ),
        (
            "Sample at the temperature that the losses are computed at, without top_p, top_k or penalties, with "
            "dropout off and the same template.",
            "采样的温度要与计算损失时相同，不用 top_p、top_k 或惩罚，关掉 dropout，用同一个模板。",
        ),
    ),
    "clipped": Said(
        ("At most {limit} of tokens have their update cut off", "更新被截断的词元不超过 {limit}"),
        (
            "The update of {value} of the tokens is cut off at the trust region, more than {limit}.",
            "{value} 的词元更新在信任域边界被截断，超过 {limit}。",
        ),
        ("Lower lr, or take fewer epochs.", "请调低 lr 或减少轮数。"),
    ),
    "policy_kl": Said(
        (
            "An update moves the policy by at most {limit} nats per token from the one that sampled",
            "一步之内策略离采样时不超过 {limit} 奈特/词元",
        ),
        (
            "Within a step the policy moves {value} nats per token away from the one that wrote the responses, more "
            "than {limit}: what it learns from is no longer what it would write.",
            "一步之内策略离写回答时的自己有 {value} 奈特/词元，超过 {limit}：它学的已不是它会写的。",
        ),
        ("Lower lr, take fewer epochs, or set max_policy_kl.", "请调低 lr、减少轮数，或设 max_policy_kl。"),
    ),
    "kl": Said(
        ("Drift from the reference is within its limit", "对参考模型的偏离没有超限"),
        (
            "A response is {value} nats away from the reference, more than {limit}.",
            "一个回答离参考模型 {value} 奈特，超过 {limit}。",
        ),
        ("Raise kl_coef (beta in online-dpo), or lower lr.", "请调高 kl_coef（online-dpo 中是 beta），或调低 lr。"),
    ),
    "entropy": Said(
        ("Entropy keeps at least {limit} of what it was", "熵至少保持原来的 {limit}"),
        (
            "The entropy fell from {before} to {after} nats per token, to less than {limit}: the policy is collapsing "
            "onto few responses.",
            "熵从 {before} 降到 {after} 奈特/词元，不到原来的 {limit}：策略正在坍缩到少数回答。",
        ),
        (
            "Raise what holds it to the reference (kl_coef, or beta in online-dpo) or entropy_coef, or lower lr.",
            "请调高 kl_coef（online-dpo 中是 beta）或 entropy_coef，或调低 lr。",
        ),
    ),
    "grad_spike": Said(
        ("No gradient is more than {limit} times the usual", "没有梯度超过平常的 {limit} 倍"),
        (
            "A gradient was {value} long where {usual} is usual, more than {limit} times as long.",
            "有一个梯度长 {value}，平常是 {usual}，超过 {limit} 倍。",
        ),
        (
            "Lower lr or max_grad_norm, and look at the responses and scores of that step.",
            "请调低 lr 或 max_grad_norm，并看看那一步的回答和得分。",
        ),
    ),
    "advantage_scale": Said(
        ("Advantages keep their scale", "优势的尺度不变"),
        (
            "The deviation of advantages grew from {before} to {after}, more than {limit} times: updates are as much "
            "larger as if lr had grown.",
            "优势的标准差从 {before} 涨到 {after}，超过 {limit} 倍：更新也大了这么多，就像 lr 涨了一样。",
        ),
        (
            "Set whiten_advantages=true, or score_norm=running with score_clip.",
            "请设 whiten_advantages=true，或 score_norm=running 加 score_clip。",
        ),
    ),
    "critic_blind": Said(
        ("The critic foresees something of the returns", "评论家能预见一部分回报"),
        (
            "At the end the critic foresees nothing of what responses earn (explained variance {value}): advantages "
            "are as noisy as without it.",
            "到末段评论家对回报毫无预见（解释方差 {value}）：优势的噪声与没有它时一样大。",
        ),
        (
            "Raise head_lr or value_coef, take critic=separate, warm the critic up first, or type prefloop rloo, which "
            "needs none.",
            "请调高 head_lr 或 value_coef，或用 critic=separate，或先预热评论家，或改用不需要它的 prefloop rloo。",
        ),
    ),
    "value_loss": Said(
        ("The critic's error does not grow", "评论家的误差不增长"),
        (
            "The critic's squared error is {after}, more than {limit} times the {before} that it was at first, or that "
            "saying the mean would cost: it is torn, or what it must foresee has changed its scale.",
            "评论家的平方误差是 {after}，超过起初（或只说均值时）的 {before} 的 {limit} 倍："
            "它被带偏了，或要预见的量换了尺度。",
        ),
        (
            "Lower head_lr, limit scores (score_clip, score_norm=running), or take critic=separate.",
            "请调低 head_lr，限制得分（score_clip、score_norm=running），或用 critic=separate。",
        ),
    ),
    "negative_kl": Said(
        ("Drift from the reference is not below nothing", "对参考模型的偏离不为负"),
        (
            "Drift from the reference is {value} nats per response, and a true one is never below nothing: what is "
            "read is not what was sampled.",
            "对参考模型的偏离是每个回答 {value} 奈特，而真正的偏离不会为负：读的不是采样的那个。",
        ),
        (
            "The usual causes are another temperature, top_p or top_k where responses are written, dropout, another "
            "template, or padding that is counted.",
            "常见原因：写回答时用了别的温度、top_p 或 top_k，开着 dropout，模板不同，或把填充也算了进去。",
        ),
    ),
    "wandering_kl": Said(
        ("Drift from the reference changes smoothly", "对参考模型的偏离变化平稳"),
        (
            "Drift from the reference jumps from step to step, by {value} of its mean and more than {limit}.",
            "对参考模型的偏离一步一跳，跳动是其平均的 {value}，超过 {limit}。",
        ),
        (
            "Lower lr, ask for more rollouts_per_step, or raise kl_horizon where kl_target steers; dropout that is on "
            "does it too.",
            "请调低 lr，增大 rollouts_per_step，或在用 kl_target 时调高 kl_horizon；开着 dropout 也会这样。",
        ),
    ),
    "flat": Said(
        ("Responses to a prompt earn different scores", "同一提示的回答得分有高有低"),
        (
            "Of {value} of the prompts every response earns the same, and so teaches nothing.",
            "{value} 的提示所有回答得分都相同，因而什么也没教会。",
        ),
        (
            "Ask for more responses to a prompt, a higher temperature, prompts that are neither too easy nor too hard, "
            "or in grpo more tries.",
            "请增加每个提示的回答数、提高温度、换难易适中的提示，或在 grpo 中增加 tries。",
        ),
    ),
    "cut_off": Said(
        ("The score does not rise while responses stop ending", "得分没有靠回答不结束而上升"),
        (
            "The score rose from {s0} to {s1} while fewer responses end by themselves ({before}, then {after}): the "
            "reward is probably being gamed.",
            "得分从 {s0} 升到 {s1}，自行结束的回答却少了（{before}，后来 {after}）：很可能在钻奖励的空子。",
        ),
        ("Read samples.jsonl, or raise unfinished_penalty.", "请看 samples.jsonl，或调高 unfinished_penalty。"),
    ),
    "endless": Said(
        ("Responses go on ending by themselves", "回答一直能自行结束"),
        (
            "Responses that never end are {after} of all; they were {before}.",
            "不结束的回答占 {after}，原来是 {before}。",
        ),
        (
            "Raise unfinished_penalty or kl_coef, or constrain length: the reward may like long responses.",
            "请调高 unfinished_penalty 或 kl_coef，或约束长度：奖励可能偏爱长回答。",
        ),
    ),
    "repeats": Said(
        ("Responses do not repeat themselves more", "回答没有更多地重复自己"),
        (
            "Responses repeat themselves: {after} of their word pairs have been used before in the same response; it "
            "was {before}.",
            "回答在重复自己：{after} 的相邻词对在同一回答里已用过，原来是 {before}。",
        ),
        (
            "Raise kl_coef, and teach the reward model with such responses as worse ones.",
            "请调高 kl_coef，并把这样的回答作为较差的一方教给奖励模型。",
        ),
    ),
    "stuffing": Said(
        ("No word takes over", "没有哪个词泛滥"),
        (
            "One word is {after} of all words that are written; the commonest was {before}.",
            "一个词占了全部用词的 {after}，原来最常见的占 {before}。",
        ),
        (
            "Look at which word the reward pays for, and teach the reward model with stuffed responses as worse ones.",
            "请看奖励在为哪个词付分，并把堆砌的回答作为较差的一方教给奖励模型。",
        ),
    ),
    "empty": Said(
        ("Responses say something", "回答有内容"),
        ("{after} of the responses say nothing at all; it was {before}.", "{after} 的回答是空的，原来是 {before}。"),
        (
            "See what the reward gives for nothing, and whether a penalty makes silence the cheapest.",
            "请看奖励给空回答多少分，是否某个惩罚让沉默最划算。",
        ),
    ),
    "at_once": Said(
        ("Responses do not end at once", "回答没有一开口就结束"),
        (
            "{after} of the responses end after a token or at once; it was {before}.",
            "{after} 的回答一两个词元就结束，原来是 {before}。",
        ),
        (
            "See whether the reward or a penalty (per token, for what is unfinished) makes short responses the "
            "cheapest; raise kl_coef.",
            "请看奖励或某个惩罚（按词元、对未结束的）是否让短回答最划算；调高 kl_coef。",
        ),
    ),
    "copies_prompt": Said(
        ("Responses do not copy the prompt", "回答没有照抄提示"),
        (
            "{after} of what responses say (in threes of words) stands in their prompt; it was {before}.",
            "回答里 {after} 的内容（以三词计）就在提示里，原来是 {before}。",
        ),
        (
            "The reward may count words of the prompt: teach it with such responses as worse ones; raise kl_coef.",
            "奖励可能在数提示里的词：把这样的回答作为较差的一方加入其训练；调高 kl_coef。",
        ),
    ),
    "language": Said(
        ("Responses keep to the prompt's script", "回答保持提示的文字"),
        (
            "{after} of the letters of responses are of a script that their prompt has not; it was {before}.",
            "回答里 {after} 的文字是提示没有的文字，原来是 {before}。",
        ),
        (
            "The reward cannot read that script: add such responses to its training as worse ones; raise kl_coef.",
            "奖励读不懂那种文字：把这样的回答作为较差的一方加入其训练；调高 kl_coef。",
        ),
    ),
    "gibberish": Said(
        ("Responses stay likely to the reference", "参考模型仍认得这些回答"),
        (
            "To the reference a token of the responses is a surprise of {after} nats; it was {before}: this is hardly "
            "language to it.",
            "对参考模型来说回答的一个词元意外 {after} 奈特，原来是 {before}：它看来已不像语言。",
        ),
        (
            "Raise kl_coef, lower lr, and do not trust the reward there: it has never read such text.",
            "请调高 kl_coef、调低 lr；此处不要信奖励：它从没读过这样的文字。",
        ),
    ),
    "mode_collapse": Said(
        ("Responses go on differing from each other", "回答仍各不相同"),
        (
            "Only {after} of the word pairs of a step's responses are different; it was {before}: all say the same.",
            "一步的回答里只有 {after} 的词对互不相同，原来是 {before}：说的都一样。",
        ),
        (
            "Raise entropy_coef or kl_coef (beta in online-dpo), or lower lr.",
            "请调高 entropy_coef 或 kl_coef（online-dpo 中是 beta），或调低 lr。",
        ),
    ),
    "same_start": Said(
        ("Responses go on beginning differently", "回答的开头仍各不相同"),
        (
            "{after} of the responses begin with one token; it was {before}.",
            "{after} 的回答以同一个词元开头，原来是 {before}。",
        ),
        (
            "Look at what the reward pays for that beginning; raise entropy_coef or kl_coef.",
            "请看奖励为这个开头付了多少；调高 entropy_coef 或 kl_coef。",
        ),
    ),
    "length_drift": Said(
        ("Length stays within {limit} of what it was", "长度变化不超过 {limit}"),
        (
            "Responses have {after} tokens where they had {before}, a change of more than {limit}.",
            "回答长 {after} 个词元，原来是 {before}，变化超过 {limit}。",
        ),
        (
            "See what the reward gives for length alone (its health card says), constrain length, or raise kl_coef.",
            "请看奖励单凭长度给多少分（健康卡上有），约束长度，或调高 kl_coef。",
        ),
    ),
    "shallow": Said(
        ("The score is more than one shallow thing", "分数不只是一件表面的事"),
        (
            "The score goes with {paid}: their correlation is {value}, so that it pays for little else, and the policy "
            "will learn that.",
            "分数随{paid}而变，相关系数为 {value}：别的它几乎不计，策略会学的就是这个。",
        ),
        (
            "If that is not what you want, take it off the reward, or teach the reward model with judged pairs that "
            "differ in nothing but that.",
            "若这不是您要的，请从奖励里扣掉它，或用只在这一点上不同、经人判断的对来训练奖励模型。",
        ),
    ),
    "disagreement": Said(
        ("The reward models agree as they did", "奖励模型之间仍一样一致"),
        (
            "The score rose from {s0} to {s1} while the reward models disagree more, by {after} where it was {before}: "
            "some of them are being fooled.",
            "得分从 {s0} 升到 {s1}，而奖励模型之间的分歧从 {before} 变成 {after}：其中一些正被骗。",
        ),
        (
            "Take combine=min, have these responses judged, and refresh the reward models.",
            "请用 combine=min，把这些回答交人判断，再刷新奖励模型。",
        ),
    ),
    "unusual": Said(
        ("The reward model knows such responses", "奖励模型认得这样的回答"),
        (
            "{after} of the responses are unusual to the reward model; it was {before}: its scores are guesses there.",
            "{after} 的回答对奖励模型来说很不寻常，原来是 {before}：那里的得分只是猜测。",
        ),
        (
            "Have such responses judged and refresh the reward model, or set outliers=clip.",
            "请把这些回答交人判断并刷新奖励模型，或设 outliers=clip。",
        ),
    ),
    "hacking": Said(
        ("What the reward likes better is better", "奖励更喜欢的确实更好"),
        (
            "The score rose from {s0} to {s1} while {by} fell from {o0} to {o1}: the policy pleases the reward and "
            "nobody else.",
            "得分从 {s0} 升到 {s1}，而 {by} 从 {o0} 降到 {o1}：策略讨好的只是奖励。",
        ),
        (
            "Stop at an earlier policy, have these responses judged, refresh the reward model with them, or raise "
            "kl_coef.",
            "请退回更早的策略，把这些回答交人判断，用它们刷新奖励模型，或调高 kl_coef。",
        ),
    ),
    "biased": Said(
        ("Scores and another judge do not differ by one shallow thing", "得分与另一评判的差别不是一件表面的事"),
        (
            "What {by} does not explain of the scores, {share} of their variance, goes with {paid}: their correlation "
            "is {value}.",
            "{by} 解释不了的那部分得分（方差的 {share}）随{paid}而变，相关系数为 {value}。",
        ),
        (
            "Take it off the reward, or teach the reward model with judged pairs that differ in nothing but that.",
            "请从奖励里扣掉它，或用只在这一点上不同、经人判断的对来训练奖励模型。",
        ),
    ),
    "past_peak": Said(
        ("Drift has not passed where it stops paying", "偏离没有超过不再划算之处"),
        (
            "The policy is {value} nats away, and by its own curve d (a - b log d) what is truly liked falls from "
            "{peak} nats on.",
            "策略已偏离 {value} 奈特，而按它自己的曲线 d (a - b log d)，过了 {peak} 奈特真实喜好就下降。",
        ),
        ("Stop there: take the policy nearest to it, or set kl_target.", "请停在那里：取最近的策略，或设 kl_target。"),
    ),
    "stale": Said(
        ("The reward model judges today's responses as well as it did", "奖励模型对现在的回答判断得和从前一样好"),
        (
            "On the current policy's own pairs the reward model is right in {value} (at most {high}), where it was in "
            "{then} when it was trained: the responses have moved on.",
            "在当前策略自己的对上奖励模型只对了 {value}（至多 {high}），训练时是 {then}：回答已经变了。",
        ),
        (
            "Have pairs of the current policy judged, and refresh the reward model with replay.",
            "请把当前策略的对交人判断，并用回放刷新奖励模型。",
        ),
    ),
    "never_stops": Said(
        ("At least {limit} of the responses end by themselves", "至少 {limit} 的回答能自行结束"),
        (
            "Only {value} of the responses end by themselves: the model has not learned to stop.",
            "只有 {value} 的回答自行结束：模型没学会停下。",
        ),
        (
            "See that demonstrations end with the template's end token and are not cut off; train longer.",
            "请检查示范是否以模板的结束词元结尾、没有被截断；再多训一些。",
        ),
    ),
    "memorised": Said(
        ("What was held out is hardly more surprising", "留出的内容并不更意外"),
        (
            "The training loss is {training} and the held-out one {value}: it knows its demonstrations by heart.",
            "训练损失是 {training}，留出的是 {value}：它把示范背了下来。",
        ),
        ("Take fewer epochs, a lower lr, or more demonstrations.", "请减少轮数、调低 lr，或增加示范。"),
    ),
    "overfit": Said(
        ("The held-out loss ends near its lowest", "留出损失最后仍接近最低"),
        (
            "The held-out loss is {value}, and was {best} at its best: what came since was memorised.",
            "留出损失是 {value}，最好时是 {best}：之后学的只是死记。",
        ),
        (
            "Take fewer epochs or a lower lr, or the policy that was kept at its best.",
            "请减少轮数或调低 lr，或取最好时的策略。",
        ),
    ),
    "chosen_falls": Said(
        ("Better responses do not become unlikely with all others", "好的回答没有与其余一起变得不可能"),
        (
            "The better responses lost likelihood, from {c0} to {c1} nats, while the entropy fell from {before} to "
            "{after}: what has become likely instead is in no pair.",
            "更好的回答从 {c0} 降到 {c1} 奈特，熵也从 {before} 降到 {after}：变得可能的是哪一对里都没有的东西。",
        ),
        (
            "Raise beta, lower lr, or hold the better responses up: nll_coef, or dpop_coef.",
            "请调高 beta、调低 lr，或托住更好的回答：nll_coef 或 dpop_coef。",
        ),
    ),
    "forgetting": Said(
        ("No skill is lost", "没有丢掉能力"),
        (
            "{skill} got worse by {value}, at least {low}: more than the {most} that it may.",
            "{skill} 变差了 {value}，至少 {low}，超过允许的 {most}。",
        ),
        (
            "Mix demonstrations or base texts in (ptx), or raise kl_coef.",
            "请混入示范或基础文本（ptx），或调高 kl_coef。",
        ),
    ),
    "false_confidence": Said(
        ("What nobody can know is left open", "无人能知的就不下断言"),
        (
            "{value} of the prompts that cannot be answered were answered as if they could.",
            "{value} 的无法回答的提示被当作能回答的来回答。",
        ),
        (
            "Add demonstrations that say so when something is not known, and pairs in which the invented answer is the "
            "worse one.",
            "请加入在不知道时就说不知道的示范，以及编造的答案为较差一方的对。",
        ),
    ),
}
