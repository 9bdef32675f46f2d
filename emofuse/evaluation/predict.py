"""What a model says of every sample under every subset of its modalities, encoded once."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from emofuse.batch import Batch, collate
from emofuse.data.examples import Example
from emofuse.errors import DataError
from emofuse.files import replacing
from emofuse.modalities import MODALITIES, Modality, Subset, mask_of, subset_name, subsets_of
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task
from emofuse.types import Segment

WINDOW = 8
"""Batches' worth of samples that are prepared together, so that like lengths share a batch."""
GIVEN = "as given"
"""The name of the condition in which every sample keeps what it has."""


@dataclass(frozen=True, eq=False)
class Collected:
    """Outputs of n samples. A condition is `GIVEN` or the name of a subset; rows that lack the subset are NaN."""

    ids: list[str]
    clusters: list[str]
    present: Int[np.ndarray, " n"]
    """Bit mask of what each sample has (see `emofuse.modalities.bits`)."""
    targets: dict[str, Float[np.ndarray, "n width"]]
    logits: dict[str, dict[str, Float[np.ndarray, "n width"]]]
    """condition → task → raw output, before temperature; for a scalar, before clipping."""
    values: dict[str, dict[str, Float[np.ndarray, "n width"]]]
    """condition → task → decoded: probabilities at the checkpoint's temperature, or the clipped number."""
    modalities: tuple[Modality, ...] = MODALITIES
    """Of the model."""

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, condition: str, task: str) -> np.ndarray:
        """Which samples are labelled for the task and have what the condition asks for."""
        known = ~np.isnan(self.targets[task]).any(axis=1)
        return np.logical_and(known, ~np.isnan(self.values[condition][task]).any(axis=1))


@torch.no_grad()
def collect(
    model: EmotionModel,
    samples: Sequence[Example],
    *,
    subsets: Sequence[Subset] | None = None,
    batch_size: int = 32,
    change: Callable[[Segment], Segment] | None = None,
    embed: Callable[[Batch], Batch] | None = None,
    views: Mapping[Task, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Collected:
    """Every sample through the model, in evaluation mode; each batch is encoded once and fused for every subset.

    `subsets` None = all of the model's. `views` are further tasks and whose head's outputs stand for theirs. `change`
    alters segments before they are prepared, `embed` batches before they are encoded. `progress` is told (done, all).
    Raises DataError when there is no sample.
    """
    if not samples:
        raise DataError("there is nothing to evaluate: no sample carries a label of any of the model's tasks")
    was_training = model.training
    model.eval()
    known = frozenset(model.modalities)
    chosen = subsets_of(known) if subsets is None else subsets
    conditions = {GIVEN: known} | {subset_name(s): s for s in chosen if s <= known}
    raw: dict[str, dict[str, list[np.ndarray]]] = {c: {t.name: [] for t in model.tasks} for c in conditions}
    decoded: dict[str, dict[str, list[np.ndarray]]] = {c: {t.name: [] for t in model.tasks} for c in conditions}
    present: list[np.ndarray] = []
    order: list[int] = []
    try:
        for places, batch in batches(model, samples, batch_size, change):
            order += places
            moved = batch.to(model.device)
            moved = embed(moved) if embed else moved
            tokens = model.encode(moved)
            have = moved.subset_index()
            present.append(have.cpu().numpy())
            for name, subset in conditions.items():
                reduced = moved.without(*(known - subset))
                out = model.fuse({m: t for m, t in tokens.items() if m in subset}, reduced.present)
                mask = 0 if name == GIVEN else mask_of(subset, known)
                lacks = have & mask != mask
                for task in model.tasks:
                    logits = out.logits[task.name]
                    values = model.heads[task.name].decode(logits, reduced.subset_index())  # type: ignore[operator]
                    raw[name][task.name].append(_masked(logits, lacks))
                    decoded[name][task.name].append(_masked(values, lacks))
            if progress:
                progress(len(order), len(samples))
    finally:
        model.train(was_training)
    for table in (*raw.values(), *decoded.values()):
        table |= {view.name: table[head] for view, head in (views or {}).items()}
    back = np.argsort(order)
    tasks = (*model.tasks, *(views or {}))
    return Collected(
        [s.id for s in samples],
        [s.cluster for s in samples],
        np.concatenate(present)[back],
        {t.name: np.stack([np.asarray(s.targets[t.name], np.float64) for s in samples]) for t in tasks},
        {c: {t: np.concatenate(parts)[back] for t, parts in each.items()} for c, each in raw.items()},
        {c: {t: np.concatenate(parts)[back] for t, parts in each.items()} for c, each in decoded.items()},
        model.modalities,
    )


def save(collected: Collected, path: Path) -> None:
    """Write as npz without objects, whole or not at all."""
    arrays: dict[str, np.ndarray] = {
        "ids": np.array(collected.ids, dtype=np.str_),
        "clusters": np.array(collected.clusters, dtype=np.str_),
        "present": collected.present,
        "modalities": np.array(collected.modalities, dtype=np.str_),
    }
    arrays |= {f"targets/{t}": v.astype(np.float32) for t, v in collected.targets.items()}
    for kind, table in (("logits", collected.logits), ("values", collected.values)):
        arrays |= {f"{kind}/{c}/{t}": v.astype(np.float32) for c, each in table.items() for t, v in each.items()}
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Collected:
    """The inverse of `save`; raises DataError when the file is not that."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        targets = {n.partition("/")[2]: v.astype(np.float64) for n, v in arrays.items() if n.startswith("targets/")}
        tables: dict[str, dict[str, dict[str, np.ndarray]]] = {"logits": {}, "values": {}}
        for name, values in arrays.items():
            kind, _, rest = name.partition("/")
            if kind in tables:
                condition, _, task = rest.partition("/")
                tables[kind].setdefault(condition, {})[task] = values.astype(np.float64)
        return Collected(
            arrays["ids"].tolist(),
            arrays["clusters"].tolist(),
            arrays["present"],
            targets,
            tables["logits"],
            tables["values"],
            tuple(arrays["modalities"].tolist()) if "modalities" in arrays else MODALITIES,
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} holds no predictions of an evaluation ({error}); run the evaluation again") from error


def scalar(task: Task, values: np.ndarray) -> np.ndarray:
    """n × 1 as n where the task is a number; the rest as it is."""
    return values[:, 0] if task.kind == "scalar" else values


def batches(
    model: EmotionModel,
    samples: Sequence[Example],
    size: int = 32,
    change: Callable[[Segment], Segment] | None = None,
) -> Iterator[tuple[list[int], Batch]]:
    """Batches with the places of their rows; within a window, samples of like length share one."""
    window = WINDOW * size
    for start in range(0, len(samples), window):
        prepared = [s.prepare(model, change) for s in samples[start : start + window]]
        order = sorted(range(len(prepared)), key=lambda i: prepared[i].length)
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            yield [start + i for i in chosen], collate([prepared[i] for i in chosen])


def _masked(values: Tensor, lacks: Tensor) -> np.ndarray:
    return values.float().masked_fill(lacks[:, None], torch.nan).cpu().numpy().astype(np.float64)
