"""Sets of classes in place of one: "joy or surprise", right as often as was asked, or no answer at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from emofuse.modalities import subset_name
from emofuse.model.conformal import ConformalTable
from emofuse.types import Prediction

if TYPE_CHECKING:
    from emofuse.pipeline.analysis import Analysis

UNCALIBRATED = (
    "no sets of emotions: this model was not calibrated for them; "
    "emofuse calibrate MODEL OUT --corpus … does it on data of your own"
)


def with_sets(analysis: Analysis, coverage: float, widest: int | None = None) -> Analysis:
    """See `Analysis.at_coverage`."""
    if not 0 < coverage < 1:
        raise ValueError(f"coverage {coverage} is not between 0 and 1; 0.9 promises nine of ten")
    segments = [replace(p, sets=sets_of(p, analysis.conformal, coverage, widest)) for p in analysis.segments]
    overall = analysis.overall
    if overall is not None:
        overall = replace(overall, sets=segments[0].sets if len(segments) == 1 else {})
    notes = [note for note in analysis.notes if not note.startswith("no sets of emotions")]
    lacking = sorted({_subset(p) for p in segments if p.emotions and "emotion" not in p.sets})
    if segments and not analysis.conformal:
        notes.append(UNCALIBRATED)
    elif lacking:
        notes.append(f"no sets of emotions for {', '.join(lacking)} alone: the model was not calibrated for that")
    return replace(analysis, segments=segments, overall=overall, notes=tuple(notes), coverage=coverage)


def sets_of(
    prediction: Prediction, table: ConformalTable, coverage: float, widest: int | None = None
) -> dict[str, tuple[str, ...]]:
    """Task → set, most probable class first, () where it is wider than `widest` (None = half of the classes)."""
    found: dict[str, tuple[str, ...]] = {}
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
