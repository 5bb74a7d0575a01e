"""A judge that compares by principles: how often each was drawn, and what its answers by each are worth.

Follows Bai et al. 2022 (arXiv:2212.08073, section 4.1): the principle is drawn at random for each pair.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from prefloop.collect.asking import Said
from prefloop.collect.audit import CONFIDENCE, LEAST_TAGGED, SIGN, Choices, Compared
from prefloop.records import PairChoice, spoken
from prefloop.stats import judges


class Drawn(Protocol):
    """A vote on a pair."""

    @property
    def principle(self) -> str:
        """By which it was asked."""
        ...


def by_principle(compared: Compared, principle: str) -> Compared:
    """A pair that people judged too, of which the judge is asked by a principle."""
    one, other = compared.asked
    return replace(compared, asked=(replace(one, principle=principle), replace(other, principle=principle)))


def of_principles(
    both: Sequence[tuple[Drawn, Said[PairChoice], Said[PairChoice]]],
    compared: Sequence[Compared],
    said: Sequence[Said[PairChoice]],
    names: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Principle -> its numbers: `pairs` asked in both orders (each vote counts), `decided` of them in both,
    `consistent`, the share of these that both orders decide alike, and `agreement` with people, as the audit has it.

    Args:
        both: votes on pairs, and what was answered in one order and in the other.
        compared: the pairs that people judged too.
        said: the answers to those, two for each.
        names: of all principles.
    """
    told: dict[str, dict[str, Any]] = {}
    audit = list(zip(compared, said[::2], said[1::2], strict=True))
    for name in names:
        own: list[Choices] = [(a.choice, b.choice) for couple, a, b in both if couple.principle == name]
        decided = [(SIGN[a], -SIGN[b]) for a, b in own if a and b]
        asked = [
            (each, (SIGN[a.choice] - SIGN[b.choice]) / 2)
            for each, a, b in audit
            if a.choice and b.choice and each.asked[0].principle == name
        ]
        agreement, _ = judges.agreement_with(
            [side for _, side in asked],
            [each.votes for each, _ in asked],
            [spoken(each.asked[0].messages) for each, _ in asked],
            confidence=CONFIDENCE,
        )
        told[name] = {
            "pairs": len(own),
            "decided": len(decided),
            "consistent": sum(a == b for a, b in decided) / len(decided) if decided else None,
            "agreement": asdict(agreement) if asked else None,
        }
    return told


def principles_told(told: dict[str, dict[str, Any]]) -> list[str]:
    """The same in words, a sentence for each that was drawn."""
    sentences = []
    for name, numbers in told.items():
        if not numbers["pairs"]:
            continue
        consistent, agreement = numbers["consistent"], numbers["agreement"]
        alike = (
            "decided none of them in both orders" if consistent is None else f"both orders agree in {consistent:.0%}"
        )
        people = ""
        if agreement and agreement["value"] is not None and agreement["n"] >= LEAST_TAGGED:
            people = f"; it agrees with one of the people in {agreement['value']:.0%}"
            people += f" ({agreement['low']:.0%} to {agreement['high']:.0%})"
        sentences.append(f"by {name}: {numbers['pairs']} pairs, {alike}{people}.")
    return sentences
