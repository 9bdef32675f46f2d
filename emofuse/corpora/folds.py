"""Folds by rule, for corpora without a published split: k parts by speaker, the same on every machine."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from emofuse.errors import DataError
from emofuse.types import Split, Utterance

STANDARD = 5
FEWEST = 3
"""Train, dev and test need a part each."""
_FOLD = re.compile(r"([1-9]\d*)/([1-9]\d*)")
_SET = re.compile(r"([1-9]\d*)-fold")


def k_folds(count: int = STANDARD) -> tuple[str, ...]:
    """Names of `count` folds: 1/5, 2/5, …"""
    return tuple(f"{number}/{count}" for number in range(1, count + 1))


def folds_of_set(name: str) -> tuple[str, ...]:
    """`10-fold` → 1/10 to 10/10; () for any other name."""
    found = _SET.fullmatch(name)
    return k_folds(int(found[1])) if found and int(found[1]) >= FEWEST else ()


def is_rule_fold(fold: object) -> bool:
    """Whether this is a fold by rule, `2/5`, and not a name of the corpus's own."""
    return "/" in str(fold)


def read_fold(fold: object) -> tuple[int, int]:
    """`2/5` → (2, 5). Raises DataError for what is not a fold of three parts or more."""
    found = _FOLD.fullmatch(str(fold))
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if count < FEWEST or number > count:
        raise DataError(f"fold {fold!r} is not one of k parts, k at least {FEWEST}; write 1/5 to 5/5 for five")
    return number, count


def deal(roster: Mapping[str, str], count: int) -> dict[str, int]:
    """Each speaker of a published list → its part, 1 to count: one sex after the other, by name, dealt in turn.

    So parts differ by one speaker at most in size and in each sex. `roster`: speaker → sex, "" where it is not told.
    The whole list counts, not who is there: a copy without some speakers has the same folds.
    """
    dealt = sorted(roster, key=lambda speaker: (roster[speaker], speaker))
    return {speaker: place % count + 1 for place, speaker in enumerate(dealt)}


def part_of(speaker: str, count: int) -> int:
    """The part of a speaker whom no list names, 1 to count, by a hash of the name."""
    return int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:8], "big") % count + 1


def parts_of(speakers: Iterable[str], count: int, roster: Mapping[str, str]) -> dict[str, int]:
    """The part of each speaker: as the list deals them, by hash where there is none."""
    dealt = deal(roster, count)
    return {speaker: dealt.get(speaker) or part_of(speaker, count) for speaker in speakers}


def folded(utterances: Iterable[Utterance], fold: str, roster: Mapping[str, str]) -> tuple[Utterance, ...]:
    """The utterances with the splits of a fold: of `2/5`, part 2 is test, the next one dev, the others train."""
    utterances = tuple(utterances)
    number, count = read_fold(fold)
    parts = parts_of({u.speaker for u in utterances}, count, roster)
    return tuple(replace(u, split=_split(parts[u.speaker], number, count)) for u in utterances)


def folds_hash(parts: Mapping[str, int]) -> str:
    """SHA-256 over the sorted lines `speaker TAB part`: two tables with one hash were made on the same folds."""
    lines = sorted(f"{speaker}\t{part}" for speaker, part in parts.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _split(part: int, number: int, count: int) -> Split:
    if part == number:
        return "test"
    return "dev" if part == number % count + 1 else "train"
