"""Multimodal samples without a multimodal corpus: segments of one emotion from different corpora, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field

from emofuse.data.examples import Example
from emofuse.data.join import join
from emofuse.data.pairing import by_class, mean_targets
from emofuse.errors import DataError
from emofuse.modalities import Modality, ordered, subsets_of
from emofuse.types import Segment, Utterance

TASK, INTENSITY = "emotion", "intensity"
CANDIDATES = 6
"""Samples among which a part is chosen that is to be like the others."""


def confusion(examples: Sequence[Example]) -> Float[np.ndarray, "classes classes"]:
    """How often raters who see one class see another in its samples, by class; rows sum to 1, even without votes."""
    targets = [t for e in examples if (t := e.targets.get(TASK)) is not None and not np.isnan(t).any()]
    table = np.zeros((len(targets[0]), len(targets[0])))
    for target in targets:
        table[int(target.argmax())] += target
    np.fill_diagonal(table, 0)
    table[table.sum(1) == 0] = 1
    np.fill_diagonal(table, 0)
    return table / table.sum(1, keepdims=True)


class Compose(BaseModel):
    """Samples put together from segments of different corpora that carry the same emotion, one a modality."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Annotated[int, Field(gt=0, le=100_000_000)] = 6000
    """Composed samples in one epoch."""
    dev_size: Annotated[int, Field(gt=0, le=1_000_000)] = 300
    """Composed dev samples for each subset of modalities; the same ones every epoch."""
    balance: Annotated[float, Field(ge=0, le=1)] = 1.0
    """0 = classes as frequent as in the data, 1 = all classes equally frequent."""
    frames: Annotated[int, Field(gt=0, le=1_000)] = 1
    """A single picture is shown 1 to this many times, each with its own augmentation, as a face in a video is."""
    conflict: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of samples in which one modality carries another emotion; the target is then the mean of both."""
    alike: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of samples whose parts are as alike as one person's: of like intensity, and leaning to one near miss."""
    fewest: Annotated[int, Field(ge=1, le=2)] = 1
    """2 = training samples of a single modality come from the sources alone, with their own frequencies."""


Pools = Mapping[Modality, Mapping[int, Sequence[int]]]
"""Modality → class → places of its examples."""


def _odds(pools: Pools, balance: float) -> tuple[list[int], Float[np.ndarray, " classes"]]:
    """The classes that every modality has, and how likely each is drawn."""
    classes = sorted(set.intersection(*(set(pool) for pool in pools.values())))
    counts = np.array([sum(len(pool[c]) for pool in pools.values()) for c in classes], np.float64)
    odds = (counts / counts.sum()) ** (1 - balance)
    return classes, odds / odds.sum()


def _half(pools: Pools, sides: Sequence[bool], side: bool) -> Pools:
    """What is left of the people on one side."""
    kept = {m: {c: [i for i in places if sides[i] == side] for c, places in pool.items()} for m, pool in pools.items()}
    return {m: {c: places for c, places in pool.items() if places} for m, pool in kept.items()}


@dataclass(frozen=True)
class Draw:
    """A composition: the place of the example that gives each modality."""

    parts: Mapping[Modality, int]
    side: bool | None = None
    """Which half of the people all parts are of; None = nobody asked, or the halves are too small."""


class Composer:
    """Draws compositions over all subsets of modalities and puts their segments together."""

    def __init__(
        self,
        examples: Sequence[Example],
        options: Compose,
        size: int | None = None,
        sides: Sequence[bool] | None = None,
    ) -> None:
        """`size`: how many in an epoch. `sides`: which half of the people each example is of, where the two halves of
        the compositions must share nobody. Raises DataError when fewer than two modalities have labelled examples.
        """
        self.options = options
        self.size = options.size if size is None else size
        there = ordered(m for e in examples for m in e.modalities)
        pools = {m: by_class(examples, TASK, m) for m in there}
        self.pools: Pools = {m: pool for m, pool in pools.items() if pool}
        if len(self.pools) < 2:
            raise DataError(
                f"composed samples need labelled examples of two modalities at least, found {sorted(self.pools)}; "
                "add sources to data.sources or take data.compose out"
            )
        self.subsets = subsets_of(self.pools)
        self.classes, self.odds = _odds(self.pools, options.balance)
        if not len(self.classes):
            raise DataError(
                f"composed samples need a class of {TASK} that all of {', '.join(self.pools)} have, and there is none; "
                "add sources that share one to data.sources, or take data.compose out"
            )
        self.halves = () if sides is None else tuple(_half(self.pools, sides, side) for side in (False, True))
        if not all(_odds(half, options.balance)[0] for half in self.halves):
            self.halves = ()
        self.targets = [{t: e.targets[t] for t in (TASK, INTENSITY) if t in e.targets} for e in examples]
        self.confusion = confusion(examples)

    def draw(self, rng: np.random.Generator, number: int) -> Draw:
        """The composition `number`: subsets take turns, so that each occurs equally often."""
        several = [s for s in self.subsets if len(s) >= self.options.fewest]
        subset = several[number % len(several)]
        side = bool(rng.integers(2)) if self.halves else None
        pools = self.pools if side is None else self.halves[side]
        classes, odds = (self.classes, self.odds) if side is None else _odds(pools, self.options.balance)
        label = int(classes[rng.choice(len(classes), p=odds)])
        order = ordered(subset)
        labels = [label] * len(order)
        if len(order) > 1 and rng.random() < self.options.conflict:
            labels[rng.integers(len(order))] = classes[rng.choice(len(classes), p=odds)]
        near_miss = None
        if len(order) > 1 and rng.random() < self.options.alike:
            near_miss = int(rng.choice(len(self.confusion), p=self.confusion[label]))
        parts: dict[Modality, int] = {}
        for modality, own in zip(order, labels, strict=True):
            pool = pools[modality][own]
            if near_miss is None:
                parts[modality] = pool[int(rng.integers(len(pool)))]
            else:
                candidates = [pool[i] for i in rng.integers(len(pool), size=CANDIDATES)]
                parts[modality] = self._most_alike(candidates, near_miss, list(parts.values()))
        return Draw(parts, side)

    def _most_alike(self, candidates: Sequence[int], near_miss: int, parts: Sequence[int]) -> int:
        """The first of those that lean most to the near miss and are nearest in intensity to the parts so far."""
        known = [x for i in parts if (x := self._intensity(i)) is not None]

        def unlike(place: int) -> float:
            own = self._intensity(place)
            apart = abs(own - float(np.mean(known))) if known and own is not None else 0.0
            return apart - float(self.targets[place][TASK][near_miss])

        return min(candidates, key=unlike)

    def _intensity(self, place: int) -> float | None:
        target = self.targets[place].get(INTENSITY)
        return None if target is None or np.isnan(target).any() else float(target[0])

    def build(
        self,
        draw: Draw,
        examples: Sequence[Example],
        read: Callable[[Utterance], Segment],
        rng: np.random.Generator,
    ) -> tuple[Segment, dict[str, np.ndarray]]:
        """One segment from the parts, and the mean of their targets where they have any."""
        parts: dict[Modality, Example] = {m: examples[i] for m, i in draw.parts.items()}
        loaded: dict[Modality, Segment] = {m: e.load(read) for m, e in parts.items()}
        segment = join(loaded, frames=self.options.frames, rng=rng)
        return segment, mean_targets(list(parts.values()))
