"""The forward loop: batches through a model, each encoded once and fused for every subset of modalities asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from emofuse.batch import Batch
from emofuse.modalities import Modality, Subset, mask_of, subset_name
from emofuse.model.model import EmotionModel, Outputs
from emofuse.torch_state import plain_torch
from emofuse.types import Tokens

GIVEN = "as given"
"""The name of the condition in which every sample keeps what it has."""
Table = dict[str, Float[np.ndarray, "n _"]]
"""Task → a row a sample."""


@dataclass(frozen=True, eq=False)
class Forward:
    """One batch under one condition: reduced to a subset of its modalities, with the raw outputs."""

    batch: Batch
    """On the model's device."""
    outputs: Outputs
    lacking: Bool[Tensor, " batch"]
    """Rows that do not have the whole subset."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Outputs of n samples. A condition is `GIVEN` or the name of a subset; rows that lack the subset are NaN."""

    modalities: tuple[Modality, ...]
    """Of the model."""
    present: Int[np.ndarray, " n"]
    """Bit mask of what each sample has (see `emofuse.modalities.bits`)."""
    targets: Table
    """NaN = unlabelled."""
    logits: dict[str, Table]
    """condition → task → raw output, before temperature; for a scalar, before clipping."""
    values: dict[str, Table]
    """condition → task → decoded: probabilities at the checkpoint's temperature, or the clipped number."""
    by_modality: dict[Modality, Table] = field(default_factory=dict)
    """modality → task → raw output of its own head; NaN where it is absent."""
    ids: list[str] = field(default_factory=list)
    clusters: list[str] = field(default_factory=list)
    """Whose samples are alike, where that is known: the speaker, dialogue or video of each."""

    def __len__(self) -> int:
        return len(self.present)

    def rows(self, condition: str, task: str) -> Bool[np.ndarray, " n"]:
        """Which samples are labelled for the task and have what the condition asks for."""
        known = ~np.isnan(self.targets[task]).any(axis=1)
        return np.logical_and(known, ~np.isnan(self.values[condition][task]).any(axis=1))

    def take(self, rows: Int[np.ndarray, " m"]) -> Predictions:
        """These rows, in this order."""
        return replace(
            self,
            present=self.present[rows],
            targets={t: v[rows] for t, v in self.targets.items()},
            logits={c: {t: v[rows] for t, v in each.items()} for c, each in self.logits.items()},
            values={c: {t: v[rows] for t, v in each.items()} for c, each in self.values.items()},
            by_modality={m: {t: v[rows] for t, v in each.items()} for m, each in self.by_modality.items()},
            ids=[self.ids[i] for i in rows] if self.ids else [],
            clusters=[self.clusters[i] for i in rows] if self.clusters else [],
        )


Encode = Callable[[Batch], dict[Modality, Tokens]]


def forward(
    model: EmotionModel, batches: Iterable[Batch], subsets: Sequence[Subset] = (), *, encode: Encode | None = None
) -> Iterator[dict[str, Forward]]:
    """For each batch, by condition: `GIVEN` and the name of each subset that the model knows.

    `encode` stands in for `model.encode`. Batches are drawn as they are needed, in evaluation mode and without
    gradients; the model's own mode comes back at the end.
    """
    training = model.training
    if training:
        model.eval()
    drawn = iter(batches)
    try:
        while found := _next(model, drawn, subsets, encode or model.encode):
            yield found
    finally:
        if training:
            model.train()


@plain_torch()
@torch.no_grad()
def _next(
    model: EmotionModel, drawn: Iterator[Batch], subsets: Sequence[Subset], encode: Encode
) -> dict[str, Forward] | None:
    """The outputs of the next batch; None after the last."""
    given = next(drawn, None)
    if given is None:
        return None
    batch, known = given.to(model.device), frozenset(model.modalities)
    tokens = encode(batch)
    nobody = torch.zeros(len(batch), dtype=torch.bool, device=model.device)
    found = {GIVEN: Forward(batch, model.fuse(tokens, batch.present), nobody)}
    return found | {
        subset_name(subset): _reduced(model, batch, tokens, subset) for subset in subsets if subset <= known
    }


def _reduced(model: EmotionModel, batch: Batch, tokens: dict[Modality, Tokens], subset: Subset) -> Forward:
    """With every modality taken away that the subset does not have."""
    reduced = batch.without(*(set(model.modalities) - subset))
    outputs = model.fuse({m: t for m, t in tokens.items() if m in subset}, reduced.present)
    return Forward(reduced, outputs, reduced.subset_index() != mask_of(subset, model.modalities))


def predict(
    model: EmotionModel,
    batches: Iterable[Batch],
    subsets: Sequence[Subset] = (),
    *,
    encode: Encode | None = None,
) -> Predictions:
    """Predictions of every row of the batches, in their order, as given and under each subset; see `forward`.

    Raises ValueError when there is no batch.
    """
    parts = [_rows(model, found) for found in forward(model, batches, subsets, encode=encode)]
    if not parts:
        raise ValueError("there is no batch to predict")
    first = parts[0]
    return Predictions(
        model.modalities,
        np.concatenate([p.present for p in parts]),
        _stacked([p.targets for p in parts]),
        {c: _stacked([p.logits[c] for p in parts]) for c in first.logits},
        {c: _stacked([p.values[c] for p in parts]) for c in first.values},
        {m: _stacked([p.by_modality[m] for p in parts]) for m in first.by_modality},
    )


def _rows(model: EmotionModel, found: dict[str, Forward]) -> Predictions:
    given = found[GIVEN]
    return Predictions(
        model.modalities,
        given.batch.subset_index().cpu().numpy(),
        {t: _numpy(v) for t, v in given.batch.targets.items()},
        {c: {t: _numpy(v, f.lacking) for t, v in f.outputs.logits.items()} for c, f in found.items()},
        {c: {t: _numpy(v, f.lacking) for t, v in _decoded(model, f).items()} for c, f in found.items()},
        {m: _unimodal(given, m) for m in model.modalities},
    )


def _decoded(model: EmotionModel, found: Forward) -> dict[str, Tensor]:
    return model.answers(found.outputs.logits, found.batch.subset_index())


def _unimodal(given: Forward, modality: Modality) -> Table:
    """What the modality's own head says, where it is there."""
    logits = given.outputs.by_modality.get(modality, given.outputs.logits)
    return {t: _numpy(v, ~given.batch.present[modality]) for t, v in logits.items()}


def _stacked(tables: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {task: np.concatenate([table[task] for table in tables]) for task in tables[0]}


def _numpy(values: Tensor, lacking: Bool[Tensor, " batch"] | None = None) -> np.ndarray:
    values = values.float() if lacking is None else values.float().masked_fill(lacking[:, None], torch.nan)
    return values.cpu().numpy().astype(np.float64)
