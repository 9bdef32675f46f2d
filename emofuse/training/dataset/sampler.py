"""Sampling and batching as functions of the seed and the epoch alone, so that a run resumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

Key = tuple[int, int]
"""(epoch, index): all that a training sample depends on, beside the seed."""


Cells = list[list[np.ndarray]]
"""Places of a source's items, by class, then by speaker."""


class Shares:
    """Each source gives `weight` of its items an epoch and goes on in the next where it stopped.

    A source with `cells` gives its classes in turn, and within a class its speakers in turn.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        composed: int,
        seed: int,
        cells: Sequence[Cells | None] | None = None,
    ) -> None:
        self.sizes = list(sizes)
        self.quotas = [max(1, round(w * n)) if n else 0 for w, n in zip(weights, sizes, strict=True)]
        self.composed = composed
        self.seed = seed
        self.cells = list(cells or [None] * len(self.sizes))

    def __len__(self) -> int:
        return sum(self.quotas) + self.composed

    def epoch(self, epoch: int) -> np.ndarray:
        """int64 indices: items of the sources one after the other, then composed samples; unshuffled."""
        chosen, offset = [], 0
        for source, (size, quota) in enumerate(zip(self.sizes, self.quotas, strict=True)):
            if quota:
                chosen.append(offset + self._places(source, epoch * quota, quota))
            offset += size
        chosen.append(offset + np.arange(self.composed))
        return np.concatenate(chosen).astype(np.int64)

    def _places(self, source: int, start: int, count: int) -> np.ndarray:
        cells = self.cells[source]
        return self._chained(source, start, count) if cells is None else self._balanced(source, cells, start, count)

    def _chained(self, source: int, start: int, count: int) -> np.ndarray:
        """Places start … start + count of an endless chain of permutations."""
        size = self.sizes[source]
        rounds = range(start // size, (start + count - 1) // size + 1)
        chain = np.concatenate([np.random.default_rng([self.seed, source, r]).permutation(size) for r in rounds])
        return chain[start % size : start % size + count]

    def _balanced(self, source: int, cells: Cells, start: int, count: int) -> np.ndarray:
        """Places start … start + count of an endless round of classes, each a round of its speakers."""
        chosen = []
        for place in range(start, start + count):
            turn, label = divmod(place, len(cells))
            turn, speaker = divmod(turn, len(cells[label]))
            items = cells[label][speaker]
            turn, at = divmod(turn, len(items))
            order = np.random.default_rng([self.seed, source, label, speaker, turn]).permutation(len(items))
            chosen.append(items[order[at]])
        return np.array(chosen, np.int64)


class Buckets(Sampler[list[Key]]):
    """Batches of samples of like length, in random order; every process of several gets its own and equally many.

    A pool of `pool` batches is sorted by length and cut, so padding stays small and chance stays in.
    """

    def __init__(
        self,
        shares: Shares,
        length: Callable[[np.ndarray, int], np.ndarray],
        batch_size: int,
        *,
        rank: int = 0,
        world: int = 1,
        pool: int = 32,
    ) -> None:
        self.shares = shares
        self.length = length
        self.batch_size = batch_size
        self.rank, self.world = rank, world
        self.pool = pool
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, math.ceil(len(self.shares) / self.batch_size) // self.world)

    def __iter__(self) -> Iterator[list[Key]]:
        rng = np.random.default_rng([self.shares.seed, 7919, self.epoch])
        indices = rng.permutation(self.shares.epoch(self.epoch))
        lengths = self.length(indices, self.epoch)
        span = self.pool * self.batch_size
        batches = []
        for start in range(0, len(indices), span):
            part = slice(start, start + span)
            ordered = indices[part][np.argsort(lengths[part], kind="stable")]
            batches += [ordered[i : i + self.batch_size] for i in range(0, len(ordered), self.batch_size)]
        batches = [batches[i] for i in rng.permutation(len(batches))]
        for i in range(len(self)):
            yield [(self.epoch, int(index)) for index in batches[(i * self.world + self.rank) % len(batches)]]
