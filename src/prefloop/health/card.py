"""Makes the card."""

from collections.abc import Sequence

from prefloop.records import Preference
from prefloop.records.cards import Card
from prefloop.scoring.protocol import Scorer


def make_card(
    judge: Scorer,
    rows: Sequence[Preference],
    *,
    seed: int,
    margins: Sequence[float] | None = None,
    training: Sequence[Preference] = (),
    accuracy_train: float | None = None,
    tie_edge: float = 0.0,
    nll_bayes: float | None = None,
) -> Card:
    """The card of a reward model on held-out preferences. The order of rows does not matter.

    Args:
        judge: who scores.
        rows: held-out preferences; those without a majority count by their votes.
        seed: decides what is drawn where there is too much to look at.
        margins: of each row the score of chosen less rejected, in log-odds if the judge learned those; scored anew
            if they are not known.
        training: what the judge learned from, if that is known.
        accuracy_train: its accuracy on some of that.
        tie_edge: log-odds where a tie ends, if votes were learned from.
        nll_bayes: the least surprise possible, nats per vote, where it is known.

    Raises: UserError if no row has a decision.
    """
    raise NotImplementedError
