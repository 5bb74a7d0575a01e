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
        ("a temperature is tried where it was fitted", "fitted_temperature(x[~inside], o[~inside])", "fitted_temperature(x, o)"),
        ("ties are not left out of the odds of a side", "log_expit(m - tie_edge) - log_expit(-m - tie_edge)", "log_expit(m - tie_edge) - log_expit(tie_edge - m)"),
    ),
    *planted(
        "data/hacks.py", "data/test_hacks.py",
        ("whatever the judge is against a little", "<= -config.low * judge_std", "<= 0 * config.low * judge_std"),
        ("ahead of nothing", "return mine - means,", "return mine,"),
        ("a hack twice", 'return "again" if one.texts[place] in one.texts[:place] else "hack"', 'return "hack"'),
    ),
    *planted(
        "records/judgements.py", "feedback/test_items.py",
        ("not ranked is last of the ranked", "last = 1 + max(", "last = max("),
    ),
    *planted(
        "scoring/composite.py", "scoring/test_composite.py align/test_both.py",
        ("a multiplier falls while its constraint is broken", "multiplier - rate * margin", "multiplier + rate * margin"),
        ("a constraint without its level", "parts[name] + multiplier * (said.scores - level)", "parts[name] + multiplier * said.scores"),
        ("what is charged is limited too", "said.limited is None or weight < 0", "said.limited is None"),
        ("unusual only if it is so to all", ".amax(0) if outliers", ".amin(0) if outliers"),
    ),
    *planted(
        "scoring/outliers.py", "scoring/test_outliers.py",
        ("those that are usual abstain", "torch.where(unusual, instead - said.scores, 0.0)", "torch.where(~unusual, instead - said.scores, 0.0)"),
        ("the mean of unusual ones too", "usual = said.scores[~unusual] if", "usual = said.scores if"),
        ("limited from below", "scores.clamp(max=", "scores.clamp(min="),
        ("a column is limited by all of them", "self.columns.get(column or \"\", self.reached)", "self.reached"),
    ),
    *planted(
        "scoring/ensemble.py", "scoring/test_ensemble.py",
        ("the members' shares are not calibrated", "outlier=self.known.share(unusual)", "outlier=unusual.float()"),
    ),
    *planted(
        "score/stage.py", "score/test_stage.py",
        ("the last batch is scored again", "config.batch * done.count, None)", "config.batch * max(0, done.count - 1), None)"),
        ("equal scores lose", "0.5 if c == r else float(c > r)", "float(c > r)"),
    ),
    *planted(
        "sweep/stage.py", "sweep/test_sweep.py",
        ("the worst of K", ".argmax(1)", ".argmin(1)"),
        ("the weight is never varied", "{**weights, vary: weight}", "{**weights}"),
    ),
    *planted(
        "evaluate/reward_file.py", "evaluate/test_reward_file.py",
        ("an ensemble's scores are log-odds", "judge.unit(pair.tags) if isinstance(judge, READERS) else 1.0", "judge.unit(pair.tags) if isinstance(judge, RewardModel) else 1.0"),
        ("pairs of a batch meet", "if _compares(judge) else [asked]", "if False else [asked]"),
    ),
    *planted(
        "health/probes.py", "health/test_probes.py",
        ("a pair without a decision has a margin", "[row for row in rows if row.decided]", "[*rows]"),
        ("words are named by chance", "_Mean.of(values, together).away()", "_Mean.of(values).away()"),
        ("what length does stays in", "one.shifts - _by_length(name, one, tried)", "one.shifts"),
    ),
    *planted(
        "health/bench.py", "health/test_bench.py",
        ("the easier of the twins", "np.minimum(several, [away", "np.maximum(several, [away"),
        ("the first of equal ones wins", "sum(i < self.num_right for i in best) / len(best)", "float(best[0] < self.num_right)"),
    ),
    *planted(
        "health/position.py", "health/test_position.py",
        ("left and right exchanged", '(vote.side == "chosen") == vote.first', '(vote.side == "chosen") != vote.first'),
    ),
    *planted(
        "health/gate.py", "health/test_shown.py",
        ("a refusal is said and passes", "if not anyway:", "if anyway and not anyway:"),
    ),
    *planted(
        "stats/noise.py", "stats/test_noise.py",
        ("agreement for a ceiling", "float((1 + np.sqrt(clear)) / 2)", "float((1 + clear) / 2)"),
        ("half of the cycles", "1 - 2 * cyclic)", "1 - cyclic)"),
    ),
    *planted(
        "stats/bag.py", "stats/test_bag.py",
        ("words of the held-out texts are counted", "inverse_frequency(self.counted[known])", "inverse_frequency(self.counted)"),
    ),
    *planted(
        "stats/duplicates.py", "stats/test_duplicates.py",
        ("one rare pair of words too few", "- 1e-9) + 1", "- 1e-9)"),
    ),
    *planted(
        "stats/intervals.py", "stats/test_intervals.py",
        ("as if all values were independent", "deff = max(1.0, clustered_error(x, labels) ** 2 / (variance / (n - 1)))", "deff = 1.0"),
    ),
]  # fmt: skip
