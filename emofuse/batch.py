"""Batches: padded inputs with masks, presence and targets, and the one mechanism of absence."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from emofuse.modalities import Modality, bits


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


@dataclass(frozen=True, eq=False)
class Batch:
    """Padded inputs with masks, who is present, and targets with NaN where a sample is unlabelled."""

    inputs: dict[Modality, dict[str, Tensor]]
    """Modality → arrays [batch, time, …] (or [batch]); a modality that no row has is not a key."""
    present: dict[Modality, Bool[Tensor, " batch"]]
    """Every modality the model knows is a key."""
    targets: dict[str, Float[Tensor, "batch width"]] = field(default_factory=dict)
    group: Int[Tensor, " batch"] | None = None
    """See `PreparedSample`."""

    def __len__(self) -> int:
        return len(next(iter(self.present.values())))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on `device`."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        return Batch(
            {m: {k: move(v) for k, v in arrays.items()} for m, arrays in self.inputs.items()},
            {m: move(v) for m, v in self.present.items()},
            {k: move(v) for k, v in self.targets.items()},
            None if self.group is None else move(self.group),
        )

    def without(self, *gone: Modality, rows: Bool[Tensor, " batch"] | None = None) -> Batch:
        """This batch as if the modalities `gone` had never been there, in all rows or in those that `rows` marks."""
        present = dict(self.present)
        inputs = dict(self.inputs)
        for modality in gone:
            if modality not in present:
                continue
            keep = torch.zeros_like(present[modality]) if rows is None else ~rows.to(present[modality].device)
            present[modality] = present[modality] & keep
            if modality in inputs and not bool(present[modality].any()):
                del inputs[modality]
        return replace(self, inputs=inputs, present=present)

    def knowing(self, modalities: Sequence[Modality]) -> Batch:
        """This batch for a model of these modalities: those it does not know yet are absent in all rows."""
        nobody = torch.zeros(len(self), dtype=torch.bool, device=next(iter(self.present.values())).device)
        return replace(self, present=dict.fromkeys(modalities, nobody) | self.present)

    def subset_index(self) -> Tensor:
        """int64 [batch]: the bit mask of what is present (see `emofuse.modalities.bits`)."""
        first = next(iter(self.present.values()))
        index = torch.zeros(len(first), dtype=torch.long, device=first.device)
        for modality, bit in bits(self.present).items():
            index = index + self.present[modality].long() * bit
        return index


def collate(samples: Sequence[PreparedSample]) -> Batch:
    """Pad each modality to the longest row that has it; rows without it hold zeros and present = False.

    Raises ValueError when `samples` is empty or its members disagree on which modalities, arrays or tasks exist.
    """
    if not samples:
        raise ValueError("a batch needs at least one sample")
    modalities: tuple[Modality, ...] = tuple(samples[0].inputs)
    _check_alike("modalities", [s.inputs.keys() for s in samples])
    _check_alike("tasks", [s.targets.keys() for s in samples])
    for modality in modalities:
        _check_alike(f"arrays of {modality}", [a.keys() for s in samples if (a := s.inputs[modality]) is not None])
    present: dict[Modality, Tensor] = {m: torch.tensor([s.inputs[m] is not None for s in samples]) for m in modalities}
    inputs: dict[Modality, dict[str, Tensor]] = {
        m: _pad([s.inputs[m] for s in samples]) for m in modalities if bool(present[m].any())
    }
    tasks = samples[0].targets.keys()
    targets = {t: torch.from_numpy(np.stack([np.asarray(s.targets[t], np.float32) for s in samples])) for t in tasks}
    numbers = [s.group for s in samples if s.group is not None]
    group = torch.tensor(numbers) if len(numbers) == len(samples) else None
    return Batch(inputs, present, targets, group)


def _check_alike(what: str, names: Sequence[Collection[str]]) -> None:
    other = next((n for n in names if set(n) != set(names[0])), None)
    if other is not None:
        raise ValueError(
            f"all samples of a batch must come from the same model: their {what} differ "
            f"({', '.join(sorted(names[0])) or 'none'}; {', '.join(sorted(other)) or 'none'})"
        )


def _pad(rows: Sequence[dict[str, np.ndarray] | None]) -> dict[str, Tensor]:
    template = next(row for row in rows if row is not None)
    length = max(len(row["mask"]) for row in rows if row is not None)
    out: dict[str, Tensor] = {}
    for key, example in template.items():
        example = np.asarray(example)
        shape = (len(rows), length, *example.shape[1:]) if example.ndim else (len(rows),)
        array = np.zeros(shape, example.dtype)
        for i, row in enumerate(rows):
            if row is None:
                continue
            if example.ndim:
                array[i, : len(row[key])] = row[key]
            else:
                array[i] = row[key]
        out[key] = torch.from_numpy(array)
    return out
