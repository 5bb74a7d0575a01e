"""Mistakes to plant in what reads, judges, measures and shows (see mutants.py)."""

from planted import planted

JUDGING = [
    *planted(
        "evaluate/measure.py", "test_draws.py evaluate/test_measure.py",
        ("every chunk draws the same numbers", '"evaluate.responses", start)', '"evaluate.responses")'),
        ("surprise summed, not per token", "total / len(response)", "total"),
    ),
    *planted(
        "evaluate/stage.py", "evaluate/test_stage.py",
        ("the untouched model may be selected", "if n not in beside}", 'if n != "reference"}'),
    ),
    *planted(
        "collect/judge.py", "collect/test_stage.py",
        ("the lower number wins", '"left" if ahead > 0', '"left" if ahead < 0'),
        ("the margin itself is no tie", "abs(ahead) <= self._config.margin", "abs(ahead) < self._config.margin"),
    ),
    *planted(
        "collect/stage.py", "test_draws.py collect/test_stage.py",
        ("every chunk draws the same numbers", '"collect.responses", index, attempt)', '"collect.responses", attempt)'),
        ("every attempt draws the same numbers", '"collect.responses", index, attempt)', '"collect.responses", index)'),
    ),
    *planted(
        "chat/talk.py", "test_draws.py chat/test_talk.py",
        ("every turn draws the same numbers", '"chat.responses", turn)', '"chat.responses")'),
    ),
    *planted(
        "stats/aggregate.py", "stats/test_aggregate.py",
        ("no prior of the classes", "counts = posteriors.sum(0) + smoothing", "counts = posteriors.sum(0)"),
        ("the prior's term of one class", "smoothing * _log(shares).sum()", "smoothing * _log(shares)[0]"),
        ("the prior's term of two classes", "smoothing * _log(shares).sum()", "smoothing * _log(shares)[:2].sum()"),
        ("the prior's term left out", "likelihood + believed + float", "likelihood + float"),
        ("told and true mixed up", "_log(confusions)[who, :, said]", "_log(confusions)[who, said, :]"),
    ),
    *planted(
        "files/pairs.py", "files",
        ("a worse grade wins", "int(second > first)", "int(second < first)"),
        ("equal thumbs are a tie", "not said.thumbs or graded", "True or graded"),
        ("each pair of a ranking weighs as much", '"weight": 1 / len(kept)', '"weight": 1.0'),
        ("ranks from the worst", "sum(other > grade for other in grades)", "sum(other < grade for other in grades)"),
        ("minorities win", "winner = int(count[1] > count[0])", "winner = int(count[1] < count[0])"),
    ),
    *planted(
        "files/foreign.py", "files",
        ("what is not used is not told", "        say(note)\n", "        pass\n"),
    ),
    *planted(
        "files/verdict_forms.py", "files",
        ("A loses where it won", "won(0 if label == 1 else 1)", "won(1 if label == 1 else 0)"),
        ("a tie is a win", 'None if preference in (0.0, 1.5) else', 'None if preference == 0.0 else'),
    ),
    *planted(
        "files/decoding.py", "files",
        ("the last of two keys counts", "if len(row) < len(pairs):", "if not pairs:"),
    ),
    *planted(
        "scoring/pair_classifier.py", "scoring/test_pair_classifier.py",
        ("the order of the two decides", "few[1] + few[0], context)", "few[0] + few[1], context)"),
        ("prompts share a fit", "groups.setdefault(tuple(prompt), [])", "groups.setdefault((), [])"),
    ),
    *planted(
        "files/index.py", "files/test_index.py",
        ("a row of several records gives its first", "[before])", "[0])"),
        ("a changed file is read on", "!= self._stamp:\n                    raise", "!= self._stamp and False:\n                    raise"),
    ),
    *planted(
        "scoring/reward_model.py", "scoring score",
        ("scores in the order of length", "raw[batch] = table.cpu()", "raw[sorted(batch)] = table.cpu()"),
        ("not normalised", "normalised_scores(one, mean=of.mean, std=of.std)", "one"),
    ),
    *planted(
        "stats/calibration.py", "stats/test_calibration.py",
        ("ties are not left out of the odds of a side", "log_expit(m - tie_edge) - log_expit(-m - tie_edge)", "log_expit(m - tie_edge) - log_expit(tie_edge - m)"),
    ),
    *planted(
        "data/hacks.py", "data/test_hacks.py",
        ("whatever the judge is against a little", "<= -config.low * judge_std", "<= 0 * config.low * judge_std"),
        ("ahead of nothing", "return mine - means,", "return mine,"),
        ("a hack twice", 'return "again" if one.texts[place] in one.texts[:place] else "hack"', 'return "hack"'),
    ),
    *planted(
        "records/judgements.py", "reward/test_items.py",
        ("not ranked is last of the ranked", "last = 1 + max(", "last = max("),
    ),
]  # fmt: skip
