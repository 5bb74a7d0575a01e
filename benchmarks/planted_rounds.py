"""Mistakes to plant in rounds, their gate and their lineage (see mutants.py)."""

from planted import planted

ROUNDS = [
    *planted(
        "stats/sequential.py",
        "stats/test_sequential.py",
        (
            "worse is better",
            "if log_e_value(wins, losses, null=0.5) >= enough else",
            "if log_e_value(losses, wins, null=0.5) >= enough else",
        ),
        ("both sides of the prior", "math.log(above / before)", "math.log(above)"),
        (
            "the prior forgotten",
            "tried = special.betaln(a + wins, b + losses)",
            "tried = special.betaln(1 + wins, 1 + losses)",
        ),
    ),
    *planted(
        "rounds/gate.py",
        "rounds/test_gate.py",
        ("the other one wins", "float(ballot.winner == new)", "float(ballot.winner != new)"),
        (
            "an audit is part of it",
            "fair = [c for c in arena if not any(tag.startswith(AUDIT) for tag in c.tags)]",
            "fair = arena",
        ),
        ("broken conditions pass", 'return "hold", f"hold: a condition', 'return "ship", f"hold: a condition'),
        ("what must be measured need not", "and c.name in config.must]", "and c.name in ()]"),
        (
            "a verdict before the least",
            'if verdict != "continue" and number >= config.least:',
            'if verdict != "continue":',
        ),
        (
            "a prompt counts as often as it is judged",
            "return sum(self.shares) / len(self.shares)",
            "return sum(self.shares)",
        ),
    ),
    *planted(
        "files/gates.py",
        "rounds/test_gate.py",
        ("signed without a look", 'exclude={"signature"}', 'exclude={"signature", "alpha"}'),
    ),
    *planted(
        "rounds/conditions.py",
        "rounds/test_gate.py",
        ("a rise is a fall", "state=_kept(after - before <= limit)", "state=_kept(before - after <= limit)"),
        ("drift is never too far", "state=_kept(value <= limit), value=value", "state=_kept(True), value=value"),
        ("the best slice", "worst = min(most", "worst = max(most"),
        (
            "beaten in nothing",
            "all(gain >= 0 for gain in ahead) and any(gain > 0 for gain in ahead)",
            "all(gain > 0 for gain in ahead)",
        ),
    ),
    *planted(
        "rounds/advance.py",
        "rounds/test_advance.py",
        ("a held policy is kept", '"selected": new if shipped else this.incumbent', '"selected": new'),
        (
            "every round begins at the beginning",
            "incumbent = parent.selected if parent else",
            "incumbent = lineage.rounds[0].incumbent if parent else",
        ),
        (
            "the refreshed one twice",
            "models[layout.STALE] = kept.place(recipe.out, this.reward)",
            "models[layout.STALE] = models[layout.FRESH]",
        ),
        ("the head stays", 'this).model_copy(update={"head": this.name})', "this)"),
        ("the candidate is not looked up", "if name == layout.EVALUATE:", "if name == layout.REWARD and False:"),
        ("one hold is enough", "len(last) == head.holds and all(", "any("),
    ),
    *planted(
        "rounds/lineage.py",
        "rounds/test_advance.py",
        ("a seal of nothing", 'of.model_dump(mode="json", exclude={"seal"})', "of.name"),
        ("whatever is there", "if fingerprints.of_path(path) != what.fingerprint:", "if False:"),
        ("a branch overwrites", "name for name in names if name not in taken", "name for name in names"),
    ),
    *planted(
        "rounds/turns.py",
        "rounds/test_advance.py",
        ("asked again", "for place in collected)", "for place in collected[1:])"),
    ),
    *planted(
        "stats/paying.py",
        "rounds/test_advance.py",
        ("a loss goes on losing", "last = np.maximum(drawn[:, -1], 0.0)", "last = drawn[:, -1]"),
        ("the first gain again", "found = last * ratio", "found = last"),
    ),
]
