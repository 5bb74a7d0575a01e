"""Dynamic sampling: a step goes on asking other prompts until it has enough whose responses did not all earn the same.

Follows DAPO, Yu et al. 2025, section 3.2 (arXiv:2503.14476): a group that is flat has no advantage, and only makes the
update smaller and noisier. Charges for drift do not count here. What is drawn is decided by (seed, step, how often the
step has sampled): a step that is begun anew draws the same.

Shapes: B responses of a step, in groups of K.
"""

from collections.abc import Mapping

from torch import Tensor

from prefloop.align import groups, online, responses, shaping
from prefloop.align.config import GRPOConfig
from prefloop.align.online import Setup
from prefloop.align.shaping import Seen
from prefloop.align.turns import placed
from prefloop.run import Run
from prefloop.sampling.rollouts import Rollouts
from prefloop.scoring.protocol import Scored, taken
from prefloop.text.examples import Asked


def sampled(
    run: Run, setup: Setup, config: GRPOConfig, step: int, multipliers: Mapping[str, float], seen: Seen
) -> tuple[list[Asked], Rollouts, Tensor, dict[str, float], Tensor | None]:
    """The prompt of each of a step's rollouts, these, and what `online.score` says of them; groups that are not flat
    come first, in the order in which they were sampled, and flat ones fill what is missing after the last try."""
    copies, wanted = config.responses_per_prompt, config.rollouts_per_step // config.responses_per_prompt
    asked, written, said, flat = list[Asked](), list[Rollouts](), list[Scored](), list[bool]()
    while len(written) < config.tries and flat.count(False) < wanted:
        again = len(written)
        prompts = online.step_prompts(setup.prompts, config, step, again=again)
        asked += prompts
        written.append(online.sample(setup, prompts, config, step, again=again))
        said.append(online.judged(setup, config, prompts, written[-1], multipliers))
        shaped = shaping.shaped(config, said[-1].scores, written[-1], seen)
        flat += groups.flat(config, written[-1], shaped).tolist()
    chosen = sorted(range(len(flat)), key=flat.__getitem__)[:wanted]  # stable: in their order
    rows = [group * copies + i for group in chosen for i in range(copies)]
    missing = sum(flat[group] for group in chosen)
    counted = {"groups/flat": sum(flat) / len(flat)}
    if config.tries > 1:
        counted |= {"groups/tries": len(written), "groups/missing": missing / wanted}
        if missing:
            run.say(
                f"step {step + 1}: after {config.tries} tries the responses to {missing} of {wanted} prompts still all "
                "earned the same, and teach nothing. Raise tries or responses_per_prompt, or take other prompts."
            )
    kept, rollouts = said[0], written[0]
    if len(written) > 1:
        kept, rollouts = taken(said, rows), rollouts.joined(written[1:]).picked(rows)
        asked = [asked[row] for row in rows]
    codec = setup.policy.codec
    told = responses.metrics(codec, asked[: len(rollouts)], rollouts, kept.scores)
    metrics = {**online.score_metrics(config, kept, multipliers), **counted, **told}
    return asked, rollouts, kept.scores, metrics, placed(codec, rollouts, kept.placed)
