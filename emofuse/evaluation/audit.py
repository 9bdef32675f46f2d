"""Where the numbers hold and where they do not: by confidence, by group, and sample by sample."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from emofuse.evaluation.calibration import softmax
from emofuse.evaluation.metrics import bootstrap, brier, ece, ece_by_chance, nll, reliability_curve
from emofuse.evaluation.metrics.undefined import counted_elsewhere
from emofuse.evaluation.outputs import GIVEN, SUBSETS, Collected, name_of, scalar
from emofuse.evaluation.samples import Sample
from emofuse.evaluation.scores import scores_of
from emofuse.labels import Task
from emofuse.model.conformal import Conformal, ConformalWarning
from emofuse.types import MODALITIES

FEWEST = 20
"""Samples below which a group's figure is listed but left out of the gap between groups."""
MOST_GROUPS = 30
HALVES = 100
"""Random halvings over which the coverage of prediction sets is averaged."""
ERRORS = 12
POINTS = 100
"""Of a ROC curve, at most about so many."""


def calibration_of(collected: Collected, task: Task) -> dict[str, dict[str, Any]]:
    """By condition: the measures at temperature 1 and at the checkpoint's, and both reliability curves."""
    found: dict[str, dict[str, Any]] = {}
    for condition in (GIVEN, *(name_of(s) for s in SUBSETS)):
        if condition not in collected.values:
            continue
        rows = collected.rows(condition, task.name)
        if not rows.any():
            continue
        targets = collected.targets[task.name][rows]
        before = softmax(collected.logits[condition][task.name][rows])
        after = collected.values[condition][task.name][rows]
        found[condition] = {
            "n": int(rows.sum()),
            "before": _measures(targets, before),
            "after": _measures(targets, after),
        }
    return found


def conformal_of(probs: np.ndarray, targets: np.ndarray, task: Task, coverage: float) -> dict[str, dict[str, Any]]:
    """By method: prediction sets fitted on random halves and judged on the others, averaged over HALVES halvings."""
    found: dict[str, dict[str, Any]] = {}
    if len(probs) < 4:
        return found
    for method in ("lac", "aps"):
        results = []
        for seed in range(HALVES):
            half = np.random.default_rng(seed).permutation(len(probs)) % 2 == 0
            with counted_elsewhere(ConformalWarning):
                fitted = Conformal.fit(
                    probs[half], targets[half], coverage, classes=task.classes, method=method, seed=seed
                )
                results.append(fitted.assess(probs[~half], targets[~half], seed=HALVES + seed))
        reached = [r["coverage"] for r in results]
        found[method] = {
            "asked": coverage,
            "coverage": float(np.mean(reached)),
            "coverage_range": [float(np.min(reached)), float(np.max(reached))],
            "size": float(np.mean([r["size"] for r in results])),
            "halvings": HALVES,
        }
    return found


def curves_of(targets: np.ndarray, values: np.ndarray, task: Task) -> dict[str, Any]:
    """`answered`: the accuracy if only the surest share of the samples were answered; `roc`: by class, false against
    true positives. Empty for a scalar; a class with or without which there is no sample has no ROC."""
    if task.kind == "scalar" or not len(targets):
        return {}
    found: dict[str, Any] = {"roc": {}}
    truth = targets >= 0.5 if task.kind == "multilabel" else np.eye(task.width)[targets.argmax(axis=1)] > 0
    for k, name in enumerate(task.classes):
        if truth[:, k].any() and not truth[:, k].all():
            order = np.argsort(-values[:, k], kind="stable")
            last = np.append(np.diff(values[order, k]) != 0, True)
            hits = truth[order, k]
            kept = np.flatnonzero(last)[:: max(1, int(last.sum()) // POINTS)]
            true, false = np.cumsum(hits)[kept] / hits.sum(), np.cumsum(~hits)[kept] / (~hits).sum()
            found["roc"][name] = {"false": [0.0, *false.tolist(), 1.0], "true": [0.0, *true.tolist(), 1.0]}
    if task.kind == "categorical":
        order = np.argsort(-values.max(axis=1), kind="stable")
        right = (values.argmax(axis=1) == targets.argmax(axis=1))[order]
        counts = np.unique(np.ceil(np.linspace(0.02, 1, 50) * len(right)).astype(int))
        found["answered"] = {
            "share": (counts / len(right)).tolist(),
            "accuracy": (np.cumsum(right)[counts - 1] / counts).tolist(),
        }
    return found


def groups_of(
    collected: Collected, samples: Sequence[Sample], task: Task, metric: str, corpus: str, resamples: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """By kind of group and group: n, the metric and its interval, the largest groups first.

    Kinds that split nothing (one group, or a group for every sample) are left out; so are groups past MOST_GROUPS.
    """
    rows = collected.rows(GIVEN, task.name)
    score = scores_of(task, corpus)[metric]
    members: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, sample in enumerate(samples):
        if rows[i]:
            for kind, group in sample.groups.items():
                members[kind][group].append(i)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, groups in members.items():
        if len(groups) < 2 or max(map(len, groups.values())) < 2:
            continue
        found[kind] = {}
        for group, places in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_GROUPS]:
            targets, values = collected.targets[task.name][places], collected.values[GIVEN][task.name][places]
            clusters = np.array(collected.clusters)[places]
            several = clusters if len(set(clusters)) > 1 else None
            with counted_elsewhere():
                interval = bootstrap(
                    score, scalar(task, targets), scalar(task, values), clusters=several, resamples=resamples
                )
            found[kind][group] = {"n": len(places), "metric": metric, "interval": interval}
    return found


def gap(groups: dict[str, dict[str, Any]]) -> tuple[str, str, float] | None:
    """The best and the worst group with at least FEWEST samples, and the distance; None where fewer than two have."""
    known = {g: v["interval"].estimate for g, v in groups.items() if v["n"] >= FEWEST}
    known = {g: v for g, v in known.items() if not np.isnan(v)}
    if len(known) < 2:
        return None
    high, low = max(known, key=lambda g: known[g]), min(known, key=lambda g: known[g])
    return high, low, known[high] - known[low]


def worst_of(
    collected: Collected, samples: Sequence[Sample], task: Task, count: int = ERRORS, threshold: float = 0.5
) -> list[dict[str, Any]]:
    """The samples whose truth was held least likely (classes) or that are furthest off (numbers), with each
    modality's own view where more than one is there."""
    rows = collected.rows(GIVEN, task.name)
    targets, values = collected.targets[task.name], collected.values[GIVEN][task.name]
    if task.kind == "categorical":
        lost = -np.sum(targets * np.log(np.maximum(values, 1e-12)), axis=1) + np.sum(
            targets * np.log(np.maximum(targets, 1e-12)), axis=1
        )
        wrong = rows & (targets.argmax(axis=1) != values.argmax(axis=1))
    else:
        lost = np.abs(targets - values).mean(axis=1)
        wrong = rows & (lost > 0)
    places = np.flatnonzero(wrong)
    chosen = places[np.argsort(-lost[places], kind="stable")][:count]
    return [_error(collected, samples[i], task, int(i), threshold) for i in chosen]


def _error(collected: Collected, sample: Sample, task: Task, i: int, threshold: float) -> dict[str, Any]:
    target, value = collected.targets[task.name][i], collected.values[GIVEN][task.name][i]
    found: dict[str, Any] = {"id": sample.id, "groups": dict(sample.groups)}
    found["present"] = [m for bit, m in enumerate(MODALITIES) if collected.present[i] >> bit & 1]
    if task.kind == "scalar":
        return found | {"truth": float(target[0]), "predicted": float(value[0])}
    if task.kind == "multilabel":
        found["truth"] = [c for c, t in zip(task.classes, target, strict=True) if t >= 0.5]
        found["predicted"] = [c for c, v in zip(task.classes, value, strict=True) if v >= threshold]
        return found
    found["truth"], found["predicted"] = task.classes[target.argmax()], task.classes[value.argmax()]
    found["confidence"], found["truth_probability"] = float(value.max()), float(value[target.argmax()])
    found["truth_share"] = float(target.max())
    alone = {}
    for modality in found["present"]:
        single = collected.values.get(modality, {}).get(task.name)
        if single is not None and not np.isnan(single[i]).any():
            alone[modality] = {"class": task.classes[single[i].argmax()], "probability": float(single[i].max())}
    return found | {"alone": alone}


def _measures(targets: np.ndarray, probs: np.ndarray) -> dict[str, Any]:
    curve = reliability_curve(targets, probs)
    return {
        "nll": nll(targets, probs),
        "brier": brier(targets, probs),
        "ece": ece(targets, probs),
        "ece_mass": ece(targets, probs, binning="mass"),
        "ece_by_chance": ece_by_chance(probs),
        "curve": {
            "confidence": curve.confidence.tolist(),
            "accuracy": curve.accuracy.tolist(),
            "count": curve.count.tolist(),
        },
    }
