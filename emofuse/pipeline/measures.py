"""Measures: one number of a prediction, by name, for trends, conditions and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from emofuse.errors import DataError, nearest
from emofuse.tasks import EMOTIONS, TASKS
from emofuse.types import Prediction

SCALARS = ("valence", "arousal", "intensity")
POLES = ("negative", "positive")
MEASURES = (*POLES, *SCALARS, *EMOTIONS)
"""What can be measured: the probability of a polarity or an emotion, or a scalar of the model."""
ROUNDING = 1e-5
"""By which a value may be past its bounds, of sums in 32 bits."""


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


def bounds(name: str) -> tuple[float, float]:
    """The least and the largest value of a measure."""
    return (TASKS[name].low, TASKS[name].high) if name in SCALARS else (0.0, 1.0)


def value_in(row: Mapping[str, Any], of: str, number: int, prefix: str = "predicted_") -> float | None:
    """A measure of a flat row, which is the `number`-th from 1 on; None where there is none.

    It is in the column `prefix` + measure, the measure, or as `emofuse predict --csv` and `emofuse batch` call it
    (`emotions.anger`, `polarity.negative`). Raises `DataError` for what cannot be a value of the measure.
    """
    nested = f"emotions.{of}" if of in EMOTIONS else f"polarity.{of}" if of in POLES else of
    column = next((name for name in (f"{prefix}{of}", nested, of) if row.get(name) not in (None, "")), None)
    return None if column is None else checked(row[column], column, of, number)


def checked(cell: Any, column: str, of: str, number: int) -> float | None:
    """The number in a cell of a row; None for NaN. Raises `DataError` for what cannot be a value of the measure."""
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = math.inf
    low, high = bounds(of)
    if math.isnan(value) or low - ROUNDING <= value <= high + ROUNDING:
        return None if math.isnan(value) else value
    raise DataError(
        f"row {number}: the column {column!r} holds {str(cell)!r:.60}, and {of} is a number from {low:g} to {high:g}; "
        "mend the cell or leave it empty, or rename a column that is none of predictions"
    )
