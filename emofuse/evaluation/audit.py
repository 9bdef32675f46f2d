"""Audit of an evaluation: by confidence, by group, and sample by sample."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from emofuse.calibration.temperature import softmax
from emofuse.data.examples import Example
from emofuse.evaluation.predict import GIVEN, Predictions
from emofuse.metrics import bootstrap, brier, ece, ece_by_chance, nll, reliability_curve
from emofuse.metrics.task import scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.model.conformal import Conformal, ConformalWarning
from emofuse.tasks import Task

FEWEST = 20
"""Samples below which a group's figure says too little: such groups count together, as `OTHERS`."""
MOST_GROUPS = 30
OTHERS = "all others"
HALVES = 100
"""Random halvings over which the coverage of prediction sets is averaged."""
POINTS = 100
"""Of a ROC curve, at most about so many."""


def calibration_of(predictions: Predictions, task: Task) -> dict[str, dict[str, Any]]:
    """By condition: the measures at temperature 1 and at the checkpoint's, and both reliability curves."""
    found: dict[str, dict[str, Any]] = {}
    for condition in predictions.values:
        rows = predictions.rows(condition, task.name)
        if not rows.any():
            continue
        targets = predictions.targets[task.name][rows]
        before = softmax(predictions.logits[condition][task.name][rows])
        after = predictions.values[condition][task.name][rows]
        found[condition] = {
            "n": int(rows.sum()),
            "before": _measures(targets, before),
            "after": _measures(targets, after),
        }
    return found


def conformal_of(probs: np.ndarray, targets: np.ndarray, task: Task, coverage: float) -> dict[str, dict[str, Any]]:
    """By method: prediction sets fitted on random halves and measured on the others, averaged over HALVES halvings."""
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
    if not task.classes or not task.decided(targets).any():
        return {}
    found: dict[str, Any] = {"roc": {}}
    kept = task.decided(targets)
    values, targets = values[kept], targets[kept]
    truth = task.truth(targets)
    for k, name in enumerate(task.classes):
        if truth[:, k].any() and not truth[:, k].all():
            order = np.argsort(-values[:, k], kind="stable")
            last = np.append(np.diff(values[order, k]) != 0, True)
            hits = truth[order, k]
            kept = np.flatnonzero(last)[:: max(1, int(last.sum()) // POINTS)]
            true, false = np.cumsum(hits)[kept] / hits.sum(), np.cumsum(~hits)[kept] / (~hits).sum()
            found["roc"][name] = {"false": [0.0, *false.tolist(), 1.0], "true": [0.0, *true.tolist(), 1.0]}
    if task.exclusive:
        order = np.argsort(-values.max(axis=1), kind="stable")
        right = truth[np.arange(len(truth)), values.argmax(axis=1)][order]
        counts = np.unique(np.ceil(np.linspace(0.02, 1, 50) * len(right)).astype(int))
        found["answered"] = {
            "share": (counts / len(right)).tolist(),
            "accuracy": (np.cumsum(right)[counts - 1] / counts).tolist(),
        }
    return found


def groups_of(
    predictions: Predictions, samples: Sequence[Example], task: Task, metric: str, threshold: float, resamples: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """By kind of group and group: n, the metric and its interval, the largest groups first.

    Groups of fewer than FEWEST samples, and those past MOST_GROUPS, come last and together as OTHERS, unless no group
    is larger. Kinds that split nothing (one group, or a group for every sample) are left out.
    """
    rows = predictions.rows(GIVEN, task.name)
    score = scores_of(task, threshold)[metric]
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
        for group, places in _listed(groups).items():
            targets, values = predictions.targets[task.name][places], predictions.values[GIVEN][task.name][places]
            clusters = np.array(predictions.clusters)[places]
            several = clusters if len(set(clusters)) > 1 else None
            with counted_elsewhere():
                interval = bootstrap(
                    score, task.flat(targets), task.flat(values), clusters=several, resamples=resamples
                )
            found[kind][group] = {"n": len(places), "metric": metric, "interval": interval}
    return found


def _listed(groups: dict[str, list[int]]) -> dict[str, list[int]]:
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    large = [item for item in ranked if len(item[1]) >= FEWEST][:MOST_GROUPS] or ranked[:MOST_GROUPS]
    small = ranked[len(large) :]
    if len(small) > 1:
        small = [(f"{OTHERS} ({len(small)})", [place for _, places in small for place in places])]
    return dict([*large, *small])


def gap(groups: dict[str, dict[str, Any]]) -> tuple[str, str, float] | None:
    """The best and the worst group with at least FEWEST samples, and the distance; None where fewer than two have."""
    known = {g: v["interval"].estimate for g, v in groups.items() if v["n"] >= FEWEST and not g.startswith(OTHERS)}
    known = {g: v for g, v in known.items() if not np.isnan(v)}
    if len(known) < 2:
        return None
    high, low = max(known, key=lambda g: known[g]), min(known, key=lambda g: known[g])
    return high, low, known[high] - known[low]


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
