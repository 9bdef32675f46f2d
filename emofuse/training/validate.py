"""Dev sets through the model: raw outputs, metrics by set, what calibration is fitted on. No test data comes here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from emofuse.batch import Batch, PreparedSample, collate
from emofuse.calibration.fitting import Evidence, gather_evidence
from emofuse.calibration.temperature import sigmoid
from emofuse.errors import RecipeError, nearest
from emofuse.metrics import classification, multilabel, regression
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.modalities import Modality, bits, mask_of, subsets_of
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task
from emofuse.training.dataset.sampler import Key
from emofuse.training.objective.objective import run

CLASSES_METRICS = ("accuracy", "uar", "macro_f1", "weighted_f1", "nll")
SCALAR_METRICS = ("mae", "pearson", "ccc")
LABELS_METRICS = ("macro_f1", "micro_f1", "auroc")
LOWER_IS_BETTER = frozenset({"mae", "nll"})


@dataclass(frozen=True, eq=False)
class DevSet:
    """A named list of dev samples; `counts` says whether it is part of the score that chooses the epoch."""

    name: str
    samples: Any
    keys: Sequence[Key]
    counts: bool = True
    composed: bool = False
    """Put together from segments of several corpora."""


@dataclass(frozen=True, eq=False)
class Collected:
    """Raw outputs over a set: logits and targets by task [n, width], by modality with NaN where absent, subsets [n]."""

    logits: dict[str, np.ndarray]
    by_modality: dict[Modality, dict[str, np.ndarray]]
    targets: dict[str, np.ndarray]
    subset: np.ndarray


def batches(samples: Any, keys: Sequence[Key], size: int) -> Iterator[Batch]:
    """Collated batches in an order that keeps padding small."""
    lengths = samples.lengths(np.array([index for _, index in keys]), 0) if hasattr(samples, "lengths") else None
    order = range(len(keys)) if lengths is None else np.argsort(lengths, kind="stable")
    ordered = [keys[i] for i in order]
    for start in range(0, len(ordered), size):
        chosen: list[PreparedSample] = [samples[key] for key in ordered[start : start + size]]
        yield collate(chosen)


@torch.no_grad()
def collect(model: EmotionModel, given: Iterable[Batch], bf16: bool = False) -> Collected:
    """The model's raw outputs over batches, in evaluation mode; the mode it was in comes back."""
    was_training = model.training
    model.eval()
    rows: list[dict[str, Any]] = []
    for batch in given:
        batch = batch.to(model.device)
        rows.append({"outputs": run(model, batch, bf16), "targets": batch.targets, "batch": batch})
    model.train(was_training)
    names = [t.name for t in model.tasks]
    return Collected(
        {n: _stack(r["outputs"].logits[n] for r in rows) for n in names},
        {m: {n: _stack(_alone(r, m, n) for r in rows) for n in names} for m in model.modalities},
        {n: _stack(r["targets"][n] for r in rows) for n in names},
        _stack(r["batch"].subset_index() for r in rows).astype(np.int64),
    )


def _alone(row: Mapping[str, Any], modality: Modality, name: str) -> torch.Tensor:
    outputs, batch = row["outputs"], row["batch"]
    if modality not in outputs.by_modality:
        return torch.full_like(outputs.logits[name].float(), torch.nan)
    return outputs.by_modality[modality][name].float().masked_fill(~batch.present[modality][:, None], torch.nan)


def _stack(parts: Iterable[torch.Tensor]) -> np.ndarray:
    return torch.cat([p.detach().float().cpu() for p in parts]).numpy()


def task_metrics(task: Task, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Metrics of one task over the labelled rows, with `n`; a soft target counts as its majority."""
    kept = ~np.isnan(targets).any(1) & ~np.isnan(logits).any(1)
    logits, targets = logits[kept], targets[kept]
    if not len(logits):
        return {"n": 0}
    with counted_elsewhere():
        if task.kind == "scalar":
            found = _scalar_metrics(task, logits[:, 0], targets[:, 0])
        elif task.kind == "categorical":
            found = _class_metrics(logits, targets)
        else:
            probs = sigmoid(logits)
            found = {
                "macro_f1": multilabel.multilabel_f1(targets, probs),
                "micro_f1": multilabel.multilabel_f1(targets, probs, average="micro"),
                "auroc": multilabel.multilabel_auroc(targets, probs),
            }
    return {"n": len(logits), **found}


def _class_metrics(logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    truth, guess, classes = targets.argmax(1), logits.argmax(1), targets.shape[1]
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return {
        "accuracy": classification.accuracy(truth, guess),
        "uar": classification.uar(truth, guess, classes),
        "macro_f1": classification.macro_f1(truth, guess, classes),
        "weighted_f1": classification.weighted_f1(truth, guess, classes),
        "nll": float(-(targets * log_p).sum(1).mean()),
    }


def _scalar_metrics(task: Task, values: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    values = values.clip(task.low, task.high)
    found = {
        "mae": regression.mae(targets, values),
        "pearson": regression.pearson(targets, values),
        "ccc": regression.ccc(targets, values),
    }
    return found | (regression.sentiment_scores(targets, values) if task.name == "sentiment" else {})


def metrics_of(tasks: Sequence[Task], collected: Collected) -> dict[str, dict[str, float]]:
    """`{"emotion": {…}, "speech.emotion": {…}}`: fused, then each modality alone where it adds anything."""
    found = {t.name: task_metrics(t, collected.logits[t.name], collected.targets[t.name]) for t in tasks}
    for modality, logits in collected.by_modality.items():
        for task in tasks:
            alone = task_metrics(task, logits[task.name], collected.targets[task.name])
            found[f"{modality}.{task.name}"] = alone
    return {name: values for name, values in found.items() if values["n"]}


def check_metric(metric: str, tasks: Sequence[Task]) -> None:
    """Raise RecipeError when `task.metric` names a metric that this kind of task does not have."""
    name, _, kind = metric.partition(".")
    task = next(t for t in tasks if t.name == name)
    valid = {"categorical": CLASSES_METRICS, "scalar": SCALAR_METRICS, "multilabel": LABELS_METRICS}[task.kind]
    if task.name == "sentiment":
        valid = (*valid, "acc2_has0", "acc2_non0", "f1_has0", "f1_non0", "acc3", "acc5", "acc7")
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


def evidence_of(
    model: EmotionModel, sets: Sequence[DevSet], collected: Sequence[Collected], size: int
) -> list[Evidence]:
    """What temperatures and prediction sets are fitted on; samples of several modalities are run once more a subset."""
    found: list[Evidence] = []
    for dev, outputs in zip(sets, collected, strict=True):
        single = set(bits(model.modalities).values())
        if dev.composed or set(outputs.subset.tolist()) <= single:
            found += list(_evidence(model, dev, outputs))
        else:
            found += gather_evidence(model, dev.name, batches(dev.samples, dev.keys, size))
    return found


def _evidence(model: EmotionModel, dev: DevSet, outputs: Collected) -> Iterator[Evidence]:
    """Of rows as they are, from outputs that are there already."""
    for task in model.tasks:
        targets = outputs.targets[task.name]
        known = ~np.isnan(targets).any(1)
        for subset in np.unique(outputs.subset[known]).tolist():
            rows = known & (outputs.subset == subset)
            logits = outputs.logits[task.name][rows]
            yield Evidence(dev.name, task.name, subset, logits, targets[rows], dev.composed)
        for modality, logits in outputs.by_modality.items():
            rows = known & ~np.isnan(logits[task.name]).any(1)
            bit = bits(model.modalities)[modality]
            if rows.any():
                own = logits[task.name][rows]
                yield Evidence(dev.name, task.name, bit, own, targets[rows], dev.composed, alone=True)


@torch.no_grad()
def mark_supported_subsets(model: EmotionModel, collected: Sequence[Collected], whole: bool) -> None:
    """Tell each head for which subsets of modalities there were labels, so that it is silent for the others.

    `whole`: samples are recordings as they are, whose labels teach each of their modalities too; else they are
    composed, and a label may come from a part that a smaller subset lacks.
    """
    for task in model.tasks:
        targets = np.concatenate([c.targets[task.name] for c in collected])
        labelled = ~np.isnan(targets).any(1)
        seen = {int(s) for s in np.concatenate([c.subset for c in collected])[labelled]}
        for mask in (mask_of(s, model.modalities) for s in subsets_of(model.modalities)):
            supported = mask in seen or (whole and any(mask & s == mask for s in seen))
            model.heads[task.name].supported_subsets[mask] = supported
        for modality in model.modalities:
            alone = np.concatenate([c.by_modality[modality][task.name] for c in collected])
            bit = bits(model.modalities)[modality]
            supported = bool((labelled & ~np.isnan(alone).any(1)).any())
            cast(nn.ModuleDict, model.modality_heads[modality].tasks)[task.name].supported_subsets[bit] = supported
