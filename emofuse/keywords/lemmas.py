"""Lemmas: the forms of a word as one, by the dictionaries of simplemma."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from emofuse.errors import DataError, nearest, require_package


class Lemmas:
    """Words to lemmas in some languages; where one has no dictionary for a word, the next is asked.

    Needs the extra `keywords`. Raises `DataError` for a language that has no dictionary.
    """

    def __init__(self, languages: Sequence[str] = ("en",)) -> None:
        require_package("simplemma", extra="keywords")
        from simplemma import Lemmatizer
        from simplemma.strategies.dictionaries.dictionary_factory import SUPPORTED_LANGUAGES

        for code in languages:
            if code not in SUPPORTED_LANGUAGES:
                raise DataError(f"there are no lemmas of the language {code!r}; {nearest(code, SUPPORTED_LANGUAGES)}")
        self._languages, self._lemmatizer = tuple(languages), Lemmatizer()

    def __call__(self, word: str) -> str | None:
        """Its lemma in small letters, the marks around it left out; None for what is neither letters nor an emoji."""
        bare = _bare(word)
        if not any(unicodedata.category(character)[0] == "L" for character in bare):
            return bare if any(unicodedata.category(character) == "So" for character in bare) else None
        return self._lemmatizer.lemmatize(bare, self._languages).casefold()


def _bare(word: str) -> str:
    """Without the punctuation at either end."""
    start, end = 0, len(word)
    while start < end and unicodedata.category(word[start])[0] in "PZ":
        start += 1
    while end > start and unicodedata.category(word[end - 1])[0] in "PZ":
        end -= 1
    return word[start:end]
