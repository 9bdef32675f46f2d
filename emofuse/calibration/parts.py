"""Parts: what each modality says alone of the samples of one source, with the states that it says it by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emofuse.batch import Batch
from emofuse.data.batches import batches
from emofuse.data.examples import Example
from emofuse.modalities import Modality
from emofuse.model.familiarity import Familiarity
from emofuse.model.model import EmotionModel
from emofuse.model.predict import GIVEN, Table, forward


@dataclass(frozen=True, eq=False)
class Parts:
    """Raw outputs of the modalities' own heads on n samples; rows of a modality that a sample lacks are NaN."""

    source: str
    logits: Mapping[Modality, Table]
    """Whatever the model is familiar with; see `heated`."""
    states: Mapping[Modality, Float[np.ndarray, "n state"]]
    """What those heads read."""
    targets: Table
    clusters: Sequence[str]

    def __len__(self) -> int:
        return len(self.clusters)

    def rows(self, task: str, *modalities: Modality) -> Bool[np.ndarray, " n"]:
        """Which samples are labelled for the task and have all of these modalities."""
        there = [~np.isnan(self.states[modality][:, 0]) for modality in modalities]
        return np.logical_and.reduce([~np.isnan(self.targets[task]).any(axis=1), *there])

    def heated(self, model: EmotionModel) -> Parts:
        """With logits divided by what the distance of each row from training asks for."""
        changed = dict(self.logits)
        for modality, known in model.familiarity.items():
            if np.isnan(self.states[modality]).all():
                continue
            states = torch.from_numpy(np.nan_to_num(self.states[modality]))
            found = cast(Familiarity, known)
            heat = found.heat(found(states.to(model.device))).cpu().numpy()[:, None]
            tempered = {t.name for t in model.tasks if t.tempered}
            changed[modality] = {t: v / heat if t in tempered else v for t, v in self.logits[modality].items()}
        return replace(self, logits=changed)


def read_parts(model: EmotionModel, source: str, examples: Sequence[Example], size: int = 32) -> Parts:
    """Run the examples through the model; raises ValueError when there are none."""
    if not examples:
        raise ValueError(f"{source} has no examples to read")
    order: list[int] = []

    def drawn() -> Iterator[Batch]:
        for places, batch in batches(model, examples, size):
            order.extend(places)
            yield batch

    widths = {t.name: t.width for t in model.tasks}
    logits = {m: {t: np.full((len(examples), w), np.nan) for t, w in widths.items()} for m in model.modalities}
    states: dict[Modality, np.ndarray] = {m: np.full((len(examples), 1), np.nan, np.float32) for m in model.modalities}
    done = 0
    with _without_familiarity(model):
        for found in forward(model, drawn()):
            given, rows = found[GIVEN], slice(done, done := done + len(found[GIVEN].batch))
            for modality, pooled in given.outputs.pooled.items():
                there = given.batch.present[modality]
                states[modality] = _wide(states[modality], pooled.shape[1])
                states[modality][rows] = _numpy(pooled, there)
                for task in widths:
                    logits[modality][task][rows] = _numpy(given.outputs.by_modality[modality][task], there)
    targets = {t: np.stack([np.asarray(examples[i].targets[t], np.float64) for i in order]) for t in widths}
    return Parts(source, logits, states, targets, [examples[i].cluster for i in order])


def _wide(states: np.ndarray, width: int) -> np.ndarray:
    """Room for states, once it is known how wide they are."""
    return states if states.shape[1] == width else np.full((len(states), width), np.nan, np.float32)


def _numpy(values: Tensor, there: Tensor) -> np.ndarray:
    return values.float().masked_fill(~there[:, None], torch.nan).cpu().numpy()


@contextmanager
def _without_familiarity(model: EmotionModel) -> Iterator[None]:
    known, model.familiarity = model.familiarity, nn.ModuleDict()
    try:
        yield
    finally:
        model.familiarity = known
