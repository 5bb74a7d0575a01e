"""Probes of scorers whose shortcut is known, because they are nothing else."""

import math
import random
from collections.abc import Callable, Sequence

import pytest
import torch

from prefloop.health.edits import EDITS, Answer
from prefloop.health.probes import probe
from prefloop.records import Message, Preference, Vote
from prefloop.records.probes import blind_to, shortcuts
from prefloop.world import grammar
from prefloop.world.agents import BROAD, reply
from prefloop.world.tickets import read

Rule = Callable[[str, str], float]


class Scored:
    """A scorer made of a rule on two texts; counts what it is asked."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.name, self.asked = rule, "rule", 0

    def score(self, prompts: Sequence[Sequence[Message]], responses: Sequence[str]) -> torch.Tensor:
        self.asked += len(responses)
        texts = [prompt[-1].content for prompt in prompts]
        return torch.tensor([float(self.rule(p, r)) for p, r in zip(texts, responses, strict=True)])


def rows(language: str = "en", number: int = 40) -> list[Preference]:
    """Replies of the helpdesk's agents in pairs; nobody judged them."""
    rng = random.Random(0)
    made = []
    for prompt in grammar.prompts("train", number, seed=1, language=language):
        chosen, rejected = (reply(read(prompt.text), BROAD.draw(rng), rng, borderline=False) for _ in range(2))
        if chosen != rejected:
            made.append(Preference(id=prompt.id, messages=prompt.messages, chosen=chosen, rejected=rejected))
    return made


ROWS = {language: rows(language) for language in ("en", "zh")}


@pytest.mark.parametrize(
    ("rule", "named", "blind"),
    [
        (lambda p, r: len(r), {"length"}, {"shuffled", "prompt", "digit"}),
        (lambda p, r: math.log1p(len(r)), {"length"}, {"shuffled", "prompt", "digit"}),
        (lambda p, r: len(r.split()), {"length"}, {"shuffled", "prompt", "digit"}),
        (lambda p, r: -len(r), set(), {"truncation", "shuffled", "prompt", "digit"}),
        (lambda p, r: r.lower().count("thank"), {"courtesy"}, {"shuffled", "prompt", "digit"}),
        (lambda p, r: r.count("**"), {"format"}, {"truncation", "shuffled", "prompt", "digit"}),
        (lambda p, r: "\n" in r, {"format"}, {"truncation", "shuffled", "prompt", "digit"}),
        (lambda p, r: len(set(p.split()) & set(r.split())), {"stuffing"}, {"shuffled"}),
        (lambda p, r: 0.3, set(), {"quality", "truncation", "shuffled", "prompt", "digit"}),
    ],
)
def test_a_scorer_that_is_nothing_but_a_shortcut(rule: Rule, named: set[str], blind: set[str]):
    found = probe(Scored(rule), ROWS["en"], seed=0)
    assert set(shortcuts(found)) == named
    assert blind <= set(blind_to(found))


def test_length_alone_is_praised_for_nothing():
    """What falls under truncation, or rises under filler, does so by its length."""
    found = {p.name: p for p in probe(Scored(lambda p, r: len(r)), ROWS["en"], seed=0)}
    assert {p.finding for p in found.values() if p.expected == "fall"} == {"by_length", "blind"}
    for name in ("courtesy.1", "courtesy.2", "courtesy.4", "stuffing"):
        assert found[name].finding == "by_length"
        assert found[name].beyond == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(("language", "word", "token"), [("en", "thanks", "thanks"), ("zh", "谢", "谢")])
def test_the_word_of_a_courtesy_is_found(language: str, word: str, token: str):
    found = probe(Scored(lambda p, r: r.lower().count(word)), ROWS[language], seed=0)
    assert shortcuts(found) == ("courtesy",)
    assert {p.token for p in found if p.finding == "shortcut"} == {token}


def test_words_are_named_for_what_they_do_and_not_by_chance():
    """Of noise next to none of the many that are looked at; of a rule its words, each response counting once."""

    def names_a_word(seed: int) -> bool:
        noise = Scored(lambda p, r: random.Random(f"{seed} {p} {r}").gauss(0, 1))
        return any(one.kind == "word" for one in probe(noise, ROWS["en"], seed=seed, num_rows=16))

    assert sum(map(names_a_word, range(8))) <= 1
    made = [
        Preference(
            id=str(i), messages=(Message(role="user", content=f"q {i}"),), chosen="so so so ok", rejected="so so"
        )
        for i in range(12)
    ]
    found = {p.token: p for p in probe(Scored(lambda p, r: r.count("so") + len(p)), made, seed=0) if p.kind == "word"}
    assert {word: one.num for word, one in found.items()} == {"so": 12}


def test_shifts_by_hand():
    """A scorer that counts `**` on responses of which half have two: deviation 1, bold adds two, no interval width."""
    made = [
        Preference(id=str(i), messages=(Message(role="user", content=f"q {i}"),), chosen="**a b c.**", rejected="a b.")
        for i in range(10)
    ]
    found = {p.name: p for p in probe(Scored(lambda p, r: r.count("**")), made, seed=0)}
    assert (found["quality"].shift, found["quality"].finding) == (2.0, "fine")
    assert (found["format.bold"].shift, found["format.bold"].low, found["format.bold"].margins) == (2.0, 2.0, 1.0)


def test_pairs_without_a_decision_tell_no_margin():
    """Which of their responses is called chosen means nothing: here it is the worse one."""
    rule, tie = Scored(lambda p, r: r.count("**")), (Vote(side="tie"),)
    made = [
        Preference(id=str(i), messages=(Message(role="user", content=f"q {i}"),), chosen="**a b.**", rejected="a b.")
        for i in range(10)
    ]
    undecided = [
        row.model_copy(update={"id": f"u{row.id}", "chosen": row.rejected, "rejected": row.chosen, "votes": tie})
        for row in made
    ]
    others = [row.model_copy(update={"messages": (Message(role="user", content=f"u {row.id}"),)}) for row in undecided]
    assert probe(rule, [*made, *undecided, *others], seed=0) == probe(rule, made, seed=0)


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    judge = Scored(lambda p, r: len(r) + 7 * r.count("order") + len(p))
    found = probe(judge, ROWS["en"], seed=0)
    assert probe(judge, ROWS["en"][::-1], seed=0) == found
    assert probe(judge, ROWS["en"], seed=1) != found


def test_what_was_scored_is_counted():
    judge = Scored(lambda p, r: len(r) + r.count("thank you"))
    found = probe(judge, ROWS["en"], seed=0)
    assert sum(p.num_scored for p in found) == judge.asked <= 1500


def test_numbers_are_looked_for_among_all_rows():
    found = {p.name: p for p in probe(Scored(lambda p, r: len(r)), ROWS["en"], seed=0, num_rows=9)}
    assert (found["quality"].num, found["digit"].num, found["digit"].finding) == (9, 9, "blind")


@pytest.mark.parametrize("number", [0, 1, 3])
def test_few_rows_are_not_judged(number: int):
    found = probe(Scored(lambda p, r: len(r)), ROWS["en"][:number], seed=0)
    assert {p.finding for p in found if p.kind not in ("word",)} <= {"unclear", "not_applicable"}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", sorted(EDITS))
def test_edits_keep_their_promise(name: str, language: str):
    """Formats change no word, padding keeps the response in front, damage adds nothing; one seed, one edit."""
    other = ROWS[language][0].chosen
    for row in ROWS[language]:
        answer = Answer(row.messages[-1].content, row.chosen, other)
        made = EDITS[name](answer, random.Random(5))
        assert made == EDITS[name](answer, random.Random(5))
        if made is None:
            continue
        letters = lambda text: [c for c in text if c.isalnum()]  # noqa: E731
        kind = name.split(".")[0]
        if kind == "format":
            assert letters(made) == letters(row.chosen)
        elif kind in ("length", "courtesy", "stuffing"):
            assert made.startswith(row.chosen.rstrip())
            assert len(made) > len(row.chosen)
        elif kind == "truncation":
            assert row.chosen.replace(" ", "").startswith(made.replace(" ", ""))
            assert len(made) < len(row.chosen)
        elif kind == "shuffled":
            assert sorted(letters(made)) == sorted(letters(row.chosen))
        else:
            assert sum(a != b for a, b in zip(made, row.chosen, strict=True)) >= 1
            assert [c for c in made if not c.isdigit()] == [c for c in row.chosen if not c.isdigit()]
