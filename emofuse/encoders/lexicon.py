"""Lexicon features per word from VADER: valence, boosting, negation, emphasis, and the utterance's compound score."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from emofuse.encoders.word_table import is_wide
from emofuse.tasks import EMOTIONS

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

LEXICON_FEATURES = ("valence", "booster", "negation", "capitals", "exclamation", "compound")
_GERMAN = frozenset(
    {
        "aber", "auch", "auf", "bei", "das", "dass", "daß", "dem", "der", "des", "dich", "ein", "eine", "einen", "für",
        "haben", "ich", "ihr", "ist", "kein", "keine", "mich", "mir", "nach", "nicht", "noch", "nur", "sich", "sie",
        "sind", "und", "wie", "wir", "wird", "zu", "zum", "zur",
    }
)  # fmt: skip
"""Words of German that English lacks: in a German text `die` and `war` are no deaths and wars."""
_PERHAPS_GERMAN = frozenset({"bin", "den", "dir", "es", "hat", "im", "mit", "von"})
"""Words that English has too, or is written with ("im so happy"): two of them are German."""
_PUNCTUATION = ".,!?;:'\"()[]…“”‘’"
_MARKS = _PUNCTUATION + "，。！？、；：「」"
"""What may stand about a word of one's own."""


class OwnWords:
    """Words and phrases of one's own, in small letters: their valences, and the strengths of emotions in them."""

    def __init__(
        self, valences: Mapping[str, float] | None = None, affinities: Mapping[str, Mapping[str, float]] | None = None
    ) -> None:
        self.valences, self.affinities = valences or {}, affinities or {}
        self._longest = max(map(_tokens, [*self.valences, *self.affinities]), default=0)

    def over(self, features: np.ndarray, words: Sequence[str]) -> np.ndarray:
        """The lexicon's features of an utterance's words with those of one's own: valences in place of the lexicon's
        and, where there are affinities, a further column for each emotion of `EMOTIONS`."""
        strengths = np.zeros((len(words), len(EMOTIONS) if self.affinities else 0), np.float32)
        for places, name in self._spoken(words):
            if name in self.valences:
                features[places, 0] = self.valences[name]
            for emotion, strength in self.affinities.get(name, {}).items():
                strengths[places, EMOTIONS.index(emotion)] = strength
        return np.concatenate([features, strengths], axis=1)

    def _spoken(self, words: Sequence[str]) -> Iterator[tuple[slice, str]]:
        """What is said of them and where, longer phrases last, so that they hold."""
        bare = [word.strip(_MARKS).lower() for word in words]
        for length in range(1, self._longest + 1):
            for first in range(len(bare) - length + 1):
                name = _phrase(bare[first : first + length])
                if name in self.valences or name in self.affinities:
                    yield slice(first, first + length), name


def _phrase(words: Sequence[str]) -> str:
    """Words as one text; scripts without spaces have none."""
    text = ""
    for word in words:
        apart = text and word and not (is_wide(text[-1]) and is_wide(word[0]))
        text += f" {word}" if apart else word
    return text


def _tokens(phrase: str) -> int:
    """How many words of a segment it is at most: in a script without spaces, each character may be one."""
    return sum(max(1, sum(map(is_wide, chunk))) for chunk in phrase.split())


@functools.cache
def _analyzer() -> SentimentIntensityAnalyzer:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def lexicon_features(words: Sequence[str], own: OwnWords | None = None) -> np.ndarray:
    """float32 [words, features] in about [-1, 1]; zero for words the (English) lexicon does not know, and for German.

    Words of one's `own` come before the lexicon's, in any language (see `OwnWords.over`).

    Source: Hutto & Gilbert 2014, VADER.
    """
    return (own or OwnWords()).over(_known(words), words)


def _known(words: Sequence[str]) -> np.ndarray:
    from vaderSentiment.vaderSentiment import BOOSTER_DICT, negated

    if is_german(words):
        return np.zeros((len(words), len(LEXICON_FEATURES)), np.float32)
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
    return out


def is_german(words: Sequence[str]) -> bool:
    """Whether a word among them is one of German that English lacks, or two may be."""
    bare = {word.strip(_PUNCTUATION).lower() for word in words}
    return bool(bare & _GERMAN) or len(bare & _PERHAPS_GERMAN) > 1


def word_valence(word: str) -> float:
    """Lexicon valence of one word, -1 to 1; an emoji scores as the words of its description; 0 when unknown."""
    analyzer = _analyzer()
    for form in (word.lower(), word.strip(_PUNCTUATION).lower()):
        if form in analyzer.lexicon:
            return analyzer.lexicon[form] / 4
    described = [w for c in word for w in analyzer.emojis.get(c, "").split()]
    scores = [analyzer.lexicon[w] / 4 for w in described if w in analyzer.lexicon]
    return sum(scores) / len(scores) if scores else 0.0
