"""Votes as intervals of felt difference: what they mean by hand, and that stronger words teach wider gaps."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch.nn.functional import logsigmoid

from prefloop.feedback.votes import WIN, Edges, intervals, without_opinion
from prefloop.records import Message, Preference, Vote
from prefloop.stats.calibration import expected_calibration_error, sided_log_odds


def preference(*votes: tuple[str, int | None]) -> Preference:
    cast: list[Any] = [Vote.model_validate({"side": side, "strength": strength}) for side, strength in votes]
    return Preference(
        id="p", messages=(Message(role="user", content="?"),), chosen="a", rejected="b", votes=tuple(cast)
    )


def loss(edges: Edges, margin: float, *votes: tuple[str, int | None]) -> float:
    with torch.no_grad():
        return float(edges.losses(torch.tensor([margin]), [intervals(preference(*votes))]))


def test_by_hand():
    """Edges at 1/2, 3/2, 5/2 and a margin of 1: each vote's probability is the logistic mass of its interval."""
    edges = Edges()
    assert edges.values().tolist() == pytest.approx([-0.5, 0, 0.5, 1.5, 2.5, math.inf])
    mass = {
        ("tie", None): expit(-0.5) - expit(-1.5),
        ("chosen", 1): expit(0.5) - expit(-0.5),
        ("chosen", 2): expit(1.5) - expit(0.5),
        ("chosen", 3): expit(-1.5),
        ("chosen", None): expit(0.5),
        ("rejected", 1): expit(-1.5) - expit(-2.5),
        ("rejected", 3): expit(-3.5),
        ("rejected", None): expit(-1.5),
    }
    for vote, probability in mass.items():
        assert loss(edges, 1.0, vote) == pytest.approx(-math.log(probability), rel=1e-5), vote


def test_seven_answers_are_all_there_are():
    edges = Edges()
    answers = [("tie", None), *((side, s) for side in ("chosen", "rejected") for s in (1, 2, 3))]
    for margin in (-4.0, 0.0, 0.3, 7.0):
        assert sum(math.exp(-loss(edges, margin, a)) for a in answers) == pytest.approx(1, rel=1e-5)


def test_a_preference_is_the_mean_of_its_votes_and_without_votes_a_plain_win():
    edges = Edges()
    both = loss(edges, 0.7, ("chosen", 2), ("tie", None))
    assert both == pytest.approx((loss(edges, 0.7, ("chosen", 2)) + loss(edges, 0.7, ("tie", None))) / 2)
    assert intervals(preference()) == (WIN,)
    assert loss(edges, 0.7) == pytest.approx(-float(logsigmoid(torch.tensor(0.7))))


def test_a_batch_is_its_rows():
    edges, margins = Edges(), torch.tensor([0.2, -1.0, 3.0])
    votes = [intervals(preference(*v)) for v in ([("chosen", 1), ("rejected", 2)], [], [("tie", None)] * 3)]
    together = edges.losses(margins, votes)
    alone = torch.cat([edges.losses(margins[i : i + 1], votes[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)


def test_the_edges_and_the_gap_are_recovered():
    """4000 votes about each of three pairs, felt with logistic noise around gaps of 0, 1 and 3, edges 0.4, 1.9, 3.4."""
    rng = torch.Generator().manual_seed(0)
    gaps, planted = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([0.4, 1.9, 3.4])
    felt = gaps[:, None] + torch.logit(torch.rand(3, 4000, generator=rng))
    grade = (felt.abs()[..., None] > planted).sum(-1)
    votes = [
        intervals(
            preference(
                *[
                    ("tie" if g == 0 else "chosen" if f > 0 else "rejected", g or None)
                    for f, g in zip(fs, gs, strict=True)
                ]
            )
        )
        for fs, gs in zip(felt.tolist(), grade.tolist(), strict=True)
    ]
    edges, actual = Edges(), torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([actual, *edges.parameters()], max_iter=60)

    def surprise() -> torch.Tensor:
        optimizer.zero_grad()
        total = edges.losses(actual, votes).sum()
        total.backward()
        return total

    optimizer.step(surprise)
    torch.testing.assert_close(actual.detach(), gaps, atol=0.12, rtol=0)
    torch.testing.assert_close(edges.values()[2:5].detach(), planted, atol=0.12, rtol=0)


def test_the_log_odds_of_a_side_leave_ties_out():
    """Margin 1, ties end at 0.4: left 0.646, right 0.198, so 0.646 / 0.844 of those who choose; without ties the margin
    itself."""
    left, right = expit(0.6), expit(-1.4)
    assert expit(sided_log_odds([1.0], 0.4)).tolist() == pytest.approx([left / (left + right)])
    assert sided_log_odds([1.0, -700.0, 700.0], 0.0).tolist() == pytest.approx([1.0, -700.0, 700.0])


@pytest.mark.parametrize("votes", [1, 2, 3])
def test_who_knows_the_truth_is_calibrated(votes: int):
    """20 thousand pairs of known gaps, ties ending at 0.4: the error of calibration is that of chance, however many
    judge each."""
    rng = np.random.default_rng(votes)
    gaps = rng.normal(0, 2, 20000)
    felt = gaps[:, None] + rng.logistic(size=(20000, votes))
    sides, for_first = (np.abs(felt) > 0.4).sum(1), (felt > 0.4).sum(1)
    some = sides > 0
    probability = expit(sided_log_odds(gaps[some], 0.4))
    assert expected_calibration_error(probability, for_first[some] / sides[some], bins=10) < 0.01


@pytest.mark.parametrize(
    ("votes", "start", "no_opinion"),
    [
        ([()], math.log(2), math.log(2)),
        ([(("chosen", None),), (("rejected", None),)], -math.log(0.377541), math.log(2)),
        ([(("tie", None), ("chosen", 1)), (("rejected", 3),)], 2.049689, 1.559581),
        ([(("tie", None),)], -math.log(0.244919), 0.0),
    ],
)
def test_the_loss_without_an_opinion_by_hand(votes: list[Any], start: float, no_opinion: float):
    """Edges begin at 0.5, 1.5, 2.5: P(tie) 0.244919, slight 0.195115, strong 0.075858, a side 0.377541.

    The third: a tie and a slight vote weigh a quarter each, a strong one a half. Start: -(log 0.244919 +
    log 0.195115) / 4 - log 0.075858 / 2. Without an opinion ties have a quarter, each slight side an eighth, each
    strong side a quarter: the entropy of (1/4, 1/8, 1/8, 1/4, 1/4), 1.559581.
    """
    assert without_opinion([1.0] * len(votes), [intervals(preference(*some)) for some in votes]) == {
        "loss_at_start": pytest.approx(start, abs=1e-5),
        "loss_no_opinion": pytest.approx(no_opinion, abs=1e-5),
    }
