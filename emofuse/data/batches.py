"""Batches of examples: those of like length together, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from emofuse.batch import Batch, collate
from emofuse.data.examples import Example, Prepares
from emofuse.types import Segment

WINDOW = 8
"""Batches' worth of examples that are prepared together."""


def batches(
    model: Prepares,
    examples: Sequence[Example],
    size: int = 32,
    change: Callable[[Segment], Segment] | None = None,
) -> Iterator[tuple[list[int], Batch]]:
    """Batches with the places of their rows; within a window, samples of like length share one."""
    window = WINDOW * size
    for start in range(0, len(examples), window):
        prepared = [e.prepare(model, change) for e in examples[start : start + window]]
        order = sorted(range(len(prepared)), key=lambda i: prepared[i].length)
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            yield [start + i for i in chosen], collate([prepared[i] for i in chosen])
