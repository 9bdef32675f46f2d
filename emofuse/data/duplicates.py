"""Duplicates by content: development samples that a model has been trained on under another name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from emofuse.data.load import holds_features
from emofuse.media.transcript import tokenize
from emofuse.types import Stored, Utterance

FEWEST_WORDS = 4
"""Of a turn of a dialogue (characters, in scripts without spaces between words): shorter ones ("Yeah, I know.") are
said again by everyone, and are no copies."""

Key = tuple[object, ...]


def without_duplicates(utterances: Sequence[Utterance], trained_on: Sequence[Utterance]) -> list[Utterance]:
    """The utterances whose content is not that of one in `trained_on`.

    Media count by the bytes of the file and the seconds of it; text, where there is no media, by its words, whatever
    the case and punctuation. Only files whose size occurs on the other side are read. Ready-made features are left as
    they are.
    """
    known = {key for utterance in _comparable(trained_on, utterances) if (key := content_key(utterance))}
    candidates = {id(u) for u in _comparable(utterances, trained_on)}
    return [u for u in utterances if id(u) not in candidates or content_key(u) not in known]


def _comparable(utterances: Iterable[Utterance], others: Iterable[Utterance]) -> list[Utterance]:
    """Those without media, and those whose media may equal one of the others: files of the same size."""
    sizes = {size_of(u.media, u.stored) for u in others if u.media is not None}
    return [u for u in utterances if u.media is None or (not holds_features(u) and size_of(u.media, u.stored) in sizes)]


def words_of(text: str) -> list[str]:
    """The words in small letters, without punctuation; of scripts without spaces between words the characters."""
    return [token for run in re.findall(r"\w+", text.casefold()) for token in tokenize(run)]


def size_of(path: Path, stored: Stored | None) -> int:
    """Bytes of media, be they a file or a part of a shard; -1 where there is no such file."""
    if stored is not None:
        return stored.bytes
    return path.stat().st_size if path.is_file() else -1


def content_key(utterance: Utterance) -> Key | None:
    """What is equal for utterances of the same content; None where there is nothing to tell it by."""
    if utterance.stored is not None:
        return bytes.fromhex(utterance.stored.sha256), utterance.start, utterance.end
    if utterance.media is not None:
        if not utterance.media.is_file():
            return None
        with utterance.media.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest(), utterance.start, utterance.end
    words = words_of(utterance.text or "")
    few = FEWEST_WORDS if utterance.dialogue is not None else 1
    return ("words", *words) if len(words) >= few else None
