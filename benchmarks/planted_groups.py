"""Mistakes to plant in what measures a response against its group, in ratios, and in rejection sampling (see
mutants.py)."""

from planted import planted

GROUPS = [
    *planted(
        "ops/groups.py",
        "ops/test_groups.py",
        ("itself among the others", "* (copies / (copies - 1))", "* 1.0"),
        ("groups across prompts", "earned.view(-1, copies)", "earned.view(copies, -1).T"),
        ("deviation of a whole", "groups.std(1, keepdim=True)", "groups.std(1, keepdim=True, correction=0)"),
        ("rounding teaches", "torch.where(flat, 0.0, advantages)", "torch.where(flat, advantages, advantages)"),
    ),
    *planted(
        "ops/ratios.py",
        "ops/test_ratios.py",
        ("one ratio with the gradient of the mean", "+ (log_ratios - fixed)", ""),
        (
            "a sum for a mean",
            "means = sums / torch.bincount(rows, minlength=num_responses).clamp(min=1)",
            "means = sums",
        ),
        (
            "the clips change places",
            "ratio.clamp(1 - low, 1 + high) * advantages)",
            "ratio.clamp(1 - high, 1 + low) * advantages)",
        ),
        (
            "dual clip of good ones",
            "torch.where(advantages < 0, torch.maximum",
            "torch.where(advantages > 0, torch.maximum",
        ),
        ("a weight with gradient", "-log_ratios.detach().exp().clamp", "-log_ratios.exp().clamp"),
        ("the left out are counted", "num = learned.sum().clamp(min=1)", "num = len(learned)"),
        ("the buffer begins too early", "(lengths - (longest - buffer))", "(lengths - (longest - 2 * buffer))"),
    ),
    *planted(
        "align/groups.py",
        "align/test_grouped.py",
        (
            "those that ended are charged twice",
            "torch.where(rollouts.finished, config",
            "torch.where(~rollouts.finished, config",
        ),
        ("finished ones are left out", "rollouts.finished[rows] if", "~rollouts.finished[rows] if"),
        ("logged KL by k2", '.kl(rollouts.mask, "k1")', '.kl(rollouts.mask, "k2")'),
    ),
    *planted(
        "align/rloo.py",
        "align/test_grouped.py",
        ("a batch for a group", "copies=config.responses_per_prompt)", "copies=config.rollouts_per_step)"),
        ("each response by its own length", 'mean="constant"', 'mean="response"'),
        ("KL is not weighted", "(coef, weight[stream.rows] * term)", "(coef, term / total)"),
    ),
    *planted(
        "align/grpo.py",
        "align/test_grouped.py align/test_dynamic.py",
        ("always of tokens", 'if config.ratio == "response":', 'if config.ratio == "never":'),
        ("the coefficient never changes", "limit=limit, kl_coef=at.kl_coef\n", "limit=limit, kl_coef=0.5\n"),
        ("the sampler keeps old weights", "                setup.sampler.refresh(policy)\n", ""),
        ("scaled always", "scale=config.scale", 'scale="group"'),
    ),
    *planted(
        "align/dynamic.py",
        "align/test_dynamic.py",
        ("flat ones first", "key=flat.__getitem__)", "key=lambda i: not flat[i])"),
        ("every try asks the same", "setup.prompts, config, step, again=again)\n", "setup.prompts, config, step)\n"),
        ("every try draws the same", "config, step, again=again))", "config, step))"),
        ("it never gives up", "len(written) < config.tries and", "len(written) < 2 * config.tries and"),
    ),
    *planted(
        "align/rft.py",
        "align/test_rft.py",
        ("the first and not the best", "max(group, key=values.__getitem__)", "group[0]"),
        ("unfinished ones are imitated", "bool(ended and words)", "bool(words)"),
        ("a micro-batch divides by itself", "packed.tokens) / total", "packed.tokens) / len(packed.tokens)"),
        ("resume forgets what was kept", "kept=kept and Rollouts(**moved(kept, policy.device))", "kept=None"),
        ("the optimiser starts anew", '    optimizer.restore(saved["optimizer"])\n', ""),
    ),
]
