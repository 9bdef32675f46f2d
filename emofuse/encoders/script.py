"""Script: whether a tokenizer's vocabulary has words in the script that a text is written in."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import Any

_LOOKED_AT = 500
"""Pieces by which the script of a text is told."""
_UNKNOWN, _SPELT = 0.35, 0.6
"""Shares of pieces that are unknown, or single letters of a script without words, from which nothing is read."""
_WORDS = 100
"""Pieces of two letters or more from which a vocabulary has words in an alphabet."""
_IDEOGRAPHS = 0.03
"""Share of the pieces that are ideographs from which they are words; BERT's English vocabulary has 1.6 %."""
_BYTES = "Ġ"
"""The space of a vocabulary of bytes, whose pieces show no script."""
_OF_IDEOGRAPHS = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"})


class Script:
    """Tells the scripts of texts by one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        pieces = tokenizer.get_vocab()
        self._bytes = any(piece.startswith(_BYTES) for piece in pieces)
        self._words: Counter[str] = Counter()
        for piece in pieces:
            letters = [letter for letter in piece if letter.isalpha()]
            if letters and (len(letters) > 1 or script_of(letters[0]) in _OF_IDEOGRAPHS):
                self._words[script_of(letters[0])] += 1
        self._ideographs = self._words["CJK"] >= _IDEOGRAPHS * len(pieces)

    def foreign(self, text: str) -> bool:
        """Whether the vocabulary hardly has this script: unknown letters, words spelt letter by letter, or letters in
        pieces. Told from the first 500 pieces, from one letter on."""
        text = text[: 4 * _LOOKED_AT]
        encoded = self._tokenizer(text, truncation="longest_first", max_length=_LOOKED_AT, return_offsets_mapping=True)
        unknown = spelt = count = 0
        before = None
        for index, span in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            piece, again = text[slice(*span)].strip(), span == before
            before = span
            if not any(map(str.isalpha, piece)):
                continue
            count += 1
            unknown += index == self._tokenizer.unk_token_id
            spelt += len(piece) == 1 and (again or not self._has(script_of(piece)))
        return count > 0 and (unknown > _UNKNOWN * count or spelt > _SPELT * count)

    def _has(self, script: str) -> bool:
        """Whether single letters of a script may be words of the vocabulary."""
        if self._bytes or script == "LATIN":
            return True
        return self._ideographs if script in _OF_IDEOGRAPHS else self._words[script] >= _WORDS


def script_of(letter: str) -> str:
    """The first word of a letter's name in Unicode: LATIN, CYRILLIC, CJK."""
    return unicodedata.name(letter, "UNNAMED").partition(" ")[0]
