"""A model calibrated on dev data: temperatures laid into its heads, scores of prediction sets into the model.

What is fitted on: for each subset of modalities, the dev samples that have it, with every other modality taken away.
Samples composed of several corpora count only where no recording has the subset. Several dev sets count the same,
however large they are: nobody knows which of them a new clip is most like, and the largest would else decide for all.
So a temperature is the best compromise over them, and a coverage holds for a sample of a random one. Votes count as
their leading class, as they do in every accuracy: a confidence of 0.8 means that what most raters said is met eight
times in ten. Where classes tie, each is half of it.

The promise of a prediction set is of samples that chose nothing (Vovk et al. 2005). So half of the speakers, dialogues
or videos are held out for the sets, and the epoch and the temperatures are chosen on the others; where either side
would have fewer than FEWEST samples both rest on all of them, and `Calibration.held` is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Float
from torch import nn

from emofuse.calibration.evidence import Evidence
from emofuse.calibration.temperature import fit_temperature, sigmoid, softmax
from emofuse.metrics import brier, ece, ece_by_chance, nll
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.modalities import Subset, mask_of, subset_name, subsets_of
from emofuse.model.conformal import ConformalScores, Method
from emofuse.model.model import EmotionModel
from emofuse.model.polarity import EMOTION, POLARITY, derives, pooled
from emofuse.tasks import Task, majority

FEWEST = 50
"""Labelled samples below which a temperature or a prediction set is not fitted."""
SCORES = 400
"""Conformal scores kept of each dev set, so that they stay a few KB."""


@dataclass(frozen=True)
class Calibration:
    """What a temperature does to the confidence of one head on the data it was fitted on, averaged over its sources."""

    temperature: float
    n: int
    sources: tuple[str, ...]
    before: Mapping[str, float]
    """nll, brier and ece at temperature 1."""
    after: Mapping[str, float]
    chance: float
    """The ece that so many samples would show if the confidence were exactly right."""
    held: int = 0
    """Samples of the prediction sets that chose neither the epoch nor the temperature; 0 = too few to hold any out."""


def calibrate(model: EmotionModel, evidence: Sequence[Evidence]) -> dict[str, dict[str, Calibration]]:
    """Lay temperatures into the heads and conformal scores into the model: `{subset: {task: what it did}}`.

    "text unimodal" is the modality's own head. Where there are fewer than FEWEST labelled samples, what the model had
    stays.
    """
    found: dict[str, dict[str, Calibration]] = {}
    pooling = model.config.fusion.pool == "mean"
    for task in sorted(model.tasks, key=lambda t: t.name == POLARITY):  # which is answered by the emotions too
        for subset in subsets_of(model.modalities):
            mask, name = mask_of(subset, model.modalities), subset_name(subset)
            for unimodal in (False, True):
                parts = _chosen([e for e in evidence if (e.task, e.subset, e.unimodal) == (task.name, mask, unimodal)])
                if parts and task.tempered:
                    composed = len(subset) > 1 and all(e.composed for e in parts)
                    coldest = 1.0 if composed and pooling else 0.0
                    fitted = fit_head(task, [side(e, held=False) for e in parts], sum(map(held_in, parts)), coldest)
                    _head(model, task, subset, unimodal).temperature[mask] = fitted.temperature
                    found.setdefault(unimodal_key(name) if unimodal else name, {})[task.name] = fitted
                    if task.exclusive and not unimodal:
                        model.conformal.setdefault(name, {})[task.name] = fit_scores(
                            model, task, mask, [side(e, held=True) for e in parts]
                        )
    return found


def calibrate_in_turn(
    model: EmotionModel, gather: Callable[[], Sequence[Evidence]], gathered: Sequence[Evidence] | None = None
) -> dict[str, dict[str, Calibration]]:
    """`calibrate` on what is gathered, or was; where fused answers are made of tempered parts, on the parts first."""
    if model.config.fusion.pool != "mean":
        return calibrate(model, gather() if gathered is None else gathered)
    calibrate(model, [e for e in gather() if e.unimodal])
    return calibrate(model, gather())


def unimodal_key(modality: str) -> str:
    """What the temperature of a modality's own head goes by."""
    return f"{modality} unimodal"


def _chosen(parts: Sequence[Evidence]) -> list[Evidence]:
    """Recordings where there are enough of them, else composed samples too; nothing where both are too few."""
    real = [e for e in parts if not e.composed]
    for chosen in (real, list(parts)):
        if sum(len(e.logits) for e in chosen) >= FEWEST:
            return chosen
    return []


def side(part: Evidence, held: bool) -> Evidence:
    """The samples that are held out, or the others; all of them where either would be fewer than FEWEST."""
    if not held_in(part):
        return part
    assert part.held is not None
    rows = part.held if held else ~part.held
    emotions = None if part.emotions is None else part.emotions[rows]
    return replace(part, logits=part.logits[rows], targets=part.targets[rows], emotions=emotions, held=None)


def held_in(part: Evidence) -> int:
    """How many samples are held out."""
    return 0 if part.held is None or not splits(part.held) else int(part.held.sum())


def splits(held: Bool[np.ndarray, " n"]) -> bool:
    """Whether enough samples are on both sides."""
    return min(int(held.sum()), int((~held).sum())) >= FEWEST


def fit_head(task: Task, parts: Sequence[Evidence], held: int = 0, coldest: float = 0.0) -> Calibration:
    """The temperature of a head, none below `coldest`, and what it does; every source counts the same."""
    logits, targets = (np.concatenate([getattr(e, side) for e in parts]) for side in ("logits", "targets"))
    targets = majority(targets) if task.exclusive else targets
    weights = np.concatenate([np.full(len(e.logits), 1 / len(e.logits)) for e in parts])
    with counted_elsewhere():
        temperature = fit_temperature(logits, targets, exclusive=task.exclusive, weights=weights)
        temperature = max(temperature, coldest)
        before, after = (_mean([_measures(task, e, at) for e in parts]) for at in (1.0, temperature))
    chance = after.pop("chance")
    before.pop("chance")
    return Calibration(
        temperature, len(logits), tuple(dict.fromkeys(e.source for e in parts)), before, after, chance, held
    )


def _measures(task: Task, part: Evidence, temperature: float) -> dict[str, float]:
    """Of classes; of labels that stand beside each other, each is a pair of classes."""
    if task.exclusive:
        probs, targets = softmax(part.logits, temperature), majority(part.targets)
    else:
        yes, is_there = sigmoid(part.logits, temperature).ravel(), part.targets.ravel()
        probs, targets = np.stack([1 - yes, yes], 1), np.stack([1 - is_there, is_there], 1)
    return {
        "nll": nll(targets, probs),
        "brier": brier(targets, probs),
        "ece": ece(targets, probs),
        "chance": ece_by_chance(probs),
    }


def _mean(measures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([m[name] for m in measures])) for name in measures[0]}


def fit_scores(
    model: EmotionModel, task: Task, mask: int, parts: Sequence[Evidence], method: Method = "lac"
) -> ConformalScores:
    """What prediction sets need, of the true classes in what the model answers at its temperatures."""
    return ConformalScores.fit(
        np.concatenate([_answers(model, task, mask, e) for e in parts]),
        np.concatenate([e.targets for e in parts]),
        classes=task.classes,
        method=method,
        sources=np.repeat([e.source for e in parts], [len(e.logits) for e in parts]),
        most=SCORES,
    )


def _answers(model: EmotionModel, task: Task, mask: int, part: Evidence) -> Float[np.ndarray, "n k"]:
    """What the model answers at its temperatures: of a polarity, pooled with that of the emotions."""
    heads: Any = model.heads
    own = softmax(part.logits, float(heads[task.name].temperature[mask]))
    if task.name != POLARITY or not derives(model.tasks) or not bool(heads[EMOTION].supported_subsets[mask]):
        return own
    assert part.emotions is not None
    return pooled(own, softmax(part.emotions, float(heads[EMOTION].temperature[mask])))


def _head(model: EmotionModel, task: Task, subset: Subset, unimodal: bool) -> Any:
    if not unimodal:
        return model.heads[task.name]
    (modality,) = subset
    return cast(nn.ModuleDict, model.modality_heads[modality].tasks)[task.name]
