"""Prepared samples: one segment after its encoders' `prepare`, and several padded to one length."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emofuse.modalities import Modality


@dataclass(frozen=True, eq=False)
class PreparedSample:
    """One segment after every encoder's `prepare`: arrays only, so that it can cross processes and sit on disk.

    `inputs[m]` is None where modality m is absent. Within a modality all arrays of one or more dimensions share their
    first axis (time), and `mask` is among them; arrays without dimensions are one number a sample.
    """

    inputs: dict[Modality, dict[str, np.ndarray] | None]
    targets: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Task name → float vector of the task's width; NaN = unlabelled."""
    group: int | None = None
    """Number of the group of people that a loss by group counts it to; None = it counts groups of nobody."""

    @property
    def length(self) -> int:
        """Longest time axis over the modalities: what length buckets sort by."""
        return max((len(arrays["mask"]) for arrays in self.inputs.values() if arrays), default=0)


def check_alike(samples: Sequence[PreparedSample]) -> None:
    """Raises ValueError when there are none, or they disagree on which modalities, arrays or tasks exist."""
    if not samples:
        raise ValueError("a batch needs at least one sample")
    _check("modalities", [s.inputs.keys() for s in samples])
    _check("tasks", [s.targets.keys() for s in samples])
    for modality in samples[0].inputs:
        _check(f"arrays of {modality}", [a.keys() for s in samples if (a := s.inputs[modality]) is not None])


def _check(what: str, names: Sequence[Collection[str]]) -> None:
    other = next((n for n in names if set(n) != set(names[0])), None)
    if other is not None:
        raise ValueError(
            f"all samples of a batch must come from the same model: their {what} differ "
            f"({', '.join(sorted(names[0])) or 'none'}; {', '.join(sorted(other)) or 'none'})"
        )


def padded(rows: Sequence[dict[str, np.ndarray] | None]) -> dict[str, np.ndarray]:
    """Arrays [batch, time, …] (or [batch]) of rows of which one is there at least; the others hold zeros."""
    template = next(row for row in rows if row is not None)
    length = max(len(row["mask"]) for row in rows if row is not None)
    out: dict[str, np.ndarray] = {}
    for key, example in template.items():
        example = np.asarray(example)
        shape = (len(rows), length, *example.shape[1:]) if example.ndim else (len(rows),)
        array = out[key] = np.zeros(shape, example.dtype)
        for i, row in enumerate(rows):
            if row is None:
                continue
            if example.ndim:
                array[i, : len(row[key])] = row[key]
            else:
                array[i] = row[key]
    return out
