"""Modality names, subsets of them, and the names and bit masks of subsets: one vocabulary for the whole package."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations

Modality = str
"""A key such as "text"; an encoder that declares another one makes it known, here nothing is added."""
Subset = frozenset[Modality]

MODALITIES: tuple[Modality, ...] = ("text", "speech", "face")
"""The standard three, in the order of every list of modalities; further ones follow in alphabetical order."""
NONE = "none"
"""The name of the empty subset."""
PHRASES: Mapping[Modality, str] = {"text": "the words", "speech": "the voice", "face": "the face"}


def ordered(modalities: Iterable[Modality]) -> tuple[Modality, ...]:
    """Each modality once: the standard three first, further ones alphabetically."""
    given = set(modalities)
    return (*(m for m in MODALITIES if m in given), *sorted(given.difference(MODALITIES)))


def subsets_of(modalities: Iterable[Modality] = MODALITIES, fewest: int = 1) -> tuple[Subset, ...]:
    """Every subset of at least `fewest` modalities, the smallest first."""
    names = ordered(modalities)
    return tuple(frozenset(c) for n in range(fewest, len(names) + 1) for c in combinations(names, n))


def subset_name(subset: Iterable[Modality]) -> str:
    """'text+face' whatever the order given; 'none' for the empty subset."""
    return "+".join(ordered(subset)) or NONE


def named_subset(name: str) -> Subset:
    """The inverse of `subset_name`."""
    return frozenset() if name == NONE else frozenset(name.split("+"))


def bits(modalities: Iterable[Modality] = MODALITIES) -> dict[Modality, int]:
    """The bit of each modality of a model: text 1, speech 2, face 4 in every model, further ones 8, 16, …"""
    further = [m for m in ordered(modalities) if m not in MODALITIES]
    known = {m: 1 << place for place, m in enumerate((*MODALITIES, *further))}
    return {m: known[m] for m in ordered(modalities)}


def mask_of(subset: Iterable[Modality], modalities: Iterable[Modality] = MODALITIES) -> int:
    """The sum of the bits of a subset, in a model of `modalities`: 5 for text and face."""
    known = bits(modalities)
    return sum(known[m] for m in set(subset))


def members(mask: int, modalities: Iterable[Modality] = MODALITIES) -> Subset:
    """The inverse of `mask_of`."""
    return frozenset(m for m, bit in bits(modalities).items() if mask & bit)


def table_size(modalities: Collection[Modality] = MODALITIES) -> int:
    """Entries of a table that is indexed by masks: 8 for any of the standard three."""
    further = set(modalities).difference(MODALITIES)
    return 1 << (len(MODALITIES) + len(further))
