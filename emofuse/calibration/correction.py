"""The fusion transformer's correction, kept only where recordings say that it improves on the pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from emofuse.calibration.evidence import Evidence
from emofuse.calibration.refit import FEWEST, fit_head
from emofuse.modalities import Subset, mask_of, subset_name, subsets_of
from emofuse.model.model import EmotionModel
from emofuse.model.pool import OpinionPool
from emofuse.tasks import Task

Kept = dict[str, dict[str, bool]]
"""Subset of several modalities → task → whether its answers are corrected."""


def keep_correction(model: EmotionModel, gather: Callable[[], Sequence[Evidence]]) -> Kept:
    """Measure a model of `fusion.correction: measured` with and without; {} for any other, which is left as it is.

    `gather` runs the model over development data. The correction stays where the likelihood of recordings, each at its
    best temperature, is higher with it; where there are fewer than FEWEST of them, composed samples alone, it goes.
    """
    if (model.config.fusion.pool, model.config.fusion.correction) != ("mean", "measured"):
        return {}
    pools = {t: cast(OpinionPool, model.pools[t.name]) for t in model.tasks}
    measured = []
    for corrected in (True, False):
        for pool in pools.values():
            pool.corrected.fill_(corrected)
        measured.append([e for e in gather() if not e.composed and not e.unimodal])
    kept: Kept = {}
    for task, pool in pools.items():
        for subset in subsets_of(model.modalities, fewest=2):
            better = _nll(model, task, subset, measured[0]) < _nll(model, task, subset, measured[1])
            pool.corrected[mask_of(subset, model.modalities)] = better
            kept.setdefault(subset_name(subset), {})[task.name] = better
    return kept


def _nll(model: EmotionModel, task: Task, subset: Subset, evidence: Sequence[Evidence]) -> float:
    """Of classes, at the best temperature; 0 where nothing can be said."""
    mask = mask_of(subset, model.modalities)
    own = [e for e in evidence if (e.task, e.subset) == (task.name, mask)]
    if not task.exclusive or sum(len(e.logits) for e in own) < FEWEST:
        return 0.0
    return fit_head(task, own).after["nll"]
