"""From judgements to preferences, by hand."""

from typing import Any

import pytest

from prefloop.decisions import Decisions, decided, votes_of
from prefloop.records import Comparison, Judgement, Message, Response, Sampling


def comparison(texts: str) -> Comparison:
    return Comparison(
        id="c",
        prompt_id="p",
        messages=(Message(role="user", content="hi"),),
        responses=tuple(Response(text=text, num_tokens=3, finished=True, sampler="s") for text in texts),
        sampling=Sampling(temperature=1.0),
        tags=("topic:refund",),
    )


def said(annotator: str, order: tuple[int, ...], kind: str, **answer: Any) -> Judgement:
    row = {"id": f"c-{annotator}-{order}", "comparison": "c", "annotator": annotator, "annotator_kind": "person"}
    return Judgement.model_validate(row | {"kind": kind, "order": order, "seconds": 4.0} | answer)


def pair(annotator: str, order: tuple[int, int], choice: str, strength: int | None = None) -> Judgement:
    return said(annotator, order, "pair", choice=choice, strength=strength)


def ranking(annotator: str, order: tuple[int, ...], ranks: tuple[int, ...]) -> Judgement:
    return said(annotator, order, "ranking", ranks=ranks)


THREE = comparison("ABC")


def decide(*judgements: Judgement, of: Comparison = THREE) -> Decisions:
    return decided([of], judgements)


def test_majority_by_hand():
    """Ann sees (A, B) and takes the left, Bob (B, A) and the right, Cid (A, B) and the right: A, 2 of 3."""
    decisions = decide(pair("ann", (0, 1), "left", 3), pair("bob", (1, 0), "right", 2), pair("cid", (0, 1), "right", 1))
    (p,) = decisions.preferences
    assert (p.chosen, p.rejected, p.chosen_index, p.rejected_index) == ("A", "B", 0, 1)
    assert (p.agreement, p.num_judgements) == (pytest.approx(2 / 3), 3)
    assert p.strength == 2.5  # of those who agree
    assert (p.id, p.comparison, p.tags) == ("c:0-1", "c", ("topic:refund",))
    assert (decisions.num_pairs, decisions.num_tied) == (1, 0)
    assert (decisions.agreement, decisions.num_agreement) == (
        pytest.approx(1 / 3),
        3,
    )  # ann = bob, ann != cid, bob != cid


def test_every_vote_is_kept_as_seen_from_the_chosen_response():
    decisions = decide(
        pair("ann", (0, 1), "right", 3),
        pair("bob", (1, 0), "tie"),
        pair("cid", (1, 0), "right", 1),
        pair("dan", (1, 0), "left", 2),
    )
    (p,) = decisions.preferences
    assert p.chosen == "B"
    assert [(v.side, v.strength) for v in p.votes] == [("chosen", 3), ("tie", None), ("rejected", 1), ("chosen", 2)]
    assert p.outcome == pytest.approx(2 / 3)


def test_pairs_without_a_majority_keep_their_votes():
    decisions = decide(
        pair("ann", (0, 1), "left", 3),
        pair("bob", (0, 1), "right", 1),
        pair("ann", (1, 2), "tie"),
        pair("ann", (0, 2), "left", 2),
    )
    assert [p.id for p in decisions.preferences] == ["c:0-2"]
    assert {p.id: [(v.side, v.strength) for v in p.votes] for p in decisions.undecided} == {
        "c:0-1": [("rejected", 3), ("chosen", 1)],
        "c:1-2": [("tie", None)],
    }
    assert [p.outcome for p in decisions.undecided] == [0.5, None]
    assert decisions.num_tied == 2


@pytest.mark.parametrize(
    ("choices", "winner"),
    [
        (["left", "right"], None),  # one each
        (["tie"], None),
        (["both_bad"], None),
        (["left", "tie"], None),  # as many ties as votes
        (["left", "left", "tie"], "A"),
        (["left", "left", "right", "tie"], "A"),
        (["left", "right", "right", "tie", "tie"], None),
        (["right"], "B"),
    ],
)
def test_the_tie_rule(choices: list[str], winner: str | None):
    """More votes than the other side, and more than there are ties; what is tied is counted and gives no preference."""
    decisions = decide(*(pair(f"a{i}", (0, 1), choice) for i, choice in enumerate(choices)))
    assert [p.chosen for p in decisions.preferences] == ([winner] if winner else [])
    assert decisions.num_tied == (winner is None)
    assert decisions.num_pairs == 1


def test_a_ranking_is_all_its_pairs():
    """Shown as C A B with ranks 2 1 2: A beats C, A beats B, B and C tie."""
    judgement = ranking("ann", (2, 0, 1), (2, 1, 2))
    decisions = decide(judgement)
    assert {(p.chosen, p.rejected) for p in decisions.preferences} == {("A", "C"), ("A", "B")}
    assert (decisions.num_pairs, decisions.num_tied) == (3, 1)
    assert all(p.strength is None for p in decisions.preferences)
    (kept,) = decisions.rankings
    assert (kept.responses, kept.ranks, kept.comparison) == (("C", "A", "B"), (2, 1, 2), "c")
    assert {(i, j, v.winner) for i, j, v in votes_of(judgement)} == {(0, 2, 0), (1, 2, None), (0, 1, 0)}


def test_rankings_and_pairs_vote_together():
    """A ranking says B over A, one pair says A over B, another B over A: B, with 2 of 3."""
    decisions = decide(ranking("ann", (0, 1, 2), (2, 1, 3)), pair("bob", (0, 1), "left"), pair("cid", (1, 0), "left"))
    by_id = {p.id: p for p in decisions.preferences}
    assert (by_id["c:0-1"].chosen, by_id["c:0-1"].agreement) == ("B", pytest.approx(2 / 3))
    assert (by_id["c:0-2"].chosen, by_id["c:1-2"].chosen) == ("A", "B")


def test_agreement_is_among_different_annotators_with_a_side():
    """Ann twice says nothing about agreement, a tie neither: only ann-bob (two couples), who agree once."""
    decisions = decide(
        pair("ann", (0, 1), "left"),
        pair("ann", (1, 0), "left"),
        pair("bob", (0, 1), "left"),
        pair("cid", (0, 1), "tie"),
    )
    assert (decisions.agreement, decisions.num_agreement) == (0.5, 2)
    assert decide(pair("ann", (0, 1), "left")).agreement is None


def test_equal_texts_are_never_a_pair():
    decisions = decide(pair("ann", (0, 1), "left"), of=comparison("AAB"))
    assert decisions.preferences == ()
    assert decisions.num_tied == 1


def test_ratings_and_thumbs_decide_no_pair():
    thumbs = said("ann", (0, 1, 2), "thumb", thumbs=(True, False, True))
    assert decide(thumbs).num_pairs == 0


def test_a_ruling_is_heard_alone_and_one_on_the_pair_before_one_on_a_ranking():
    """Three people put B first. A lead ranks A, B, C; later they say B of A and B, and neither of A and C."""
    people = [ranking(name, (1, 0, 2), (1, 2, 3)) for name in ("ann", "bob", "cid")]
    order = ranking("lead", (0, 1, 2), (1, 2, 3)).model_copy(update={"ruling": True})
    assert sorted((p.id, p.chosen, p.num_judgements) for p in decide(*people, order).preferences) == [
        ("c:0-1", "A", 1),
        ("c:0-2", "A", 1),
        ("c:1-2", "B", 1),
    ]
    pairs = [pair("lead", (0, 1), "right", 3), pair("lead", (0, 2), "tie")]
    decisions = decide(*people, *(ruling.model_copy(update={"ruling": True}) for ruling in pairs), order)
    assert {(p.id, p.chosen, p.agreement, p.strength) for p in decisions.preferences} == {
        ("c:0-1", "B", 1.0, 3.0),
        ("c:1-2", "B", 1.0, None),
    }
    assert (decisions.num_pairs, decisions.num_tied) == (3, 1)


def test_ratings_and_thumbs_are_told_in_the_order_of_the_comparison():
    """Shown as C A B: C gets 5, A 1, B 3; of the thumbs only B was shown, and a blank response is left out."""
    rating = said("ann", (2, 0, 1), "rating", ratings={"safe": (5, 1, 3)})
    thumb, of_blank = said("bob", (1,), "thumb", thumbs=(True,)), comparison("A B")
    rows = decide(rating, thumb, pair("cid", (0, 1), "left")).rated
    assert [(row.responses, row.ratings, row.thumbs, row.annotator) for row in rows] == [
        (("A", "B", "C"), {"safe": (1, 3, 5)}, None, "ann"), (("B",), None, (True,), "bob")
    ]  # fmt: skip
    assert [row.responses for row in decide(rating, of=of_blank).rated] == [("A", "B")]
    assert decide(said("ann", (1,), "thumb", thumbs=(True,)), of=of_blank).rated == ()


def test_a_vote_keeps_who_said_it_and_which_side_the_chosen_response_stood_on():
    """A wins 2 : 1. Ann saw it on the left, Bob on the right; how Cid saw it is not known, nor is a ranking's side."""
    cid = pair("cid", (0, 1), "right").model_copy(update={"sides_known": False})
    decisions = decide(pair("ann", (0, 1), "left"), pair("bob", (1, 0), "right"), cid, ranking("dan", (0, 1), (1, 2)))
    (p,) = decisions.preferences
    seen = [("ann", True), ("bob", False), ("cid", None), ("dan", None)]
    assert [(vote.annotator, vote.first) for vote in p.votes] == seen
