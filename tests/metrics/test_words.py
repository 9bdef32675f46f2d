"""The word error rate, by hand and against a plain recursion."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from emofuse.metrics.words import plain_words, word_error_rate, word_errors


def test_words_are_compared_without_capitals_and_punctuation():
    assert plain_words("I'm “fine” — REALLY, don’t worry: 'tis well-known_so…") == [
        *("i'm", "fine", "really", "don't", "worry", "tis", "well", "known", "so"),
    ]
    assert plain_words("?! ' -") == []


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a c", 1),
        ("a c", "a b c", 1),
        ("a b c", "a x c", 1),
        ("a b c d", "b c d a", 2),
        ("a b", "", 2),
        ("", "a b c", 3),
        ("", "", 0),
    ],
    ids=["same", "missed", "made up", "another", "moved", "nothing heard", "nothing said", "nothing"],
)
def test_the_fewest_changes_are_counted(said, heard, errors):
    assert word_errors(said.split(), heard.split()) == errors


def test_errors_are_those_of_the_definition():
    @cache
    def distance(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))

    rng = np.random.default_rng(0)
    for _ in range(60):
        a, b = ("".join(rng.choice(list("abc"), rng.integers(0, 8))) for _ in range(2))
        assert word_errors(a, b) == distance(a, b) == word_errors(b, a)


def test_the_rate_weighs_texts_by_their_words():
    assert word_error_rate(["One two three.", "four"], ["one, two three", "five six"]) == pytest.approx(2 / 4)
    assert math.isnan(word_error_rate(["…"], ["oh"]))
    with pytest.raises(ValueError, match="zip"):
        word_error_rate(["one"], [])


def test_marks_belong_to_their_letters():
    assert plain_words("scho\u0308n") == plain_words("schön") == ["schön"]
    assert plain_words("नमस्ते दुनिया।") == ["नमस्ते", "दुनिया"]
