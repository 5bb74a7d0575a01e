"""Mistakes to plant in what the algorithms share that sample: replay, imitation, references that follow, limits."""

from planted import planted

SHARED = [
    *planted(
        "align/online.py",
        "align/test_reference.py",
        (
            "the start is charged",
            "return self.reference if self.follower is None else self.follower.network",
            "return self.reference",
        ),
        ("the reference never follows", "        setup.follower.refresh(setup.policy, done)\n", "        pass\n"),
        (
            "the start is told from what is charged",
            "start = setup.reference.logprobs(",
            "start = setup.follower.network.logprobs(",
        ),
    ),
    *planted(
        "align/progress.py",
        "align/test_reference.py",
        (
            "resume forgets what follows and what is remembered",
            "            other.restore(its)\n",
            "            pass\n",
        ),
    ),
    *planted(
        "ops/replay.py",
        "ops/test_replay.py",
        ("weights upside down", "(logprobs - behaviour_logprobs).exp()", "(behaviour_logprobs - logprobs).exp()"),
        ("no cap", ".exp().clamp(max=cap)", ".exp()"),
        (
            "its own weight in the advantage",
            "following = torch.where(mask[:, t], weights[:, t] * advantage, following)",
            "following = torch.where(mask[:, t], advantage, following)",
        ),
        (
            "targets unweighted",
            "return advantages, values + weights * advantages",
            "return advantages, values + advantages",
        ),
        (
            "padding is read",
            "(torch.where(mask, grid, 0.0) for grid in (rewards, values, weights))",
            "(rewards, values, weights)",
        ),
    ),
    *planted(
        "align/replay.py",
        "align/test_replay.py",
        ("what is too old stays", "            del self._kept[: -self._config.replay_steps]\n", ""),
        (
            "weights to the reference",
            "new.scores, shaped, placed, new.logprobs, ids",
            "new.scores, shaped, placed, new.ref_logprobs, ids",
        ),
        ("every step replays the same", '"online.replay", step)[: self.num]', '"online.replay")[: self.num]'),
        ("old rows in one update", "rows + old[i::each]", "rows + (old if i == 0 else [])"),
        ("drift of old tokens unweighted", "weights * term if name in told else term", "term"),
        (
            "old rows keep GAE",
            "advantages[old], returns[old], weights[old] = *again, weighed",
            "weights[old] = weighed",
        ),
    ),
    *planted(
        "align/ptx.py",
        "align/test_ptx.py",
        ("the coefficient does nothing", "(self._coef * share).backward()", "share.backward()"),
        ("the same rows in every update", "self._batches[number].tolist()", "self._batches[0].tolist()"),
        ("the prompt is imitated", "sum(len(example.response) for example", "sum(example.length for example"),
        (
            "a document predicts the next",
            "(stream.positions > 0)",
            "(stream.positions >= 1 - (stream.rows > 0).long())",
        ),
    ),
    *planted(
        "align/limits.py",
        "align/test_limits.py",
        ("padding diverges", "numbers if numbers.ndim == 1 else numbers[mask]", "numbers"),
        ("the policy that drifted is called good", "rollouts.mask, step - 1", "rollouts.mask, step"),
        ("weights are not looked at", "if bool(torch.stack(", "if True or bool(torch.stack("),
        ("ratios are not looked at", "limit is not None and (ratio", "False and (ratio"),
    ),
    *planted(
        "align/dump.py",
        "align/test_dump.py align/test_replay.py",
        ("prompts count too", "range(-len(prompt), new)", "range(num)"),
        ("the step before", "if not is_due(config, step + 1):", "if not is_due(config, step):"),
        (
            "replayed rows are new",
            "[step + 1] * len(prompts) + [*(past.steps if past else ())]",
            "[step + 1] * len(batch.rollouts)",
        ),
    ),
    *planted(
        "align/ppo.py",
        "align/test_replay.py align/test_ptx.py align/test_limits.py",
        ("old tokens weigh as new", "(1.0, weights * ppo_policy_loss(", "(1.0, ppo_policy_loss("),
        ("the log is of old rows too", "new = at.batch.first(config.rollouts_per_step)", "new = at.batch"),
        (
            "imitates once a step",
            "online.imitate(setup, optimizer.done, limit=limit)",
            "online.imitate(setup, at.step, limit=limit)",
        ),
        (
            "saved before it is looked at",
            "                limits.after_update(run, config, at.step, metrics, policy)\n",
            "",
        ),
    ),
]  # fmt: skip
