"""From words to word pieces with seconds and lexicon features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from emofuse.encoders.config import TextConfig
from emofuse.encoders.dialogue import HANDED_ON, DialogueLayout
from emofuse.encoders.lexicon import OwnWords, lexicon_features
from emofuse.encoders.processors.processor import Processor
from emofuse.encoders.script import Script
from emofuse.encoders.word_table import is_wide
from emofuse.types import Segment, Word

LEAST_LETTERS = 4
"""Fewer capitals are no sentence."""


class TextProcessor(Processor):
    """Segment → word pieces with the second and the lexicon features of the word each belongs to."""

    def __init__(self, config: TextConfig, tokenizer: Any) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.own = OwnWords(config.valences, config.affinities)
        self.context_turns, self.future_turns = config.context_turns, config.future_turns
        self.layout = DialogueLayout(config, tokenizer) if config.layout == "dialogue" else None

    def __call__(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """input_ids, token_type_ids, word int64, mask, own bool, times float32 [pieces]; lexicon float32 [pieces, 6]
        (13 with affinities).

        `own` marks the utterance's pieces, [CLS], and a prompt's end; context is read by the encoder but not handed to
        fusion. Pieces past `max_length` are cut: segments of the pipeline are short enough by construction.
        """
        words = [w for w in segment.words or () if w.text.strip()]
        if not words:
            return None
        text, word_of_char = _join(words)
        ids, found, types = self._pieces(segment, text, word_of_char)
        unspoken, owner = found == HANDED_ON, np.maximum(found, -1)
        middle = (segment.start + segment.end) / 2
        centres = np.asarray([(w.start + w.end) / 2 for w in words], np.float32)
        own = owner >= 0
        handed = own | unspoken
        handed[-1] |= not handed.any()
        arrays = {
            "input_ids": ids,
            "mask": np.ones(len(ids), bool),
            "own": handed,
            "times": np.where(own, centres[owner], middle).astype(np.float32) - np.float32(segment.start),
            "word": owner.astype(np.int64),
        }
        if types is not None:
            arrays["token_type_ids"] = types
        if self.config.lexicon:
            features = lexicon_features([w.text for w in words], self.own)
            arrays["lexicon"] = np.where(own[:, None], features[owner], 0).astype(np.float32)
        return arrays

    def _pieces(
        self, segment: Segment, text: str, word_of_char: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Word pieces, the word that each belongs to, and token types where the tokenizer gives any."""
        if self.layout is not None:
            ids, owner = self.layout(segment, text, word_of_char)
            return np.asarray(ids, np.int64), np.asarray(owner), None
        encoded = self.tokenizer(
            text,
            text_pair=self._context(segment.context) or None,
            truncation="longest_first" if not segment.context else "only_second",
            max_length=self._budget(text, segment),
            return_offsets_mapping=True,
        )
        ids = np.asarray(encoded["input_ids"], np.int64)[: self.config.max_length]
        owner = [
            word_of_char[min(start, len(word_of_char) - 1)] if s == 0 else -1
            for s, (start, _) in zip(encoded.sequence_ids(0)[: len(ids)], encoded["offset_mapping"], strict=False)
        ]
        owner[:1] = [i if i >= 0 else HANDED_ON for i in owner[:1]]
        types = np.asarray(encoded["token_type_ids"], np.int64)[: len(ids)] if "token_type_ids" in encoded else None
        return ids, np.asarray(owner), types

    def reads_at_once(self, words: Sequence[Word]) -> bool:
        """Whether their word pieces are at most `max_length`."""
        return len(self.tokenizer(_join(words)[0])["input_ids"]) <= self.config.max_length

    @cached_property
    def _script(self) -> Script:
        return Script(self.tokenizer)

    def foreign(self, words: Sequence[Word]) -> bool:
        """Whether the words are in a script that the vocabulary hardly has: see `Script`."""
        return self._script.foreign(_join(words)[0])

    def _context(self, turns: Sequence[str]) -> str:
        """The latest turns, newest first, so that truncation on the right forgets the oldest."""
        return " ".join(reversed(turns[-self.config.context_turns :])) if self.config.context_turns else ""

    def _budget(self, text: str, segment: Segment) -> int:
        """Word pieces allowed; an utterance that alone fills them is cut after, since only context may be truncated.

        A pair has further markers (one more of BERT's, two of RoBERTa's), and of its context a piece must be left.
        """
        if not segment.context:
            return self.config.max_length
        one, two = (self.tokenizer.num_special_tokens_to_add(pair=pair) for pair in (False, True))
        return max(self.config.max_length, len(self.tokenizer(text)["input_ids"]) + two - one + 1)


def _join(words: Sequence[Word]) -> tuple[str, list[int]]:
    """The words as one text, with the index of the word each character belongs to; no space between CJK words."""
    text = ""
    owner: list[int] = []
    for index, word in enumerate(words):
        if text and not (is_wide(text[-1]) and is_wide(word.text[0])):
            text += " "
            owner.append(index)
        text += word.text
        owner += [index] * len(word.text)
    return sentence_case(text), owner


def sentence_case(text: str) -> str:
    """Several words in capitals alone as an ordinary sentence, of the same length; any other text as it is.

    Capitals break into pieces that a cased vocabulary hardly knows: in them the shipped model got half of the English
    challenge sentences right, of which it gets four fifths. A single word may be an abbreviation, and stays. What the
    lexicon makes of capitals is of the words as they were written.
    """
    letters = [c for c in text if c.lower() != c.upper()]
    if len(letters) < LEAST_LETTERS or not all(map(str.isupper, letters)) or len(text.split()) < 2:
        return text
    told, begins = "", True
    for before, character, after in zip(" " + text, text, text[1:] + " ", strict=False):
        pronoun = character == "I" and not before.isalpha() and not after.isalpha()
        lower = character.lower()
        told += character if begins or pronoun or len(lower) > 1 else lower
        begins = character in ".!?" or (begins and not character.isalpha())
    return told
