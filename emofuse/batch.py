"""Batches: padded inputs with masks, presence and targets, and the one mechanism of absence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from emofuse.modalities import Modality, bits
from emofuse.prepared import PreparedSample, check_alike, padded


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
    check_alike(samples)
    modalities: tuple[Modality, ...] = tuple(samples[0].inputs)
    present: dict[Modality, Tensor] = {m: torch.tensor([s.inputs[m] is not None for s in samples]) for m in modalities}
    inputs: dict[Modality, dict[str, Tensor]] = {
        m: {name: torch.from_numpy(array) for name, array in padded([s.inputs[m] for s in samples]).items()}
        for m in modalities
        if bool(present[m].any())
    }
    tasks = samples[0].targets.keys()
    targets = {t: torch.from_numpy(np.stack([np.asarray(s.targets[t], np.float32) for s in samples])) for t in tasks}
    numbers = [s.group for s in samples if s.group is not None]
    group = torch.tensor(numbers) if len(numbers) == len(samples) else None
    return Batch(inputs, present, targets, group)
