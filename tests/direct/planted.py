"""What people said, made up: the better response says sorry, wherever it says so; both are of the same length."""

import random
from typing import Any


def pairs(count: int, **more: Any) -> list[dict[str, Any]]:
    rng = random.Random(1)
    rows = []
    for i in range(count):
        texts = []
        for word in ("sorry", "never"):
            words = [rng.choice(["on", "it", "go", "my"]) for _ in range(3)]
            words.insert(rng.randrange(4), word)
            texts.append(" ".join(words))
        rows.append({"id": f"r{i}", "messages": asked(i), "chosen": texts[0], "rejected": texts[1], **more})
    return rows


def asked(i: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"where is {i // 2}?"}]


def thumbs(count: int) -> list[dict[str, Any]]:
    rows = []
    for row in pairs(count):
        for kind, thumb in (("chosen", True), ("rejected", False)):
            rows.append(
                {"id": f"{row['id']}{kind}", "messages": row["messages"], "responses": [row[kind]], "thumbs": [thumb]}
            )
    return rows


def rankings(count: int) -> list[dict[str, Any]]:
    return [
        {"id": row["id"], "messages": row["messages"], "responses": [row["rejected"], row["chosen"]], "ranks": [2, 1]}
        for row in pairs(count)
    ]
