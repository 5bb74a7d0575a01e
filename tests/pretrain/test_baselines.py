"""Counting tokens and pairs, by hand."""

import math

import numpy as np
import pytest

from prefloop.pretrain.baselines import bigram_perplexity, unigram_perplexity


def test_unigram_by_hand():
    """Documents 0 1 1 / 0 2 predict 1 1 2; add one over a vocabulary of 4: [1 3 2 1] / 7. Held out: 0 1 3 predicts 1
    and 3."""
    actual = unigram_perplexity([[0, 1, 1], [0, 2]], [[0, 1, 3]], vocab_size=4)
    assert actual == pytest.approx(math.exp(-(math.log(3 / 7) + math.log(1 / 7)) / 2))


def test_bigram_by_hand():
    """After 0 comes 1 twice and 2 once, so 2/3 and 1/3; tokens 1 and 2 as often, with add one 3/6 and 2/6 (and 0: 1/6).

    Held out 0 1 and 0 2: loss(w) = -[log(2w/3 + (1-w)/2) + log(w/3 + (1-w)/3)] / 2 falls in w, so w is at its bound,
    0.999.
    """
    actual = bigram_perplexity([[0, 1], [0, 1], [0, 2]], [[0, 1], [0, 2]], vocab_size=3)
    assert actual == pytest.approx((2 / 3 * 1 / 3) ** -0.5, rel=1e-3)


def test_pairs_help_where_there_are_pairs_and_never_hurt():
    rng = np.random.default_rng(1)
    alternating, noise = [[0, 1] * 10 for _ in range(20)], rng.integers(0, 2, (40, 20)).tolist()
    assert bigram_perplexity(alternating, alternating, vocab_size=2) == pytest.approx(1, abs=2e-3)
    assert unigram_perplexity(alternating, alternating, vocab_size=2) > 1.9
    assert (
        bigram_perplexity(noise[:20], noise[20:], vocab_size=2)
        <= unigram_perplexity(noise[:20], noise[20:], vocab_size=2) + 1e-6
    )
