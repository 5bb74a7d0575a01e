"""Annotators who differ: what was planted in their votes comes back, and without a difference it is the votes alone."""

import itertools
import math

import numpy as np
import pytest
import torch

from prefloop.errors import UserError
from prefloop.feedback.annotators import SPREAD, Annotators, Voter, sentence, voters_of
from prefloop.feedback.votes import Edges, Interval, intervals
from prefloop.records import Message, Preference, Vote

EDGES = (0.5, 1.5, 2.5)
PLANTED = {"ann": (2.0, 0.0, 0.0), "bob": (0.5, 0.8, 0.0), "cid": (1.25, 0.0, 0.6), "dan": (0.8, -0.4, -0.3)}
"""annotator -> ability, bias to the left, bias to the longer; the abilities' logarithms have mean 0"""


def crowd(per_row: int, num: int, seed: int = 0) -> tuple[torch.Tensor, list, list, torch.Tensor]:
    """Margins, votes, voters and lengths of preferences, drawn as the model says."""
    rng = np.random.default_rng(seed)
    margins, lengths = rng.normal(0, 1.5, num), rng.normal(0, 40.0, num)
    votes, voters = [], []
    for row in range(num):
        cast: list[Interval] = []
        by: list[Voter] = []
        for name in rng.permutation(list(PLANTED))[:per_row]:
            ability, first, longer = PLANTED[name]
            side = int(rng.choice([-1, 1]))
            felt = ability * margins[row] + first * side + longer * lengths[row] / 40 + rng.logistic()
            beyond = sum(abs(felt) > edge for edge in EDGES)
            cast.append((1, 0, 2) if beyond == 0 else (1 if felt > 0 else -1, beyond + 1, beyond + 2))
            by.append(Voter(str(name), side))
        votes.append(tuple(cast))
        voters.append(tuple(by))
    return torch.tensor(margins).float(), votes, voters, torch.tensor(lengths).float()


def counted(voters: list) -> dict[str, int]:
    """Votes of each."""
    names = [voter.annotator for who in voters for voter in who]
    return {name: names.count(name) for name in sorted(set(names))}


def test_without_a_difference_it_is_the_votes_alone():
    margins, votes, voters, lengths = crowd(3, 40)
    edges, annotators = Edges(), Annotators(counted(voters))
    assert torch.equal(annotators.losses(edges, margins, votes, voters, lengths), edges.losses(margins, votes))


def test_by_hand():
    """Ability 2, left 1/2, and longer 1/4 for a chosen response twice the usual difference longer, shown on the right:
    felt = 2 * 0.3 - 0.5 + 0.25 * 2 = 0.6, as clear as a margin of 0.6; an unknown annotator feels 0.3. The prior is
    (log^2 2 * 2 + 1/4 + 1/16) / (2 * 1/4), of which the one vote of somebody of them carries half of two."""
    edges, both = Edges(), Annotators({"ann": 1, "bob": 1})
    with torch.no_grad():
        both.log_abilities.add_(torch.tensor([math.log(2.0), -math.log(2.0)]) + 5.0)  # a common shift says nothing
        both.first.add_(torch.tensor([0.5, 0.0]))
        both.longer.add_(torch.tensor([0.25, 0.0]))
        both.length_unit.fill_(10.0)
        votes: list = [[(1, 3, 4)], [(-1, 2, 3)]]
        voters = [[Voter("ann", -1)], [Voter("eve", 1)]]
        losses = both.losses(edges, torch.tensor([0.3, 0.3]), votes, voters, torch.tensor([20.0, 20.0]))
        plain = edges.losses(torch.tensor([0.6, 0.3]), votes)
        prior = (2 * math.log(2) ** 2 + 0.25 + 0.0625) / (2 * SPREAD**2)
        assert losses.tolist() == pytest.approx([float(plain[0]) + prior / 2, float(plain[1])], rel=1e-5)


def test_a_vote_weighs_as_much_against_the_prior_in_a_row_of_its_own():
    """Three votes of a pair, or three pairs of one vote each: the same but for the mean over three."""
    margins, votes, voters, lengths = crowd(3, 20)
    edges, annotators = Edges(), Annotators(counted(voters))
    with torch.no_grad():
        annotators.log_abilities.copy_(torch.tensor([0.5, -0.5, 0.25, 0.0]))
    together = annotators.losses(edges, margins, votes, voters, lengths)
    alone = [[(one,) for of_row in some for one in of_row] for some in (votes, voters)]
    apart = annotators.losses(edges, margins.repeat_interleave(3), alone[0], alone[1], lengths.repeat_interleave(3))
    torch.testing.assert_close(3 * together.sum(), apart.sum())


def fitted(per_row: int, num: int) -> tuple[Annotators, Edges]:
    """Learned with the margins known, to the end."""
    margins, votes, voters, lengths = crowd(per_row, num)
    edges, annotators = Edges(), Annotators(counted(voters))
    annotators.begin(votes, voters, lengths)
    both = [*edges.parameters(), *annotators.parameters()]
    optimizer = torch.optim.LBFGS(both, max_iter=40, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = annotators.losses(edges, margins, votes, voters, lengths).sum()
        loss.backward()
        return loss

    optimizer.step(step)
    annotators.look(edges, margins, votes, voters, lengths)
    return annotators, edges


def test_what_was_planted_comes_back_within_three_standard_errors():
    annotators, edges = fitted(per_row=2, num=1500)
    assert edges.values()[2:5].tolist() == pytest.approx(EDGES, abs=0.2)
    rows = annotators.told()
    assert [row["name"] for row in rows] == sorted(PLANTED)
    for row, information in zip(rows, annotators.information, strict=True):
        ability, first, longer = PLANTED[row["name"]]
        errors = torch.linalg.inv(information + torch.eye(3).double() / SPREAD**2).diagonal().sqrt().tolist()
        found = (math.log(row["ability"]), row["first"], row["longer"])
        for value, planted, error in zip(found, (math.log(ability), first, longer), errors, strict=True):
            assert abs(value - planted) < 3 * error, (row, planted, error)
            assert error < 0.2
        assert row["interval"][0] < row["ability"] < row["interval"][1]
        assert f"{row['num_votes']} votes   ability {row['ability']:.2f} (" in sentence(row)


def test_an_interval_by_hand():
    """One vote of four was looked at, of a margin of 3: it lies 2.5 beyond where a tie ends, so that it tells
    9 sigmoid(2.5) sigmoid(-2.5) of the log-ability, and four as much four times; the prior tells 1 / 0.5^2 beside."""
    edges, annotators = Edges(), Annotators({"ann": 4})
    annotators.look(edges, torch.tensor([3.0]), [[(1, 2, 5)]], [[Voter("ann", 0)]], torch.zeros(1))
    ((low, high),) = [row["interval"] for row in annotators.told()]
    chance = 1 / (1 + math.exp(-2.5))
    deviation = 1 / math.sqrt(4 * 9 * chance * (1 - chance) + 4)
    assert [math.log(low), math.log(high)] == pytest.approx([-1.96 * deviation, 1.96 * deviation], rel=1e-5)


def test_neither_the_order_of_rows_nor_of_names_matters():
    margins, votes, voters, lengths = crowd(3, 200)
    one, other = (Annotators(counted(voters)), Annotators(dict(reversed(counted(voters).items()))))
    order = np.random.default_rng(1).permutation(200)
    one.begin(votes, voters, lengths)
    other.begin([votes[i] for i in order], [voters[i] for i in order], lengths[order])
    assert one.log_abilities.tolist() == pytest.approx(other.log_abilities.tolist(), abs=1e-4)
    assert one.first.tolist() == pytest.approx(other.first.tolist(), abs=1e-4)
    other.load_state_dict(one.state_dict())
    edges = Edges()
    losses = one.losses(edges, margins, votes, voters, lengths)
    turned = other.losses(edges, margins[order], [votes[i] for i in order], [voters[i] for i in order], lengths[order])
    assert torch.equal(losses[order], turned)


def test_a_batch_may_be_cut_in_two():
    margins, votes, voters, lengths = crowd(3, 20)
    edges, annotators = Edges(), Annotators(counted(voters))
    annotators.begin(votes, voters, lengths)
    whole = annotators.losses(edges, margins, votes, voters, lengths)
    parts = [slice(0, 7), slice(7, 20)]
    cut = [annotators.losses(edges, margins[p], votes[p], voters[p], lengths[p]) for p in parts]
    assert torch.allclose(torch.cat(cut), whole, atol=1e-6)


def test_the_start_tells_who_sees_better_and_who_likes_the_left():
    _, votes, voters, lengths = crowd(4, 300)
    annotators = Annotators({**counted(voters), "eve": 1})
    annotators.begin(votes, voters, lengths)
    start = dict(zip(annotators.num_votes, annotators.log_abilities.tolist(), strict=True))
    assert start["ann"] > start["bob"]
    first = dict(zip(annotators.num_votes, annotators.first.tolist(), strict=True))
    assert first["bob"] > 0.3 > 0.2 > abs(first["ann"])
    assert first["eve"] == 0.0
    assert sum(start.values()) == pytest.approx(0, abs=1e-5)
    assert float(annotators.length_unit) == pytest.approx(float(lengths.square().mean().sqrt()), rel=1e-5)


def preference(*votes: tuple[str | None, bool | None]) -> Preference:
    cast = tuple(Vote(side="chosen", annotator=name, first=first) for name, first in votes)
    return Preference(id="p", messages=(Message(role="user", content="?"),), chosen="a", rejected="b", votes=cast)


def test_votes_say_who_and_which_side():
    said = preference(("ann", True), ("bob", False), (None, None))
    assert voters_of(said) == (("ann", 1), ("bob", -1), (None, 0))
    assert len(voters_of(preference())) == len(intervals(preference())) == 1
    met = Annotators.of([said, preference(("bob", None)), preference()], "f")
    assert met.num_votes == {"ann": 1, "bob": 2}
    with pytest.raises(UserError, match="f: annotators=learned needs votes that name who cast them, and none does"):
        Annotators.of(itertools.repeat(preference((None, True)), 3), "f")
