"""Mistakes to plant in rollouts of several turns, in what is paid within a response, and in rewards by HTTP (see
mutants.py)."""

from planted import planted

ENV = [
    *planted(
        "sampling/rollouts.py",
        "align/test_turns.py",
        ("what was heard is learned from", "whole.only(self._written(rows)) if self.turns else whole", "whole"),
        (
            "grids count what was heard",
            "places = places[self._written(rows)] if self.turns else places\n",
            "places = places[: int(self._written(rows).sum())] if self.turns else places\n",
        ),
        (
            "divided by all that was said",
            "sum(end - begin for i in rows for begin, end in self.turns_of(i))",
            "sum(len(self.responses[i]) for i in rows)",
        ),
    ),
    *planted(
        "align/turns.py",
        "align/test_turns.py align/test_placed.py",
        ("pay a token late", "paid[row, end - 1] = reward", "paid[row, min(end, longest - 1)] = reward"),
        (
            "pay of the last turn alone",
            "self.pay.append(answer.reward)",
            "self.pay = [0.0] * len(self.pay) + [answer.reward]",
        ),
        ("every copy has a secret of its own", '"online.env", step, place // copies)', '"online.env", step, place)'),
        ("every step has the same secret", '"online.env", step, place // copies)', '"online.env", place // copies)'),
        ("later turns draw as the first", 'seed_of(seed, "online.turns", step, turn) if turn else', "0 if turn else"),
        (
            "room for no further turn",
            "len(self.tokens) + len(more) + room > codec.context",
            "len(self.tokens) + len(more) > codec.context",
        ),
        ("one turn too many", "len(self.turns) == max_turns", "len(self.turns) > max_turns"),
        ("a turn that was cut goes on", 'self.ended = "cut"', 'self.ended = ""'),
        ("the scorer is told the prompt alone", "if not rollouts.answered:", "if True:"),
        ("places from the beginning of the response", "found[row, begin + place] += paid", "found[row, place] += paid"),
        ("what the environment paid is not counted", "summed(parts), parts=parts)", "said.scores, parts=parts)"),
        ("any template will do", "for said in TRIED)", "for said in ())"),
    ),
    *planted(
        "ops/rewards.py",
        "ops/test_rewards.py",
        ("paid within and at the end", "torch.where(is_last, placed.sum(-1, keepdim=True), 0.0), 0.0)", "0.0, 0.0)"),
    ),
    *planted(
        "align/shaping.py",
        "align/test_placed.py",
        ("what is paid within is not scaled", "return placed * (config.score_scale / std)", "return placed"),
    ),
    *planted(
        "text/codec.py",
        "align/test_placed.py",
        (
            "a character too early",
            "bisect.bisect_left(range(1, last + 1), end, key=size)",
            "bisect.bisect_left(range(1, last + 1), end - 1, key=size)",
        ),
        ("begun characters count", "sizes[num] = len(text.rstrip(BROKEN))", "sizes[num] = len(text)"),
    ),
    *planted(
        "scoring/said.py",
        "scoring/test_http.py",
        ("places beyond the end", "if not 1 <= num <= len(response):", "if not 1 <= num:"),
        ("too few are enough", "if len(values) != len(responses):", "if len(values) > len(responses):"),
        ("infinite rewards", "if not math.isfinite(found):", "if math.isnan(found):"),
    ),
    *planted(
        "scoring/http.py",
        "scoring/test_http.py",
        ("all in one request", "range(0, len(rows), self._batch)", "range(0, len(rows), len(rows))"),
        ("errors that pass stop it", "if passes(problem):", "if False:"),
    ),
    *planted(
        "asking/posting.py",
        "scoring/test_http.py",
        ("never later", "min(backoff * 2**before, LONGEST_WAIT)", "min(backoff, LONGEST_WAIT)"),
        ("it goes where it is sent", "build_opener(_NoRedirect)", "build_opener()"),
    ),
    *planted(
        "scoring/composite.py",
        "align/test_placed.py",
        (
            "places without their weight",
            "[(end, weight * paid) for end, paid in places]",
            "[(end, paid) for end, paid in places]",
        ),
    ),
]
