"""Mistakes to plant in what drift costs, in rewards and critics, and in presets (see mutants.py)."""

from planted import planted

DRIFT = [
    *planted(
        "ops/divergence.py",
        "ops/test_divergence.py",
        ("the other direction", "    if forward:\n", "    if not forward:\n"),
        (
            "the reference at another temperature",
            "return kl_full(ours, theirs, temperature=temperature)",
            "return kl_full(ours, theirs / temperature, temperature=temperature)",
        ),
        ("all tokens at once", "chunks(len(hidden), size, device=hidden.device)", "[slice(None)]"),
    ),
    *planted(
        "ops/moments.py",
        "ops/test_moments.py",
        ("groups that have one mean", "+ apart * apart * moments.num * num / count", ""),
        ("of a sample", "self.squares / self.num) if self.num", "self.squares / (self.num - 1)) if self.num"),
    ),
    *planted(
        "align/shaping.py",
        "align/test_shaping.py align/test_drift.py",
        (
            "measured by the steps before alone",
            "moments = with_more(Moments(*seen), scores)",
            "moments = Moments(*seen)",
        ),
        ("moments of the last step alone", "with_more(Moments(*seen), scores)) if", "with_more(Moments(), scores)) if"),
        (
            "shifted before scaled",
            "scores * config.score_scale + config.score_shift",
            "(scores + config.score_shift) * config.score_scale",
        ),
        (
            "the end is missing where it is there",
            "torch.where(rollouts.finished.to(found.device), found, config.unfinished_score)",
            "torch.where(rollouts.finished.to(found.device), config.unfinished_score, found)",
        ),
    ),
    *planted(
        "align/critics.py",
        "align/test_critics.py align/test_ppo.py",
        ("another's critic is a copy of the policy", "policy.with_critic(other)", "policy.with_critic(separate=True)"),
        ("TD is the return", "decay=0.0)[1]", "decay=1.0)[1]"),
        ("the policy warms up too", "return policy.critic.learned", "return None"),
        ("the coefficient sinks while nothing moves", "return coef if step < config.critic_warmup else", "return"),
        ("a score of another scale", 'head.get_parameter("weight") / column.std', 'head.get_parameter("weight")'),
    ),
    *planted(
        "presets.py",
        "test_presets.py",
        ("the preset stands above what is typed", "return {**preset, **both}", "return {**both, **preset}"),
        (
            "sections are not merged",
            "below(value, preset[name]) if isinstance(value, dict) and isinstance(preset.get(name), dict) else value",
            "value",
        ),
    ),
    *planted(
        "align/drift.py",
        "align/test_drift.py align/test_shaping.py align/test_ppo.py align/test_both.py",
        (
            "the score lacks the penalty's charge",
            "unfinished_penalty=config.unfinished_penalty",
            "unfinished_penalty=0.0",
        ),
        ("KL charged twice, in loss and reward", "if not config.in_reward:", "if config.kl_where == 'off':"),
        ("one mean for another", "kl.sum() / mask.sum()", "kl.mean()"),
        (
            "entropy is punished",
            '"loss/entropy": (config.entropy_coef, -now.entropy)',
            '"loss/entropy": (config.entropy_coef, now.entropy)',
        ),
        ("steered by nothing", "if target is None:", "if coef:"),
        (
            "a target that knows no length",
            'config.kl_target_per_token * metrics["rollouts/length"]',
            "config.kl_target_per_token",
        ),
        (
            "weights of the policy in training",
            "sampled = now.logprobs if old_logprobs is None else old_logprobs",
            "sampled = now.logprobs",
        ),
        (
            "full drift is always reverse",
            "temperature=config.temperature, forward=forward)",
            "temperature=config.temperature, forward=False)",
        ),
        ("whitened rewards lose their mean", "shift_mean=False", "shift_mean=True"),
    ),
]
