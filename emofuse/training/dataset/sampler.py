"""Sampling and batching as functions of the seed and the epoch alone, so that a run resumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

Key = tuple[int, int]
"""(epoch, index): all that a training sample depends on, beside the seed."""


Cells = list[list[np.ndarray]]
"""Places of a source's items, by class, then by speaker."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Items that lie together, in shards that are fetched: an epoch takes them shard by shard."""

    numbers: np.ndarray
    """int64, the shard of each place."""
    window: int
    """Shards whose items are shuffled together: as many as there is room for, next to those of the window before."""

    def permutation(self, rng: np.random.Generator) -> np.ndarray:
        """Every place once: shards in random order, in windows, the items of a window in random order."""
        order = rng.permutation(np.unique(self.numbers))
        windows = [order[i : i + self.window] for i in range(0, len(order), self.window)]
        return np.concatenate([rng.permutation(np.flatnonzero(np.isin(self.numbers, w))) for w in windows])

    def mine(self, places: np.ndarray, rank: int, world: int) -> np.ndarray:
        """Which of the places are of one process of several: its own shards, or, where they are too few, every nth."""
        shards, first = np.unique(self.numbers[places], return_index=True)
        if len(shards) < world:
            return np.arange(len(places)) % world == rank
        own = shards[np.argsort(first)][rank::world]
        return np.isin(self.numbers[places], own)


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
        blocks: Sequence[Blocks | None] | None = None,
    ) -> None:
        """`blocks`: of each source that lies in shards which are fetched; others are in any order."""
        self.sizes = list(sizes)
        self.quotas = [max(1, round(w * n)) if n else 0 for w, n in zip(weights, sizes, strict=True)]
        self.composed = composed
        self.seed = seed
        self.cells = list(cells or [None] * len(self.sizes))
        self.blocks = list(blocks or [None] * len(self.sizes))

    def __len__(self) -> int:
        return sum(self.quotas) + self.composed

    def epoch(self, epoch: int) -> np.ndarray:
        """int64 indices: items of the sources one after the other, then composed samples; unshuffled."""
        drawn = [offset + places for _, offset, places in self._drawn(epoch)]
        return np.concatenate([*drawn, sum(self.sizes) + np.arange(self.composed)]).astype(np.int64)

    def stream(self, epoch: int, rng: np.random.Generator, rank: int = 0, world: int = 1) -> np.ndarray:
        """int64 indices of one process of `world`: sources mixed at random, each in the order in which it was drawn."""
        found, moments = [], []
        for source, offset, places in self._drawn(epoch):
            at, blocks = np.sort(rng.random(len(places))), self.blocks[source]
            mine = np.arange(len(places)) % world == rank if blocks is None else blocks.mine(places, rank, world)
            found.append(offset + places[mine])
            moments.append(at[mine])
        return np.concatenate(found)[np.argsort(np.concatenate(moments), kind="stable")].astype(np.int64)

    @property
    def streams(self) -> bool:
        """Whether some source is to be read in the order in which it was drawn."""
        return any(blocks is not None for blocks in self.blocks)

    def _drawn(self, epoch: int) -> Iterator[tuple[int, int, np.ndarray]]:
        """Of each source that gives something: its number, the index of its first item, and the places drawn."""
        offset = 0
        for source, (size, quota) in enumerate(zip(self.sizes, self.quotas, strict=True)):
            if quota:
                yield source, offset, self._places(source, epoch * quota, quota)
            offset += size

    def _places(self, source: int, start: int, count: int) -> np.ndarray:
        cells = self.cells[source]
        return self._chained(source, start, count) if cells is None else self._balanced(source, cells, start, count)

    def _chained(self, source: int, start: int, count: int) -> np.ndarray:
        """Places start … start + count of an endless chain of permutations."""
        size = self.sizes[source]
        rounds = range(start // size, (start + count - 1) // size + 1)
        chain = np.concatenate([self._round(source, np.random.default_rng([self.seed, source, r])) for r in rounds])
        return chain[start % size : start % size + count]

    def _round(self, source: int, rng: np.random.Generator) -> np.ndarray:
        """Every place of a source once."""
        blocks = self.blocks[source]
        return rng.permutation(self.sizes[source]) if blocks is None else blocks.permutation(rng)

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

    A pool of `pool` batches is sorted by length and cut, so padding stays small and chance stays in. Where sources are
    streamed, pools stay in their order and each process has shards of its own.
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
        if self.shares.streams:
            pools = self._pools(self.shares.stream(self.epoch, rng, self.rank, self.world))
            batches, step, first = [pool[i] for pool in pools for i in rng.permutation(len(pool))], 1, 0
        else:
            pooled = [batch for pool in self._pools(rng.permutation(self.shares.epoch(self.epoch))) for batch in pool]
            batches, step, first = [pooled[i] for i in rng.permutation(len(pooled))], self.world, self.rank
        for i in range(len(self)):
            yield [(self.epoch, int(index)) for index in batches[(i * step + first) % len(batches)]]

    def _pools(self, indices: np.ndarray) -> Iterator[list[np.ndarray]]:
        """The batches of each pool, from the shortest to the longest."""
        lengths = self.length(indices, self.epoch)
        span = self.pool * self.batch_size
        for start in range(0, len(indices), span):
            part = slice(start, start + span)
            ordered = indices[part][np.argsort(lengths[part], kind="stable")]
            yield [ordered[i : i + self.batch_size] for i in range(0, len(ordered), self.batch_size)]
