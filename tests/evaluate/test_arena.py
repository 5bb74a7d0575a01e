"""What people may compare blind: first prompts as they come, and an audit of favourites and of the furthest drift."""

from prefloop.evaluate.arena import TOP_KL, TOP_REWARD, arena_rows
from prefloop.evaluate.measure import Answer
from prefloop.records import Message, Prompt


def made(n: int, scores: list[float] | None, kls: list[float]):
    prompts = [Prompt(id=f"p{i}", messages=(Message(role="user", content=f"say {i}"),), tags=("t",)) for i in range(n)]
    old = [Answer(f"old {i}", 2, True, 0.0, 9.0, None) for i in range(n)]
    new = [Answer(f"new {i}", 2, True, kls[i], scores[i] if scores else None, None) for i in range(n)]
    return prompts, {"old": old, "new": new}


def test_the_first_are_not_chosen_and_the_audit_is():
    prompts, answers = made(6, [9, 9, 0, 3, 1, 2], [9, 9, 1, 2, 5, 0])
    rows = arena_rows(prompts, answers, num_arena=2, num_audit=1)
    assert [(row["id"], row["sampler"], row["response"]) for row in rows] == [
        (f"p{i}", who, f"{who} {i}") for i in (0, 1, 3, 4) for who in ("old", "new")
    ]
    assert [row["tags"] for row in rows[::2]] == [["t"], ["t"], ["t", TOP_REWARD], ["t", TOP_KL]]
    assert rows[0]["messages"] == [{"role": "user", "content": "say 0"}]


def test_one_response_may_be_both():
    prompts, answers = made(3, [0, 5, 1], [0, 5, 1])
    (row, _) = arena_rows(prompts, answers, num_arena=0, num_audit=1)
    assert (row["id"], row["tags"]) == ("p1", ["t", TOP_REWARD, TOP_KL])


def test_without_scores_only_drift_is_looked_at():
    prompts, answers = made(3, None, [0, 1, 2])
    rows = arena_rows(prompts, answers, num_arena=0, num_audit=1)
    assert [(row["id"], row["tags"]) for row in rows[::2]] == [("p2", ["t", TOP_KL])]


def test_few_prompts_and_none():
    prompts, answers = made(2, [1, 2], [1, 2])
    assert len(arena_rows(prompts, answers, num_arena=100, num_audit=10)) == 4
    assert arena_rows(prompts, answers, num_arena=0, num_audit=0) == []
