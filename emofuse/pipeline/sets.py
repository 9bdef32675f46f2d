"""Prediction sets of an analysis at a requested coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from emofuse.errors import check_count, check_coverage
from emofuse.modalities import subset_name
from emofuse.model.conformal import ConformalTable
from emofuse.notes import Note
from emofuse.types import Prediction

ON_SETS = ("sets_uncalibrated", "sets_missing", "sets_composed")
"""The codes of every note on sets that are not there, or are not fitted on recordings."""


def with_sets(
    segments: Sequence[Prediction], table: ConformalTable, coverage: float, widest: int | None = None
) -> tuple[list[Prediction], list[Note]]:
    """The predictions with their sets, and notes on what has none or rests on composed samples; see `at_coverage`."""
    check_coverage(coverage)
    if widest is not None:
        check_count(widest, "widest")
    found = [replace(p, sets=sets_of(p, table, coverage, widest)) for p in segments]
    lacking = sorted({_subset(p) for p in found if p.emotions and "emotion" not in p.sets and not p.rules})
    if found and not table:
        return found, [Note("sets_uncalibrated")]
    composed = sorted({s for s in map(_subset, found) if (own := table.get(s, {}).get("emotion")) and own.composed})
    notes = [Note("sets_missing", subsets=", ".join(lacking))] if lacking else []
    return found, notes + ([Note("sets_composed", subsets=", ".join(composed))] if composed else [])


def sets_of(
    prediction: Prediction, table: ConformalTable, coverage: float, widest: int | None = None
) -> dict[str, tuple[str, ...]]:
    """Task → set, most probable class first, () where it is wider than `widest` (None = half of the classes)."""
    found: dict[str, tuple[str, ...]] = {}
    if prediction.rules:  # no promise covers what was changed by hand
        return found
    for task, scores in table.get(_subset(prediction), {}).items():
        shares = _shares(prediction, task)
        if shares is not None and tuple(shares) == scores.classes:
            limit = len(scores.classes) // 2 if widest is None else widest
            (chosen,) = scores.at(coverage, widest=limit).predict_sets(np.array([list(shares.values())]))
            found[task] = chosen or ()
    return found


def _subset(prediction: Prediction) -> str:
    return subset_name(prediction.present)


def _shares(prediction: Prediction, task: str) -> Mapping[str, float] | None:
    """The distribution over the task's classes, None where it has none."""
    standard = {"emotion": prediction.emotions, "polarity": prediction.polarity}
    found = standard[task] if task in standard else prediction.others.get(task)
    return found if isinstance(found, Mapping) else None
