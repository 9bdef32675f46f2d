"""Word error rate: words that a recogniser missed, made up or took for others, over those that were said."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np


def plain_words(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation; numbers stay as they are written.

    Punctuation, hyphens and symbols part words; an apostrophe within one, and the marks of its letters, belong to it.
    """
    whole = unicodedata.normalize("NFC", text).lower().replace("’", "'")
    spaced = "".join(c if c == "'" or c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in whole)
    return [word for word in (part.strip("'") for part in spaced.split()) if word]


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """The least number of words to put in, take out or replace that makes one of the other (Levenshtein 1966)."""
    costs = np.arange(len(heard) + 1)
    for row, word in enumerate(said, 1):
        replaced = costs[:-1] + np.array([word != other for other in heard], int)
        costs[1:] = np.minimum(replaced, costs[1:] + 1)
        costs[0] = row
        for column in range(1, len(costs)):
            costs[column] = min(costs[column], costs[column - 1] + 1)
    return int(costs[-1])


def word_error_rate(said: Sequence[str], heard: Sequence[str]) -> float:
    """Word errors of texts, pair by pair as `plain_words`, over all words said; above 1 where much was made up.

    NaN where nothing was said. Raises ValueError for texts that do not pair.
    """
    pairs = [(plain_words(a), plain_words(b)) for a, b in zip(said, heard, strict=True)]
    words = sum(len(a) for a, _ in pairs)
    return sum(word_errors(a, b) for a, b in pairs) / words if words else float("nan")
