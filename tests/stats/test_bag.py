"""The words-only baseline, against scikit-learn's."""

import itertools
import random

import numpy as np
import pytest
import scipy.sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from prefloop.stats.bag import bag_margins, counts, inverse_frequency, tf_idf
from prefloop.stats.text import tokens

WORDS = [f"word{number}" for number in range(30)]


def texts(num: int, seed: int) -> list[str]:
    drawn = random.Random(seed)
    return [" ".join(drawn.choices(WORDS, k=drawn.randint(1, 12))) for _ in range(num)]


def grams(text: str) -> list[str]:
    words = tokens(text)
    return [*words, *map(" ".join, itertools.pairwise(words))]


def test_tf_idf_and_the_regression_are_those_of_scikit_learn():
    training = list(zip(texts(80, 0), texts(80, 1), strict=True))
    held_out = list(zip(texts(40, 2), texts(40, 3), strict=True))
    both = list(dict.fromkeys(text for pair in training for text in pair))
    theirs = TfidfVectorizer(analyzer=grams, sublinear_tf=True).fit(both)
    ours = counts(both)
    features = tf_idf(ours, inverse_frequency(ours))
    expected = theirs.transform(both)
    assert (features @ features.T).toarray() == pytest.approx((expected @ expected.T).toarray())
    taught = theirs.transform([pair[0] for pair in training]) - theirs.transform([pair[1] for pair in training])
    asked = theirs.transform([pair[0] for pair in held_out]) - theirs.transform([pair[1] for pair in held_out])
    fitted = LogisticRegression(C=0.3, fit_intercept=False, max_iter=1000, tol=1e-8)
    fitted.fit(scipy.sparse.vstack([taught, -taught]), np.repeat([1, 0], len(training)))
    assert bag_margins(training, held_out) == pytest.approx(fitted.decision_function(asked), abs=2e-3)


def test_a_text_without_words_and_unknown_words_say_nothing():
    assert bag_margins([("a b", "c")] * 3, [("", ""), ("x", "y"), ("a", "c")]).tolist()[:2] == [0.0, 0.0]
