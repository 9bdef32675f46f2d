"""Weights of trained parts in a pool before its first step, so that a weak part does not spoil a strong one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from scipy import optimize, special
from torch import nn

from emofuse.calibration.pools import Drawn, fit_pool
from emofuse.modalities import Modality, mask_of, subset_name, subsets_of
from emofuse.model.heads import Head
from emofuse.model.kinds import kind_of
from emofuse.model.model import EmotionModel
from emofuse.model.pool import OpinionPool
from emofuse.model.predict import Predictions
from emofuse.tasks import Task
from emofuse.training.recipe.schema import Recipe
from emofuse.training.validate import DevSet, choosing, metrics_of, score, sign

FLOOR = 0.05
"""Least weight of a part: it is still heard where it is alone."""
LARGEST = 5.0
SILENT = 1e-3
"""Weight of a part that is not to be heard at first, but may learn to be."""


@dataclass(frozen=True)
class Start:
    """Dev scores before the first step, and the weights that gave them."""

    score: float
    parts: Mapping[str, float]
    """Modality → the score of what it says alone."""
    weights: Mapping[str, Mapping[str, float]]
    """Task → modality → weight; of a mean pool, those of all modalities together."""

    def describe(self, metric: str) -> str:
        """One line for the log."""
        alone = ", ".join(f"{m} {value:.4f}" for m, value in self.parts.items())
        return f"before the first step: dev {metric} {self.score:.4f} together; alone: {alone}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the report."""
        return {
            "score": self.score,
            "parts": dict(self.parts),
            "weights": {t: dict(w) for t, w in self.weights.items()},
        }


def fit_start(
    model: EmotionModel, sets: Sequence[DevSet], recipe: Recipe, gather: Callable[[], Sequence[Predictions]]
) -> Start:
    """Lay fitted weights into the pools of a model whose parts are trained, and measure what they give.

    Of the dev samples that choose the epoch, never of those that are held out for prediction sets: the weights of the
    best likelihood, or, where those score less than the best part, that part alone. `gather` runs the model over the
    dev sets. A method of fusion that has no pool is only measured.
    """
    found, metric, toward = [choosing(p) for p in gather()], recipe.train.metric, sign(recipe.train.metric)
    weights = {t.name: _lay(model, t, found) for t in model.tasks} if model.fusion.role != "answers" else {}

    def measure() -> dict[str, dict[str, dict[str, float]]]:
        pairs = zip(sets, gather(), strict=True)
        return {s.name: metrics_of(model.tasks, choosing(p), s.threshold) for s, p in pairs}

    measured = measure()
    parts = {m: _alone(metric, measured, sets, m) for m in model.modalities}
    best = max(parts, key=lambda m: -np.inf if np.isnan(parts[m]) else toward * parts[m])
    if weights and toward * score(metric, measured, sets) < toward * parts[best]:  # a better likelihood, a worse metric
        task = next(t for t in model.tasks if t.name == metric.partition(".")[0])
        weights[task.name] = _lay_alone(model, task, best)
        measured = measure()
    return Start(score(metric, measured, sets), parts, weights)


def _alone(metric: str, measured: Mapping[str, Any], sets: Sequence[DevSet], modality: Modality) -> float:
    own = {
        name: {k.removeprefix(f"{modality}."): v for k, v in tasks.items() if k.startswith(f"{modality}.")}
        for name, tasks in measured.items()
    }
    return score(metric, own, sets)


def _lay(model: EmotionModel, task: Task, found: Sequence[Predictions]) -> dict[str, float]:
    if model.config.fusion.pool == "product":
        return _lay_product(model, task, found)
    return _lay_mean(model, task, found) if task.exclusive else {}


@torch.no_grad()
def _lay_alone(model: EmotionModel, task: Task, best: Modality) -> dict[str, float]:
    """One part heard, the others next to nothing."""
    chosen = np.where([m == best for m in model.modalities], 1.0, SILENT)
    if model.config.fusion.pool == "product":
        model.pool_weights[task.name].copy_(torch.from_numpy(chosen).to(model.pool_weights[task.name]))
    else:
        pool = cast(OpinionPool, model.pools[task.name])
        for subset in subsets_of(model.modalities, fewest=2):
            places = [i for i, m in enumerate(model.modalities) if m in subset]
            own = chosen[places] if best in subset else np.ones(len(places))
            pool.lay(mask_of(subset, model.modalities), places, own * len(places), np.zeros(task.width))
    return dict(zip(model.modalities, chosen.tolist(), strict=True))


@torch.no_grad()
def _lay_product(model: EmotionModel, task: Task, found: Sequence[Predictions]) -> dict[str, float]:
    """One weight a modality, for all subsets."""
    said = [_said(model, task, p) for p in found]
    logits, targets = (np.concatenate([pair[i] for pair in said]) for i in (0, 1))
    if not len(targets):
        return {}
    chosen = fit_weights(task, logits, targets)
    model.pool_weights[task.name].copy_(torch.from_numpy(chosen).to(model.pool_weights[task.name]))
    return dict(zip(model.modalities, chosen.round(4).tolist(), strict=True))


def _said(model: EmotionModel, task: Task, found: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """What the modalities say [n, m, width], NaN where absent, of the labelled rows that have several, and targets."""
    stacked = np.stack([found.by_modality[m][task.name] for m in model.modalities], 1)
    several = (~np.isnan(stacked).any(2)).sum(1) > 1
    rows = several & ~np.isnan(found.targets[task.name]).any(1)
    return stacked[rows], found.targets[task.name][rows]


def fit_weights(task: Task, said: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Weights [m] of parts `said` [n, m, width] (NaN = absent) whose weighted sum has the least loss.

    The loss of classes is convex in them; the search begins at the best part alone, and what it finds is no worse.
    """
    number = said.shape[1]
    singles = [np.where(np.arange(number) == i, 1.0, FLOOR) for i in range(number)]
    best = min(singles, key=lambda w: _loss(task, said, targets, w))
    answer = optimize.minimize(
        lambda w: _loss(task, said, targets, w), best, method="L-BFGS-B", bounds=[(FLOOR, LARGEST)] * number
    )
    return answer.x if answer.fun <= _loss(task, said, targets, best) else best


def _loss(task: Task, said: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float:
    pooled = np.nansum(said * weights[None, :, None], 1)
    if not task.classes:
        there = (~np.isnan(said).any(2)) * weights
        return float(np.square(pooled[:, 0] / there.sum(1) - targets[:, 0]).mean())
    if task.exclusive:
        return float(-(targets * special.log_softmax(pooled, 1)).sum(1).mean())
    return float((np.logaddexp(0, pooled) - targets * pooled).mean())


@torch.no_grad()
def _lay_mean(model: EmotionModel, task: Task, found: Sequence[Predictions]) -> dict[str, float]:
    """A weight a modality and a bias for each subset, of opinions at their own temperatures (see `fit_pool`)."""
    pool, laid = cast(OpinionPool, model.pools[task.name]), np.empty(0)
    for subset in subsets_of(model.modalities, fewest=2):
        mask = mask_of(subset, model.modalities)
        places = [i for i, m in enumerate(model.modalities) if m in subset]
        drawn = [d for p in found if len((d := _drawn(model, task, places, p)).targets)]
        if drawn:
            laid, bias = fit_pool(drawn)
            pool.lay(mask, places, laid, bias)
    return dict(zip(model.modalities, laid.round(4).tolist(), strict=False))


def _drawn(model: EmotionModel, task: Task, places: Sequence[int], found: Predictions) -> Drawn:
    parts = []
    for modality in (model.modalities[i] for i in places):
        head = cast(Head, cast(nn.ModuleDict, model.modality_heads[modality].tasks)[task.name])
        logits = torch.from_numpy(found.by_modality[modality][task.name])
        parts.append(kind_of(task).opinions(logits / head.own("temperature").cpu()).numpy())
    stacked = np.stack(parts, 1)
    rows = ~np.isnan(stacked).any((1, 2)) & ~np.isnan(found.targets[task.name]).any(1)
    return Drawn(
        subset_name(frozenset(model.modalities[i] for i in places)), stacked[rows], found.targets[task.name][rows]
    )
