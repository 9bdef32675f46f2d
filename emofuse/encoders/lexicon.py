"""Lexicon features per word from VADER: valence, boosting, negation, emphasis, and the utterance's compound score."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

LEXICON_FEATURES = ("valence", "booster", "negation", "capitals", "exclamation", "compound")
_GERMAN = frozenset(
    {
        "aber", "auch", "auf", "bei", "bin", "das", "dass", "daß", "dem", "den", "der", "des", "dich", "dir", "ein",
        "eine", "einen", "es", "für", "haben", "hat", "ich", "ihr", "im", "ist", "kein", "keine", "mich", "mir", "mit",
        "nach", "nicht", "noch", "nur", "sich", "sie", "sind", "und", "von", "wie", "wir", "wird", "zu", "zum", "zur",
    }
)  # fmt: skip
"""Words of German that English lacks: in a German text `die` and `war` are no deaths and wars."""
_PUNCTUATION = ".,!?;:'\"()[]…“”‘’"


@functools.cache
def _analyzer() -> SentimentIntensityAnalyzer:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def lexicon_features(words: Sequence[str], own: Mapping[str, float] | None = None) -> np.ndarray:
    """float32 [words, features] in about [-1, 1]; zero for words the (English) lexicon does not know, and for German.

    `own` valences of words in small letters come before the lexicon's.

    Source: Hutto & Gilbert 2014, VADER.
    """
    from vaderSentiment.vaderSentiment import BOOSTER_DICT, negated

    if is_german(words):
        return _with_own(np.zeros((len(words), len(LEXICON_FEATURES)), np.float32), words, own)
    analyzer = _analyzer()
    text = " ".join(words)
    compound = analyzer.polarity_scores(text)["compound"] if text else 0.0
    shouting = text.isupper()
    out = np.zeros((len(words), len(LEXICON_FEATURES)), np.float32)
    for row, word in zip(out, words, strict=True):
        bare = word.strip(_PUNCTUATION)
        lower = bare.lower()
        row[0] = word_valence(word)
        row[1] = BOOSTER_DICT.get(lower, 0.0)
        row[2] = float(negated([lower]))
        row[3] = float(len(bare) > 1 and bare.isupper() and not shouting)
        row[4] = min(word.count("!"), 3) / 3
        row[5] = compound
    return _with_own(out, words, own)


def _with_own(features: np.ndarray, words: Sequence[str], own: Mapping[str, float] | None) -> np.ndarray:
    for row, word in zip(features, words, strict=True):
        row[0] = (own or {}).get(word.strip(_PUNCTUATION).lower(), row[0])
    return features


def is_german(words: Sequence[str]) -> bool:
    """Whether a word among them is one of German that English lacks."""
    return any(word.strip(_PUNCTUATION).lower() in _GERMAN for word in words)


def word_valence(word: str) -> float:
    """Lexicon valence of one word, -1 to 1; an emoji scores as the words of its description; 0 when unknown."""
    analyzer = _analyzer()
    for form in (word.lower(), word.strip(_PUNCTUATION).lower()):
        if form in analyzer.lexicon:
            return analyzer.lexicon[form] / 4
    described = [w for c in word for w in analyzer.emojis.get(c, "").split()]
    scores = [analyzer.lexicon[w] / 4 for w in described if w in analyzer.lexicon]
    return sum(scores) / len(scores) if scores else 0.0
