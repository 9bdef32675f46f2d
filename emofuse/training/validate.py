"""Validation on dev sets: raw outputs, metrics by set, evidence for calibration. Test data never come here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from emofuse.batch import Batch, collate
from emofuse.calibration.evidence import Evidence, evidence_of, held_out
from emofuse.calibration.refit import splits
from emofuse.calibration.temperature import decode
from emofuse.errors import RecipeError, nearest
from emofuse.metrics.task import LOWER_IS_BETTER, metric_names, task_metrics
from emofuse.modalities import Subset, bits, mask_of, subsets_of
from emofuse.model.heads import Head
from emofuse.model.model import EmotionModel
from emofuse.model.predict import GIVEN, Predictions, predict
from emofuse.prepared import PreparedSample
from emofuse.tasks import Task
from emofuse.training.dataset.sampler import Key
from emofuse.training.objective.objective import encode_mixed


@dataclass(frozen=True, eq=False)
class DevSet:
    """A named list of dev samples; `counts` says whether it is part of the score that chooses the epoch."""

    name: str
    samples: Any
    keys: Sequence[Key]
    counts: bool = True
    composed: bool = False
    """Put together from segments of several corpora."""
    threshold: float = 0.5
    """The score above which a label that may stand beside others counts as given: that of the corpus's reports."""


def ordered_keys(samples: Any, keys: Sequence[Key]) -> list[Key]:
    """The keys in an order that keeps padding small, shard by shard where shards are fetched."""
    if not hasattr(samples, "lengths"):
        return list(keys)
    indices = np.array([index for _, index in keys])
    return [keys[i] for i in np.lexsort((samples.lengths(indices, 0), samples.shards(indices)))]


def batches(samples: Any, ordered: Sequence[Key], size: int) -> Iterator[Batch]:
    """Collated batches in the order of the keys."""
    for start in range(0, len(ordered), size):
        chosen: list[PreparedSample] = [samples[key] for key in ordered[start : start + size]]
        yield collate(chosen)


def predict_set(
    model: EmotionModel, dev: DevSet, size: int, bf16: bool = False, subsets: Sequence[Subset] = ()
) -> Predictions:
    """The model's outputs over a dev set, in the order of its batches, with whose each sample is."""
    keys, encode = ordered_keys(dev.samples, dev.keys), partial(encode_mixed, model, bf16=bf16)
    found = predict(model, batches(dev.samples, keys, size), subsets, encode=encode)
    whose = getattr(dev.samples, "cluster", None)
    return found if whose is None else replace(found, clusters=[whose(key) for key in keys])


def choosing(found: Predictions) -> Predictions:
    """The samples of a dev set that choose the epoch: those not held out for prediction sets, or all of too few."""
    held = held_out(found.clusters) if found.clusters else np.zeros(len(found), bool)
    return found.take(np.flatnonzero(~held)) if splits(held) else found


def metrics_of(tasks: Sequence[Task], found: Predictions, threshold: float = 0.5) -> dict[str, dict[str, float]]:
    """`{"emotion": {…}, "speech.emotion": {…}}`: fused, then each modality alone where it adds anything.

    `threshold`: see `DevSet`.
    """
    measured: dict[str, dict[str, float]] = {}
    for prefix, logits in (("", found.logits[GIVEN]), *((f"{m}.", own) for m, own in found.by_modality.items())):
        for task in tasks:
            values = decode(task, logits[task.name])
            measured[f"{prefix}{task.name}"] = task_metrics(task, values, found.targets[task.name], threshold=threshold)
    return {name: values for name, values in measured.items() if values["n"]}


def check_metric(metric: str, tasks: Sequence[Task]) -> None:
    """Raise RecipeError when `task.metric` names a metric that this kind of task does not have."""
    name, _, kind = metric.partition(".")
    task = next(t for t in tasks if t.name == name)
    valid = metric_names(task)
    if kind not in valid:
        raise RecipeError(f"train.metric: {name} has no metric {kind!r}; {nearest(kind, valid)}")


def sign(metric: str) -> int:
    """-1 where less of `task.metric` is better."""
    return -1 if metric.partition(".")[2] in LOWER_IS_BETTER else 1


def score(metric: str, found: Mapping[str, Mapping[str, Mapping[str, float]]], sets: Sequence[DevSet]) -> float:
    """The mean of `task.metric` over the dev sets that count and have the task; NaN when none has."""
    task, _, name = metric.partition(".")
    values = [found[s.name][task][name] for s in sets if s.counts and task in found[s.name]]
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")


def evidence_of_sets(
    model: EmotionModel, sets: Sequence[DevSet], predictions: Sequence[Predictions], size: int
) -> list[Evidence]:
    """What temperatures and prediction sets are fitted on; samples of several modalities are run once more a subset."""
    found: list[Evidence] = []
    single = set(bits(model.modalities).values())
    for dev, outputs in zip(sets, predictions, strict=True):
        if not dev.composed and not set(outputs.present.tolist()) <= single:
            outputs = predict_set(model, dev, size, subsets=subsets_of(model.modalities))
        found += evidence_of(dev.name, outputs, composed=dev.composed)
    return found


@torch.no_grad()
def mark_supported_subsets(model: EmotionModel, predictions: Sequence[Predictions], whole: bool) -> None:
    """Tell each head for which subsets of modalities there were labels, so that it is silent for the others.

    `whole`: samples are recordings as they are, whose labels teach each of their modalities too; else they are
    composed, and a label may come from a part that a smaller subset lacks. A head that started from a checkpoint also
    keeps what it learnt there.
    """
    for task in model.tasks:
        targets = np.concatenate([p.targets[task.name] for p in predictions])
        labelled = ~np.isnan(targets).any(1)
        seen = {int(s) for s in np.concatenate([p.present for p in predictions])[labelled]}
        for mask in (mask_of(s, model.modalities) for s in subsets_of(model.modalities)):
            _support(model.heads[task.name], mask, mask in seen or (whole and any(mask & s == mask for s in seen)))
        for modality in model.modalities:
            unimodal = np.concatenate([p.by_modality[modality][task.name] for p in predictions])
            bit = bits(model.modalities)[modality]
            own = cast(nn.ModuleDict, model.modality_heads[modality].tasks)[task.name]
            _support(own, bit, bool((labelled & ~np.isnan(unimodal).any(1)).any()))
    if model.config.fusion.pool == "mean":
        mark_pooled(model)


def _support(head: Any, mask: int, labelled: bool) -> None:
    head.supported_subsets[mask] = labelled or (head.inherits and bool(head.supported_subsets[mask]))


def mark_pooled(model: EmotionModel) -> None:
    """Of a model that pools what has learnt a task: a subset is supported where one of its modalities is."""
    for name, fused in model.heads.items():
        for subset in subsets_of(model.modalities):
            own = [cast(nn.ModuleDict, model.modality_heads[m].tasks)[name] for m in subset]
            supported = any(bool(cast(Head, head).own("supported_subsets")) for head in own)
            cast(Head, fused).supported_subsets[mask_of(subset, model.modalities)] = supported
