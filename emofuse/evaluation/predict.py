"""Predictions of examples: every sample under every subset of its modalities, and the file that holds them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from emofuse.batch import Batch
from emofuse.data.batches import batches
from emofuse.data.examples import Example
from emofuse.errors import DataError
from emofuse.files import replacing
from emofuse.modalities import MODALITIES, Subset, subsets_of
from emofuse.model.model import EmotionModel
from emofuse.model.predict import GIVEN, Predictions, predict
from emofuse.tasks import Task
from emofuse.types import Segment

__all__ = ["GIVEN", "Predictions", "load", "predict_examples", "save"]


def predict_examples(
    model: EmotionModel,
    examples: Sequence[Example],
    *,
    subsets: Sequence[Subset] | None = None,
    batch_size: int = 32,
    change: Callable[[Segment], Segment] | None = None,
    embed: Callable[[Batch], Batch] | None = None,
    views: Mapping[Task, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Every example through the model, in evaluation mode; each batch is encoded once and fused for every subset.

    `subsets` None = all of the model's. `views` are further tasks and whose head's outputs stand for theirs. `change`
    alters segments before they are prepared, `embed` batches on the model's device before they are encoded. `progress`
    is told (done, all). Raises DataError when there is no example.
    """
    if not examples:
        raise DataError("there is nothing to evaluate: no sample carries a label of any of the model's tasks")
    order: list[int] = []

    def given() -> Iterator[Batch]:
        for places, batch in batches(model, examples, batch_size, change):
            order.extend(places)
            yield embed(batch.to(model.device)) if embed else batch
            if progress:
                progress(len(order), len(examples))

    chosen = subsets_of(model.modalities) if subsets is None else subsets
    found = predict(model, given(), chosen).take(np.argsort(order))
    for table in (*found.logits.values(), *found.values.values()):
        table |= {view.name: table[head] for view, head in (views or {}).items()}
    tasks = (*model.tasks, *(views or {}))
    return replace(
        found,
        targets={t.name: found.targets[t.name] for t in tasks},
        ids=[e.id for e in examples],
        clusters=[e.cluster for e in examples],
    )


def save(found: Predictions, path: Path) -> None:
    """Write as npz without objects, whole or not at all."""
    arrays: dict[str, np.ndarray] = {
        "ids": np.array(found.ids, dtype=np.str_),
        "clusters": np.array(found.clusters, dtype=np.str_),
        "present": found.present,
        "modalities": np.array(found.modalities, dtype=np.str_),
    }
    arrays |= {f"targets/{t}": v.astype(np.float32) for t, v in found.targets.items()}
    for kind, table in (("logits", found.logits), ("values", found.values)):
        arrays |= {f"{kind}/{c}/{t}": v.astype(np.float32) for c, each in table.items() for t, v in each.items()}
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Predictions:
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
        return Predictions(
            tuple(arrays["modalities"].tolist()) if "modalities" in arrays else MODALITIES,
            arrays["present"],
            targets,
            tables["logits"],
            tables["values"],
            ids=arrays["ids"].tolist(),
            clusters=arrays["clusters"].tolist(),
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} holds no predictions of an evaluation ({error}); run the evaluation again") from error
