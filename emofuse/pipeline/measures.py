"""Measures: one number of a prediction, by name, for trends, conditions and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from emofuse.errors import DataError, nearest
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction

SCALARS = ("valence", "arousal", "intensity")
POLES = ("negative", "positive")
MEASURES = (*POLES, *SCALARS, *EMOTIONS)
"""What can be measured: the probability of a polarity or an emotion, or a scalar of the model."""


def check_measure(name: object) -> str:
    """The name, if there is such a measure. Raises `DataError`."""
    if name not in MEASURES:
        raise DataError(f"there is no measure {name!r}; {nearest(str(name), MEASURES)}")
    return str(name)


def measure(prediction: Prediction, name: str) -> float | None:
    """The number; None where the model has not learnt it for what is present."""
    if name in SCALARS:
        return getattr(prediction, name)
    table = prediction.polarity if name in POLES else prediction.emotions
    return None if table is None else table.get(name)


def measures(prediction: Prediction) -> dict[str, float]:
    """Every measure that is known of a prediction."""
    found = {name: measure(prediction, name) for name in MEASURES}
    return {name: value for name, value in found.items() if value is not None}


def value_in(row: Mapping[str, Any], of: str, prefix: str = "predicted_") -> float | None:
    """A measure of a flat row; None where there is none.

    It is in the column `prefix` + measure, the measure, or as `emofuse predict --csv` and `emofuse batch` call it
    (`emotions.anger`, `polarity.negative`).
    """
    nested = f"emotions.{of}" if of in EMOTIONS else f"polarity.{of}" if of in POLES else of
    cell = next((row[name] for name in (f"{prefix}{of}", nested, of) if row.get(name) not in (None, "")), None)
    try:
        value = None if cell is None else float(cell)
    except (TypeError, ValueError):
        return None
    return value if value is not None and math.isfinite(value) else None
