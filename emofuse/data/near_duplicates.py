"""Near duplicates: utterances that say, or are files of, the same as another, in any split."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt64

from emofuse.data.duplicates import FEWEST_WORDS, content_key, size_of, words_of
from emofuse.types import Utterance

SHINGLE = 5
"""Characters of a piece that texts are compared by."""
BANDS, ROWS = 32, 4
"""Of the MinHash signature: texts of similarity 0.8 share a band with a chance above 0.9999, of 0.3 with 0.23."""
_PRIME = np.uint64((1 << 31) - 1)
_KEPT = {"test": 0, "dev": 1, "train": 2}
"""Whose copy stays: what is evaluated on, before what is trained on."""


@dataclass(frozen=True, eq=False)
class Copy:
    """An utterance that is nearly another, which stays."""

    utterance: Utterance
    other: Utterance
    similarity: float
    """Jaccard similarity of their texts' pieces; 1 for files of the same content."""


def near_duplicates(utterances: Sequence[Utterance], similarity: float = 0.8) -> list[Copy]:
    """Copies in the order of the utterances: of each group of like ones all but the one that stays.

    Texts of FEWEST_WORDS words or more, without media, count as copies from this Jaccard similarity on of their pieces
    of SHINGLE characters, whatever the case and punctuation; candidates are found by MinHash (Broder 1997) in bands
    (Leskovec et al. 2020, §3.4). Media count by their bytes and seconds. A copy that stays is of the test split before
    dev before train, and else the first.
    """
    order = sorted(range(len(utterances)), key=lambda i: _KEPT[utterances[i].split])
    found: dict[int, Copy] = {}
    for place, other, share in (*_same_files(utterances, order), *_like_texts(utterances, order, similarity)):
        if place not in found and other not in found:
            found[place] = Copy(utterances[place], utterances[other], share)
    return [found[place] for place in sorted(found)]


def pieces(text: str) -> frozenset[str]:
    """Runs of SHINGLE characters of the words, in small letters; none of a text of fewer than FEWEST_WORDS words."""
    words = words_of(text)
    if len(words) < FEWEST_WORDS:
        return frozenset()
    joined = " ".join(words)
    return frozenset(joined[i : i + SHINGLE] for i in range(max(1, len(joined) - SHINGLE + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Shared pieces among all pieces."""
    return len(a & b) / max(1, len(a | b))


def _same_files(utterances: Sequence[Utterance], order: Sequence[int]) -> Iterator[tuple[int, int, float]]:
    sizes: Mapping[int, list[int]] = defaultdict(list)
    for i in order:
        media = utterances[i].media
        if media is not None and (size := size_of(media, utterances[i].stored)) >= 0:
            sizes[size].append(i)
    first: dict[object, int] = {}
    for i in (i for alike in sizes.values() if len(alike) > 1 for i in alike):
        key = content_key(utterances[i])
        if key is not None and first.setdefault(key, i) != i:
            yield i, first[key], 1.0


def _like_texts(
    utterances: Sequence[Utterance], order: Sequence[int], similarity: float
) -> Iterator[tuple[int, int, float]]:
    told = {i: pieces(utterances[i].text or "") for i in order if utterances[i].media is None}
    shingles = {i: own for i, own in told.items() if own}
    buckets: Mapping[tuple[int, bytes], list[int]] = defaultdict(list)
    seen: set[tuple[int, int]] = set()
    for i, own in shingles.items():
        for key in _bands(_signature(own)):
            for other in _different(buckets[key], shingles):
                if (i, other) not in seen:
                    seen.add((i, other))
                    share = jaccard(own, shingles[other])
                    if share >= similarity:
                        yield i, other, share
            buckets[key].append(i)


def _different(places: Iterable[int], shingles: Mapping[int, frozenset[str]]) -> list[int]:
    """One of each text: a line that a thousand people write is compared with once."""
    return list({shingles[i]: i for i in reversed(list(places))}.values())[::-1]


def _signature(own: frozenset[str]) -> UInt64[np.ndarray, " hashes"]:
    digests = (hashlib.blake2b(piece.encode(), digest_size=4).digest() for piece in own)
    numbers = np.array([int.from_bytes(d, "little") for d in digests], np.uint64) % _PRIME
    return ((numbers[:, None] * _FACTORS + _OFFSETS) % _PRIME).min(0)


def _bands(signature: UInt64[np.ndarray, " hashes"]) -> Iterator[tuple[int, bytes]]:
    return ((band, part.tobytes()) for band, part in enumerate(signature.reshape(BANDS, ROWS)))


_FACTORS, _OFFSETS = np.random.default_rng(0).integers(1, int(_PRIME), (2, BANDS * ROWS)).astype(np.uint64)
