"""Multimodal samples without a multimodal corpus: segments of one emotion from different corpora, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from emofuse.data.pairing import join
from emofuse.errors import DataError
from emofuse.types import MODALITIES, Modality, Segment, Utterance

if TYPE_CHECKING:
    from emofuse.training.dataset.sources import Item
    from emofuse.training.recipe.schema import Compose

TASK = "emotion"
SUBSETS: tuple[frozenset[Modality], ...] = tuple(frozenset(c) for n in (1, 2, 3) for c in combinations(MODALITIES, n))
"""The seven, from the single modalities to all three."""


@dataclass(frozen=True)
class Draw:
    """A composition: the item that gives each modality."""

    parts: Mapping[Modality, int]


class Composer:
    """Draws compositions over all subsets of modalities and puts their segments together."""

    def __init__(self, items: Sequence[Item], options: Compose, size: int | None = None) -> None:
        """`size`: how many in an epoch. Raises DataError when fewer than two modalities have labelled items."""
        self.options = options
        self.size = options.size if size is None else size
        self.pools = _pools(items)
        if len(self.pools) < 2:
            raise DataError(
                f"composed samples need labelled items of two modalities at least, found {sorted(self.pools)}; "
                "add sources to data.sources or take data.compose out"
            )
        self.subsets = [s for s in SUBSETS if s <= set(self.pools)]
        self.classes = sorted(set.intersection(*(set(pool) for pool in self.pools.values())))
        counts = np.array([sum(len(pool[c]) for pool in self.pools.values()) for c in self.classes], np.float64)
        odds = (counts / counts.sum()) ** (1 - options.balance)
        self.odds = odds / odds.sum()

    def draw(self, rng: np.random.Generator, number: int) -> Draw:
        """The composition `number`: subsets take turns, so that each occurs equally often."""
        several = [s for s in self.subsets if len(s) >= self.options.fewest]
        subset = several[number % len(several)]
        label = int(self.classes[rng.choice(len(self.classes), p=self.odds)])
        order: list[Modality] = [m for m in MODALITIES if m in subset]
        labels = [label] * len(order)
        if len(order) > 1 and rng.random() < self.options.conflict:
            labels[rng.integers(len(order))] = self.classes[rng.choice(len(self.classes), p=self.odds)]
        parts: dict[Modality, int] = {}
        for modality, own in zip(order, labels, strict=True):
            pool = self.pools[modality][own]
            parts[modality] = pool[int(rng.integers(len(pool)))]
        return Draw(parts)

    def build(
        self,
        draw: Draw,
        items: Sequence[Item],
        cache: Callable[[Utterance], Segment],
        rng: np.random.Generator,
    ) -> tuple[Segment, dict[str, np.ndarray]]:
        """One segment from the parts, and the mean of their targets where they have any."""
        parts: dict[Modality, Segment] = {m: cache(items[i].utterance) for m, i in draw.parts.items()}
        segment = join(parts, frames=self.options.frames, rng=rng)
        targets = _mean([items[i].targets for i in draw.parts.values()])
        return segment, targets


def _pools(items: Sequence[Item]) -> dict[Modality, dict[int, list[int]]]:
    pools: dict[Modality, dict[int, list[int]]] = {}
    for i, item in enumerate(items):
        target = item.targets.get(TASK)
        if target is None or np.isnan(target).any():
            continue
        for modality in item.modalities:
            pools.setdefault(modality, {}).setdefault(int(target.argmax()), []).append(i)
    return pools


def _mean(targets: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    out = {}
    for name in targets[0]:
        known = [t[name] for t in targets if not np.isnan(t[name]).any()]
        out[name] = np.mean(known, axis=0).astype(np.float32) if known else targets[0][name]
    return out
