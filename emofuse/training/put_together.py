"""Trained encoders put together: a multimodal model without a gradient step, its pool and temperatures calibrated.

What each modality says alone comes from a checkpoint of its own and stays as it is; familiarity, temperatures, pools
and prediction sets are the few numbers that dev data say (see `emofuse.calibration`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from emofuse.calibration.familiarity import fit_familiarity
from emofuse.calibration.levels import INTENSITY, terciles
from emofuse.calibration.parts import Parts
from emofuse.calibration.pools import Found, calibrate_pools
from emofuse.calibration.temperature import decode
from emofuse.errors import RecipeError
from emofuse.metrics.task import task_metrics
from emofuse.model.heads import Head
from emofuse.model.model import EmotionModel
from emofuse.training.dataset.sources import SourceExamples, read_source
from emofuse.training.outcome.familiarity import sampled_parts
from emofuse.training.recipe.schema import Recipe
from emofuse.training.validate import mark_pooled

Measured = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run without gradient steps has found."""

    data: list[SourceExamples]
    calibration: Found
    metrics: Measured
    """Source → task of a modality → metrics on dev."""
    score: float
    """The recipe's metric, a mean over sources and modalities."""


def put_together(model: EmotionModel, recipe: Recipe, limit: int | None, say: Callable[[str], None]) -> Outcome:
    """Calibrate a model whose parts come from the checkpoints of `model.init`.

    A source with `train: false` was left out of every training: it counts among dev data, and shows what strangers
    cost. Raises RecipeError where no source has dev data of the recipe's metric.
    """
    take_support(model)
    return calibrate_on(model, recipe, limit, say)


def calibrate_on(model: EmotionModel, recipe: Recipe, limit: int | None, say: Callable[[str], None]) -> Outcome:
    """Familiarity, temperatures, pools and prediction sets of a model on the sources of a recipe."""
    gathered = [read_source(recipe, s, model.tasks, limit) for s in recipe.data.sources]
    for source in gathered:
        say("  " + source.describe())
    train, dev = sampled_parts(model, gathered)
    for modality, slope in fit_familiarity(model, train, dev).items():
        say(f"  {modality}: the temperature grows by {np.expm1(slope):.0%} a spread of distance from training")
    calibration = calibrate_pools(model, dev)
    model.config = model.config.with_priors(priors(model, gathered)).with_terciles(_levels(model, dev))
    metrics = {p.source: measure(model, p.heated(model)) for p in dev}
    return Outcome(gathered, calibration, metrics, _score(recipe, metrics))


def check_parts(recipe: Recipe) -> None:
    """Raise RecipeError where nothing is trained and something would have to be."""
    fusion = (recipe.model.fusion.get("pool"), recipe.model.fusion.get("correction"))
    if fusion != ("mean", "never") or set(recipe.model.encoders) - set(recipe.model.init):
        raise RecipeError(
            "train.epochs 0 trains nothing: it needs model.fusion {pool: mean, correction: never}, and a checkpoint in "
            "model.init for every modality"
        )


def take_support(model: EmotionModel) -> None:
    """Let each modality's heads answer only for what their own checkpoint had learnt, and the fused ones for what any
    of theirs did."""
    for modality in model.modalities:
        for head in cast(nn.ModuleDict, model.modality_heads[modality].tasks).values():
            if not cast(Head, head).inherits:
                cast(Head, head).supported_subsets[:] = False
    mark_pooled(model)


def _levels(model: EmotionModel, dev: Sequence[Parts]) -> dict[str, tuple[float, float]]:
    """Terciles of what the heads that learnt an intensity say of the dev samples that have one."""
    task = next((t for t in model.tasks if t.name == INTENSITY), None)
    if task is None:
        return {}
    heads = {m: cast(Head, cast(nn.ModuleDict, model.modality_heads[m].tasks)[INTENSITY]) for m in model.modalities}
    learnt = [m for m, head in heads.items() if bool(head.own("supported_subsets"))]
    said = [p.logits[m][INTENSITY][p.rows(INTENSITY, m), 0].clip(task.low, task.high) for p in dev for m in learnt]
    return {INTENSITY: found} if (found := terciles(said)) else {}


def priors(model: EmotionModel, gathered: Sequence[SourceExamples]) -> dict[str, list[float]]:
    """Mean targets of what the sources train on, where any has labels."""
    found = {}
    for task in model.tasks:
        own = [e.targets[task.name] for g in gathered for e in g.train if not np.isnan(e.targets[task.name]).any()]
        if own:
            found[task.name] = np.mean(own, axis=0).tolist()
    return found


@torch.no_grad()
def measure(model: EmotionModel, parts: Parts) -> dict[str, dict[str, float]]:
    """`{"speech.emotion": {…}}`, at the temperature of each modality's own head."""
    found = {}
    for modality, table in parts.logits.items():
        for task in model.tasks:
            head = cast(Head, cast(nn.ModuleDict, model.modality_heads[modality].tasks)[task.name])
            if bool(head.own("supported_subsets")):
                values = decode(task, table[task.name], float(head.own("temperature")))
                found[f"{modality}.{task.name}"] = task_metrics(task, values, parts.targets[task.name])
    return {name: values for name, values in found.items() if values["n"]}


def _score(recipe: Recipe, metrics: Measured) -> float:
    task, _, metric = recipe.train.metric.partition(".")
    known = [v[metric] for each in metrics.values() for name, v in each.items() if name.partition(".")[2] == task]
    known = [value for value in known if not np.isnan(value)]
    if not known:
        raise RecipeError(
            f"train.metric {recipe.train.metric!r} is not defined on any dev set ({', '.join(metrics)}); choose a "
            "metric of a task that they are labelled with"
        )
    return float(np.mean(known))
