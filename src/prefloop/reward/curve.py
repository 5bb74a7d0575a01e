"""The learning curve of a reward model: by looks at it in its first pass, or exactly, by models of shares of prompts.

In its first pass a model has read nothing twice, so what it has seen so far is as many labels as it learned from; but
its learning rate is still high then, and it may have passes before it: its early points lie lower than models that were
trained on so many and no more.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import special
from torch import Tensor

from prefloop import layout
from prefloop.feedback.items import Taught, Tokenised, ordered
from prefloop.files.documents import read_document
from prefloop.health import curve
from prefloop.records import Finished, opening
from prefloop.records.cards import Share
from prefloop.records.probes import CurvePoint, LearningCurve
from prefloop.reward.config import RewardConfig
from prefloop.reward.needs import SHARES
from prefloop.run import Run
from prefloop.stats.intervals import clustered_error


def moments(first_pass: int) -> set[int]:
    """Updates after which the held-out items are looked at for the curve: at `SHARES` of the first pass and its end."""
    return {max(1, round(share * first_pass)) for share in (*SHARES, 1.0)}


def seen(num: int, scores: Tensor, held_out: Tokenised) -> list[tuple[int, float, float]]:
    """A point of the curve, or none where no two held-out responses are told apart.

    Args:
        num: items read so far.
        scores: (B, K) of the held-out items.
        held_out: the items.
    """
    told = [i for i, item in enumerate(held_out.items) if item.pairs]
    if not told:
        return []
    right = ordered(scores, held_out.items)[told].cpu().double().numpy()
    prompts = [opening(held_out.rows[i].messages) for i in told]
    error = clustered_error(right, prompts) if len(set(prompts)) > 1 else 0.5
    return [(num, float(right.mean()), max(error, 0.5 / len(told)))]


def train_shares(config: RewardConfig, run: Run, train: Callable[[RewardConfig], Path]) -> None:
    """Trains (or goes on with) a model on each of `SHARES` of the prompts. Args: train: the stage."""
    for share in SHARES:
        run.stop_if_interrupted()
        run.say(f"learning curve: {share:g} of the prompts")
        out = layout.share(Path(config.out), share)
        changed = {"out": str(out), "share": share * config.share, "split_seed": config.split_by, "curve": False}
        train(config.model_copy(update=changed))


def learning_curve(config: RewardConfig, folder: Path, taught: Taught, accuracy: Share) -> LearningCurve:
    """The curve of a run that is about to finish. Args: accuracy: of the whole."""
    if not config.curve:
        points = [CurvePoint(num_pairs=num, accuracy=right, error=error) for num, right, error in taught.curve if num]
    else:
        finished = [read_document(layout.share(folder, share) / layout.FINISHED, Finished).result for share in SHARES]
        points = [
            _point(one["num_training"], one["accuracy"], one["accuracy_low"], one["accuracy_high"])
            for one in finished
            if one["accuracy"] is not None and one["num_training"]
        ]
        points.append(_point(taught.num, accuracy.mean, accuracy.low, accuracy.high))
    return curve.learning_curve(points, exact=config.curve, seed=config.seed)


def _point(num: int, accuracy: float, low: float, high: float) -> CurvePoint:
    """What a run says of itself; its interval is one of 95 %."""
    error = (high - low) / 2 / float(special.ndtri((1 + curve.CONFIDENCE) / 2))
    return CurvePoint(num_pairs=num, accuracy=accuracy, error=max(error, float(np.finfo(float).eps)))
