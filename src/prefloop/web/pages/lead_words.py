"""The words of the leads' pages in English and Chinese, over those of everybody's pages."""

import json
import time
from typing import Any

from prefloop.web.pages.project_words import PROJECT, PROJECT_SCRIPTS
from prefloop.web.pages.words import Words

PAGES: dict[str, tuple[str, str]] = {
    "desk.dashboard": ("Progress", "进度"), "desk.annotators": ("Annotators", "标注员"),
    "desk.agreement": ("Agreement", "一致性"), "desk.selection": ("What to ask next", "下一步标什么"),
    "desk.adjudication": ("Adjudication", "裁决"), "desk.arena": ("Arena", "对比赛"),
    "desk.data": ("Data in and out", "数据导入导出"),
    "none.yet": ("Nothing yet.", "暂无数据。"),
    "undefined": ("none: {why}", "无：{why}"),
    "of": ("{a} of {b}", "{a} / {b}"),
    "interval": ("{rate}, between {low} and {high}", "{rate}，区间 {low} 至 {high}"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "desk.save": ("Save", "保存"), "desk.go": ("Do it", "执行"),
    # progress
    "dashboard.says": ("Kept up to date while it is open.", "页面打开期间自动更新。"),
    "begin.title": ("Before the first judgement", "开始评判之前"),
    "begin.guideline": ("Write when a response is better, and what a tie is", "写明怎样算更好，怎样算平手"),
    "begin.settings": ("Say what is asked, and how often each item is judged", "设定提问方式和每题评判人数"),
    "begin.items": ("Give some items the answer that is right (gold), or make a practice round",
        "为部分题目设定标准答案（金标），或制作练习题"),
    "begin.people": ("Invite annotators", "邀请标注员"),
    "dashboard.hours": ("Judgements in each hour", "每小时评判数"),
    "dashboard.curve": ("Reward accuracy against the number of labels", "奖励准确率与标注数量"),
    "dashboard.curve_says": ("The curve is of a small model of words, learned again every minute and tried on prompts "
        "that it has not seen; your reward model should do better, and shows in the table when its scores are brought "
        "in under “Advanced”. The bars are 95 % intervals.",
        "曲线来自一个每分钟重新训练、并在未见过的提示上检验的小型词汇模型；您的奖励模型应当更好，在“高级”页导"
        "入其分数后会列入表中。竖线为 95 % 区间。"),
    "dashboard.tags": ("Tags", "标签"),
    "dashboard.tags_says": ("Comparisons judged for each tag. A tag with a floor is shown even if nothing has it.",
        "各标签已评判的比较数。设了下限的标签即使没有数据也会列出。"),
    "dashboard.people": ("Who worked since yesterday", "最近一天的工作者"),
    "dashboard.settings": ("Cost and floors", "成本与下限"),
    "dashboard.cost_hour": ("Cost of an hour of attention", "每小时人工成本"),
    "dashboard.currency": ("Currency", "货币"),
    "dashboard.floors": ("Floors: how many comparisons with a tag must be judged", "下限：带某标签、必须评判的比较数"),
    "dashboard.floors_says": ("Give the red-team tags one, so that they are never silently empty. An empty number is "
        "no floor.",
        "请为红队标签设置下限，避免其悄然为空。数字留空则没有下限。"),
    "dashboard.floor_tag": ("Tag", "标签"), "dashboard.floor_number": ("Floor of {tag}", "{tag} 的下限"),
    # what to ask next, adjudication
    "selection.says": ("A part is always random; the rest goes where a judgement teaches most. The probability of "
        "every choice is kept, so that estimates can be weighted.",
        "始终保留一部分随机抽取，其余分给最有价值的题目。每次选择的概率都会保存，便于加权估计。"),
    "selection.num": ("Items", "题数"),
    "selection.shares": ("Shares of the places: 100 % together, at least 20 % of it random",
        "各策略所占名额：合计 100%，随机至少 20%"),
    "selection.name.random": ("Random:", "随机："), "selection.name.disagreement": ("Disagreement:", "分歧："),
    "selection.name.diversity": ("Diversity:", "多样性："), "selection.name.rise": ("Rise:", "升幅："),
    "selection.name.longest": ("Longest:", "最长："), "selection.name.out_of_distribution": ("Tags:", "标签："),
    "selection.strategy.random": ("every item with the same chance; what is said of all of them rests on these.",
        "每题机会相同，对整体的估计以此为依据。"),
    "selection.strategy.disagreement": ("where the scores of two or more reward models contradict each other most.",
        "两个及以上奖励模型分歧最大的题目。"),
    "selection.strategy.diversity": ("what is least like what was judged: by a reward model’s embeddings, if its "
        "scores came with some (prefloop score … embed=true), else by the prompts’ words.",
        "与已评判题目最不相似的题目：若导入的奖励模型分数带有嵌入（prefloop score … embed=true），按嵌入比较；否则按"
        "提示的用词比较。"),
    "selection.strategy.rise": (
        "where a response's score rose most from the older to the newer model; that is where a reward is gamed.",
        "从旧模型到新模型分数升幅最大的回答，奖励常在此处被钻空子。"),
    "selection.strategy.longest": ("the longest responses.", "最长的回答。"),
    "selection.strategy.out_of_distribution": ("items with one of the tags that are named below.",
        "带有下方所列标签的题目。"),
    "selection.rise_older": ("For the rise: the older model", "升幅所用的旧模型"),
    "selection.rise_newer": ("For the rise: the newer model", "升幅所用的新模型"),
    "selection.ood": ("For the tags: which, with commas between them", "按标签时所用的标签（逗号分隔）"),
    "selection.seed": ("Seed", "随机种子"), "selection.choose": ("Choose", "选择"),
    "selection.release": ("Release what is held back", "放回暂缓的题目"),
    "selection.release_says": ("What was not chosen is held back until it is chosen or released.",
        "未选中的题目会暂缓提问，直到被选中或放回。"),
    "selection.models": ("Reward models", "奖励模型"), "selection.model": ("Model", "模型"),
    "selection.scores": ("Scores", "分数条数"), "selection.accuracy": ("Agrees with people", "与人一致"),
    "selection.weighted": ("Weighted by probability", "按概率加权"),
    "selection.upload": ("Bring in scores (.jsonl)", "导入分数（.jsonl）"),
    "adjudication.says": ("Where annotators differ without a majority, and where a reward model is sure that the "
        "majority is wrong. What you decide is what is exported.",
        "标注员没有多数意见的题目，以及奖励模型确信多数有误的题目。你的裁决将作为导出结果。"),
    "items.retire": ("Retire", "停用"), "items.retire_of": ("Retire item {n}", "停用题目 {n}"),
    "items.retired": ("retired", "已停用"), "items.again": ("Ask again", "重新启用"),
    "items.again_of": ("Ask again: item {n}", "重新启用题目 {n}"),
    "items.to_calibration": ("Make calibration", "改为校准题"),
    "items.to_calibration_of": ("Make calibration of item {n}", "改为校准题：题目 {n}"),
    "items.to_gold": ("Make gold", "改为金标"), "items.to_gold_of": ("Make gold of item {n}", "改为金标：题目 {n}"),
    "gold.retire_says": ("A retired item is asked of nobody any more. Its past answers are kept and still count in "
        "what is said of people.",
        "停用后不再向任何人提问；已有回答会保留，并继续计入对标注员的统计。"),
    "gold.is_retired": ("This item is retired: nobody is asked it. Saving it asks it again.",
        "该题已停用，不再提问；保存即重新启用。"),
    "adjudication.send": ("Look for more", "查找更多"),
    "adjudication.confidence": ("A model is sure from", "模型确信的概率下限"),
    "adjudication.start": ("Decide", "开始裁决"), "adjudication.prompt": ("Prompt", "提示"),
    "adjudication.why": ("Why", "原因"), "adjudication.said": ("Annotators", "标注员"),
    "adjudication.decided": ("Decided", "裁决"), "adjudication.disagreement": ("they differ", "意见不一"),
    "adjudication.reward_model": ("a model disagrees", "模型不同意"), "adjudication.open": ("open", "待裁决"),
    "adjudication.this": ("Decide this one", "裁决此题"),
    "adjudication.this_item": ("Decide this one: item {n}", "裁决此题：题目 {n}"),
    "meaning.best": ("response {index}", "回答 {index}"), "meaning.tie": ("tie", "平局"),
    "meaning.both_bad": ("both bad", "都不好"), "meaning.other": ("another kind of answer", "其他回答"),
    # arena
    "arena.says": ("Samplers answer the same prompts and are judged blind. A verdict may be looked at any time: a "
        "model that is no better is shipped with a chance of at most {alpha}.",
        "各模型回答相同提示并接受盲评。可随时查看结论：并不更好的模型被判定上线的概率不超过 {alpha}。"),
    "arena.duels": ("One against one", "两两对决"), "arena.new": ("New", "新模型"), "arena.old": ("Old", "旧模型"),
    "arena.won": ("Won – lost – tied", "胜–负–平"), "arena.prompts": ("Prompts", "提示数"),
    "arena.rate": ("Win rate, at all times 95 %", "胜率（任意时刻 95%）"), "arena.verdict": ("Verdict", "结论"),
    "arena.ship": ("ship", "上线"), "arena.hold": ("hold", "不上线"),
    "arena.continue": ("about {n} more judgements", "约还需 {n} 次评判"),
    "arena.unknown": ("more judgements; nothing is in sight", "需要更多评判，尚无法预计"),
    "arena.board": ("Leaderboard", "排行榜"), "arena.sampler": ("Sampler", "模型"),
    "arena.games": ("Judgements", "评判数"), "arena.strength": ("Strength", "强度"),
    "arena.controlled": ("Without length", "去除长度影响"), "arena.elo": ("Elo", "Elo"),
    "arena.elo_says": (
        "Elo moves with every judgement and depends on their order; believe the strengths and their intervals.",
        "Elo 随每次评判变动并受顺序影响；请以强度及其区间为准。"),
    "arena.audit": ("Chosen because the reward likes them best, or because they drifted furthest. If people do not "
        "like them better here, the reward is being gamed. They do not count in the verdict.",
        "这些回答因奖励最高或偏离最远而被选出。若人们在此并不更喜欢它们，说明奖励被钻了空子。它们不计入结论。"),
    "arena.length": ("Longer responses gain {nats} ± {error} nats.", "更长的回答获益 {nats} ± {error} 奈特。"),
    "arena.slice": ("Tag {tag}", "标签 {tag}"), "arena.slices": ("By tag", "按标签"), "arena.tag": ("Tag", "标签"),
    "arena.share": ("Won, ties half", "胜率（平局计半）"),
    "arena.left": ("{n} judgements are still wanted.", "还需要 {n} 次评判。"),
    "arena.judge": ("Judge in the arena", "参与盲评"),
    "arena.upload": ("Bring in responses: one .jsonl with `prompt`, `response` and `sampler` in each row",
        "导入回答：.jsonl，每行含 prompt、response 与 sampler"),
    "arena.wanted": ("Judgements of each pair", "每对评判次数"),
    # data
    "data.says": ("What training reads, and what comes from elsewhere.", "供训练读取的数据，以及来自别处的数据。"),
    "data.out": ("Out", "导出"), "data.in": ("In", "导入"),
    "data.aggregate": ("From votes to decisions", "由投票到结论"), "data.majority": ("Majority", "多数"),
    "data.weighted": ("Majority, weighted by accuracy on gold", "按金标正确率加权的多数"),
    "data.dawid_skene": ("Dawid-Skene", "Dawid-Skene"),
    "data.crowd_bt": ("Bradley-Terry with annotators", "含标注员能力的 Bradley-Terry"), "data.form": ("Form", "形式"),
    "data.format": ("Files", "文件格式"),
    "data.bundle": ("All that was decided, with a manifest", "全部结果（含清单）"), "data.source": ("From", "来源"),
    "data.tickets": ("Tickets: prompt, response_a, response_b", "工单：prompt、response_a、response_b"),
    "data.label_studio": ("Label Studio (JSON)", "Label Studio（JSON）"),
    "data.argilla": ("Argilla (JSON)", "Argilla（JSON）"),
    "data.potato": ("Potato (JSONL or CSV)", "Potato（JSONL 或 CSV）"), "data.file": ("File", "文件"),
    "data.alpaca_eval": ("AlpacaEval (annotations.json)", "AlpacaEval（annotations.json）"),
    "data.arena": ("Arena: two conversations and a winner", "Arena：两段对话与胜者"),
    "data.open_webui": ("Open WebUI (feedback)", "Open WebUI（反馈）"),
    "data.prodigy": ("Prodigy (choice)", "Prodigy（choice）"),
    "data.more": ("What the file does not say", "文件中未说明的内容"),
    "data.ask.question": ("The question that is the comparison, if several choose", "有多个选择题时，作为对比的题目"),
    "data.ask.labels": ("What labels mean: Pink one = a; Dunno =", "标签的含义：粉色的 = a; 不知道 ="),
    "data.ask.axis": ("What ratings are about: one of the axes", "评分所属的维度"),
    "data.ask.prompt": ("What was answered, if rows do not say", "行内没有时，所回答的内容"),
    "data.ask.judges": ("Who judged", "评判者"), "data.ask.tool": ("as the tool is used for", "按该工具的用途"),
    "data.by.person": ("people", "人"), "data.by.model": ("a model", "模型"),
    "data.by.simulated": ("a simulation", "模拟"),
    "data.on_bad": ("If a row is wrong", "遇到错误行"), "data.stop": ("keep nothing", "全部不导入"),
    "data.skip": ("keep the rest", "导入其余行"),
    # annotators
    "annotators.says": (
        "What the judgements say of those who made them. A finding is a reason to talk to somebody, never to shut "
        "them out by itself; all findings together accuse an honest annotator in at most {alpha} of cases.",
        "从评判本身看每位标注员。发现只是与对方沟通的理由，绝不应据此直接停用；所有检验合计冤枉诚实标注员的概率不超过"
        " {alpha}。"),
    "annotators.name": ("Annotator", "标注员"), "annotators.judgements": ("Judgements", "评判数"),
    "annotators.agreement": ("Agrees with others", "与他人一致"), "annotators.gold": ("Right on gold", "金标正确率"),
    "annotators.left": ("Chose left", "选左侧"), "annotators.longer": ("Chose longer", "选较长者"),
    "annotators.self": ("Agrees with themselves", "自我一致"), "annotators.seconds": ("Seconds", "秒数"),
    "annotators.reading": ("Of reading time", "占阅读时间"), "annotators.look": ("Worth a look", "值得关注"),
    "annotators.looked": ("Findings were looked for after {n} judgements; the next look is after {next}.",
        "已在 {n} 次评判后检验，下一次在 {next} 次后。"),
    "annotators.not_yet": ("Findings are looked for from {n} judgements on.", "评判满 {n} 次后开始检验。"),
    "annotators.curve": ("Agreement with what others or gold favour, over their judgements",
        "随评判进行，与他人或金标的一致率"),
    "annotators.speed": ("Seconds for each of the last judgements", "最近各次评判的用时（秒）"),
    "annotators.fine": ("nothing", "无"),
    "annotators.early": ("too early ({n} of {first})", "为时尚早（{n} / {first}）"),
    "annotators.back": ("All annotators", "全部标注员"),
    "annotators.comments": ("What they wrote beside their judgements", "评判时写下的评论"),
    "annotators.samplers": ("Leaning: whose responses they prefer more often than people do, on the same pairs",
        "倾向：在相同题目上，比他人更常偏好哪个来源的回答"),
    "annotators.samplers_says": ("Who sees better than others leans to the better source too; a model that leans to "
        "its own kind is the reason to look.",
        "判断力更强的人也会更偏向更好的来源；若模型评判者偏向同类模型，则需要留意。"),
    "annotators.compared": ("Comparisons", "比较数"), "annotators.sampler": ("Written by", "来源"),
    "annotators.own_share": ("They preferred it", "该标注员偏好"),
    "annotators.others_share": ("People did", "人员偏好"),
    "annotators.difference": ("Difference, 95 %", "差值（95% 区间）"), "annotators.leans": ("leans", "有倾向"),
    "annotators.interval": ("Rates, with intervals of 95 %", "各项比率及 95% 区间"),
    "finding.one side": ("One side: chose the left in {left} of {sides} judgements, whatever was shown there",
        "偏向一侧：{sides} 次中 {left} 次选左，与内容无关"),
    "finding.random": ("As if at random: agreed with others in {agreed} of {n}, where {expected} is expected",
        "近似随机：与他人一致 {agreed}/{n}，预期 {expected}"),
    "finding.opposite": ("The other way round: agreed with others in {agreed} of {n}; are the keys swapped?",
        "方向相反：与他人一致 {agreed}/{n}，按键是否弄反？"),
    "finding.gold": ("Gold: right in {right} of {golds}", "金标：{golds} 题对 {right} 题"),
    "finding.drift": ("Drift: agreed in {early} of the first half and {late} of the second",
        "漂移：前半一致 {early}，后半 {late}"),
    "finding.alert": ("Gold accuracy is below {floor} with probability {below}",
        "金标正确率低于 {floor} 的概率为 {below}"),
    "finding.hurried": ("Faster than reading: {share} of the time it takes to read",
        "快于阅读：仅为阅读所需时间的 {share}"),
    # agreement
    "agreement.says": (
        "How far people agree about the same work, beyond chance. Gold and leads’ rulings do not count here.",
        "多人对同一题目的一致程度（扣除偶然）。金标与裁决题不计入。"),
    "agreement.pairs": ("Pairs", "两两比较"),
    "agreement.units": ("{n} pairs were judged, {twice} of them by two or more people.",
        "共评判 {n} 对，其中 {twice} 对由两人及以上评判。"),
    "agreement.measure": ("Measure", "指标"), "agreement.value": ("Value", "数值"),
    "agreement.range": ("95 %", "95% 区间"), "agreement.percent": ("Equal answers", "相同回答比例"),
    "agreement.percent_of_sides": ("Equal sides, where both chose one", "双方都选边时相同的比例"),
    "agreement.single": ("Hence one annotator is right in about", "由此推算单人正确率约为"),
    "agreement.majority": ("and a majority of three in about", "三人多数正确率约为"),
    "agreement.ties": ("Ties and both bad", "平局与都不好"),
    "agreement.fleiss": ("Fleiss’ kappa ({n} pairs of {m} judgements)", "Fleiss κ（{n} 对，每对 {m} 次）"),
    "agreement.nominal": ("Krippendorff’s alpha, nominal", "Krippendorff α（名义）"),
    "agreement.ordinal": ("Krippendorff’s alpha, ordinal", "Krippendorff α（次序）"),
    "agreement.interval": ("Krippendorff’s alpha, interval", "Krippendorff α（等距）"),
    "agreement.cohen": ("Couples of annotators (Cohen’s kappa)", "标注员两两之间（Cohen κ）"),
    "agreement.first": ("One", "甲"), "agreement.second": ("Other", "乙"),
    "agreement.shared": ("In common", "共同题数"), "agreement.equal": ("Equal", "相同"),
    "agreement.rankings": ("Rankings", "排序"),
    "agreement.kendall": ("Kendall’s W, mean of {n} comparisons", "Kendall W（{n} 个比较的均值）"),
    "agreement.cycles": ("Cycles among three responses", "三个回答间的循环"),
    "agreement.ratings": ("Ratings: {axis}", "评分：{axis}"), "agreement.thumbs": ("Thumbs", "好坏评价"),
}  # fmt: skip

SCRIPTS: dict[str, tuple[str, str]] = {
    "desk.sending": ("Sending…", "发送中…"), "desk.done": ("Done.", "完成。"),
    "desk.failed": ("Not done: {why}", "未完成：{why}"),
    "none.yet": ("Nothing yet.", "暂无数据。"),
    "selection.chosen": ("{n} of {of} items were chosen and are asked next.",
        "已从 {of} 题中选出 {n} 题，接下来优先提问。"),
    "selection.by_words": (
        "Diversity went by the prompts’ words; for meaning, bring in scores with embeddings of every comparison.",
        "多样性按提示的用词比较；若要按含义比较，请导入每个比较都带嵌入的分数。"),
    "selection.by_model": ("Diversity went by the embeddings of {model}.", "多样性按 {model} 的嵌入比较。"),
    "selection.released": ("Back in the queue: {n}.", "已放回队列：{n} 题。"),
    "result.comparisons": ("comparisons", "比较"), "result.judgements": ("judgements", "评判"),
    "result.added": ("added", "新增"), "result.left_out": ("left out", "略过"), "result.model": ("model", "模型"),
    "result.here": ("here already", "已有"), "result.without_prompt": ("without a prompt", "没有提示"),
    "result.kinds": ("Judgements of each kind", "各类评判"), "result.not_read": ("Answers not read", "未读取的回答"),
    "result.columns": ("Columns not read", "未读取的列"), "result.reasons": ("Left out, and why", "略过的原因"),
    "result.prompts": ("prompts", "提示"), "result.items": ("items", "题目"), "result.samplers": ("samplers", "来源"),
    "result.marked": ("new", "新增"), "result.changed": ("changed", "更改"), "result.item": ("item", "题目"),
    "adjudication.looking": ("Looking for what is new…", "正在查找新题目…"),
    "adjudication.nothing": ("Nothing new was found. Open: {n}.", "没有发现新题目。待裁决：{n} 题。"),
    "adjudication.found": ("New, and in the table below: {n}.", "新发现 {n} 题，见下表。"),
    "dashboard.hours_label": ("Judgements in each of the last {n} hours", "最近 {n} 小时每小时的评判数"),
    "dashboard.progress": ("done", "已完成"),
    "dashboard.of_all": ("{done} of {all} judgements", "{all} 次评判中的 {done} 次"),
    "dashboard.left": ("judgements left", "剩余评判"), "dashboard.about": ("about", "约"),
    "dashboard.held": ("held back: {n}", "暂缓：{n}"), "dashboard.today": ("judgements today (UTC)", "今日评判（UTC）"),
    "dashboard.per_hour": ("judgements in a working hour", "每工作小时评判数"),
    "dashboard.each": ("{n} each", "每人 {n}"), "dashboard.seconds": ("seconds each, median", "每次用时中位数（秒）"),
    "dashboard.agreement": ("two people agree", "两人一致"),
    "dashboard.couples": ("of {n} couples who both chose a side, lately", "近期双方均选一侧的 {n} 组"),
    "dashboard.cost": ("cost of a judgement", "单次评判成本"),
    "dashboard.cost_left": ("{cost} for what is left", "剩余部分约 {cost}"), "dashboard.hours_n": ("{n} h", "{n} 小时"),
    "dashboard.forecast": ("of work left at this pace", "按此速度还需"),
    "dashboard.floor": ("Tag {tag}: {judged} judged, {floor} wanted; {open} are waiting in the queue.",
        "标签 {tag}：已评判 {judged}，下限 {floor}，队列中还有 {open}。"),
    "dashboard.floor_bad": (
        "Tag {tag}: {judged} judged, {floor} wanted, and only {open} are left in the queue. Bring in more of it.",
        "标签 {tag}：已评判 {judged}，下限 {floor}，队列中仅剩 {open}。请补充该类数据。"),
    "dashboard.tag": ("Tag", "标签"), "dashboard.judged": ("Judged", "已评判"), "dashboard.open": ("Waiting", "等待中"),
    "dashboard.floor_of": ("Floor", "下限"), "dashboard.person": ("Annotator", "标注员"),
    "dashboard.last_hour": ("Last hour", "最近一小时"), "dashboard.last_day": ("Last day", "最近一天"),
    "dashboard.last": ("Last one", "最后一次"),
    "curve.label": ("Accuracy on prompts not learned from, against pairs learned from",
        "在未学过的提示上的准确率与学习所用成对数"),
    "curve.axis": ("pairs learned from (each step doubles)", "学习所用的成对数（逐步翻倍）"),
    "curve.people": ("two people agree: {rate}", "两人一致：{rate}"),
    "curve.few": ("{pairs} pairs are judged; a curve begins at about fifty with a clear answer.",
        "已评判 {pairs} 对；约五十对有明确答案后开始显示曲线。"),
    "curve.helps": ("More labels help: the last doubling brought {gain} ± {error} points.",
        "更多标注仍有帮助：最近一次翻倍提高了 {gain} ± {error} 个百分点。"),
    "curve.unclear": ("The last doubling brought {gain} ± {error} points, which may be nothing. What helps now may be "
        "harder pairs, more judgements of each, or a clearer guideline.",
        "最近一次翻倍带来 {gain} ± {error} 个百分点，可能并无提升。此时更难的比较、更多重复评判或更清晰的指南也许更有"
        "帮助。"),
    "curve.model": ("Reward model", "奖励模型"),
    "curve.labels": ("Judgements when its scores came", "导入分数时的评判数"),
    "curve.since": ("Pairs judged since", "此后评判的成对数"),
    "curve.accuracy": ("Accuracy on those", "在其上的准确率"),
    "desk.stale": ("No connection; these numbers are from {when}.", "连接中断，数字截至 {when}。"),
}  # fmt: skip

TAGS = {
    "safe": "安全", "unsafe": "不安全", "borderline": "边界情况", "ood": "分布之外", "chat": "对话", "arena": "对比赛",
    "audit:top_reward": "抽查：奖励最高", "audit:top_kl": "抽查：偏离最大",
    "mood:sad": "情绪：难过", "mood:angry": "情绪：生气", "mood:worried": "情绪：担心", "mood:calm": "情绪：平静",
    "topic:cancel": "主题：取消", "topic:address": "主题：改地址", "topic:warranty": "主题：保修",
    "topic:refund": "主题：退款", "topic:stranger_address": "主题：他人地址", "topic:password": "主题：密码",
    "topic:charge": "主题：扣款", "topic:broken": "主题：损坏", "topic:wrong": "主题：发错",
    "topic:hours": "主题：营业时间",
    "topic:invoice": "主题：发票", "topic:fake_refund": "主题：骗取退款", "topic:late": "主题：延误",
    "topic:account_theft": "主题：盗用账号", "topic:stolen_parcel": "主题：偷包裹", "topic:returns": "主题：退货",
}  # fmt: skip
"""Tags that prefloop itself gives, in Chinese; a project's own stay as they are."""
SCRIPTS |= {f"tag.{tag}": (tag, words) for tag, words in TAGS.items()}
REASONS = {
    "no unit was judged twice": "没有题目被评判两次",
    "every annotator ties everything": "所有标注员都将全部并列",
    "everybody always said the same: without variation reliability is undefined": (
        "所有人的回答始终相同，没有差异便无法定义信度"
    ),
    "only one category was ever used, so that there is no chance agreement to compare with": (
        "只用过一个类别，无从与随机一致率比较"
    ),
}
"""Why a coefficient of `people.agreement` is undefined -> the same in Chinese."""
IN_PAGES = {**PAGES, **PROJECT}
IN_SCRIPTS = {**SCRIPTS, **PROJECT_SCRIPTS}


class LeadWords(Words):
    """All tables in one language."""

    def has(self, key: str) -> bool:
        """True if there are words for a key."""
        return key in IN_PAGES or key in IN_SCRIPTS or super().has(key)

    def plain(self, key: str, **values: object) -> str:
        """The words of a key with values filled in."""
        words = IN_PAGES.get(key) or IN_SCRIPTS.get(key)
        return words[self._column].format(**values) if words else super().plain(key, **values)

    def because(self, reason: str) -> str:
        """Why there is no number, in the reader's language."""
        return REASONS.get(reason, reason) if self.language == "zh" else reason

    def tag(self, tag: str) -> str:
        """A tag in the reader's language, if prefloop gave it."""
        return self.plain(f"tag.{tag}") if tag in TAGS else tag

    def remark(self, remark: dict[str, Any]) -> dict[str, Any]:
        """A flag, a skip or a comment as it is shown."""
        key = f"skip.{remark['reason']}"
        parts = (self(key) if self.has(key) else remark["reason"], remark["comment"])
        return {**remark, "at": on(remark["at"]), "says": " · ".join(part for part in parts if part)}

    def for_scripts(self) -> str:
        """What scripts need, as JSON."""
        mine = {key: words[self._column] for key, words in IN_SCRIPTS.items()}
        return json.dumps({**json.loads(super().for_scripts()), **mine}, ensure_ascii=False)


def percent(rate: float | None) -> str:
    """A share as it is shown."""
    return "–" if rate is None else f"{100 * rate:.0f} %"


def number(value: float | None, digits: int = 2) -> str:
    """A number as it is shown."""
    return "–" if value is None else f"{value:.{digits}f}"


def on(seconds: float | None) -> str:
    """A time as it is shown: UTC, to the minute."""
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def meant(kind: str, meaning: dict[str, Any], words: LeadWords) -> str:
    """A meaning in a few words; responses count from 1."""
    if kind == "pair":
        return words("gold.best", n=meaning["best"] + 1) if "best" in meaning else words(f"gold.{meaning['choice']}")
    if kind == "rating":
        return "; ".join(f"{axis}: {' · '.join(map(str, marks))}" for axis, marks in meaning["ratings"].items())
    if kind == "thumb":
        return " · ".join(words("gold.up" if thumb else "gold.down") for thumb in meaning["thumbs"])
    return " · ".join(map(str, meaning["ranks"]))
