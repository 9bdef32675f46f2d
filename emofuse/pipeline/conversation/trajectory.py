"""Trajectory: how a speaker's measures move from turn to turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emofuse.pipeline.conversation.acts import Trend
from emofuse.pipeline.measures import MEASURES, measure, measures
from emofuse.types import Prediction


@dataclass(frozen=True)
class Change:
    """From a speaker's turn before to this one: the leading emotions, and the difference of each measure of both."""

    before: str | None
    now: str | None
    by: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON's types."""
        return {"from": self.before, "to": self.now, "by": self.by}


def change(before: Prediction | None, now: Prediction) -> Change | None:
    """What is different from the turn before; None at a speaker's first turn."""
    if before is None:
        return None
    old, new = measures(before), measures(now)
    by = {name: new[name] - old[name] for name in MEASURES if name in old and name in new}
    return Change(before.top[0] if before.top else None, now.top[0] if now.top else None, by)


def moved(trend: Trend, turns: Sequence[Prediction]) -> float | None:
    """By how much a measure has moved over the last turns of a trend; None where there are too few that have it."""
    values = [measure(turn, trend.of) for turn in turns[-trend.over :]]
    known = [value for value in values if value is not None]
    return slope(known) * (trend.over - 1) if len(known) == trend.over else None


def slope(values: Sequence[float]) -> float:
    """The median of the slopes between all pairs (Theil 1950, Sen 1968), so that one odd turn does not make a trend."""
    y, x = np.asarray(values, float), np.arange(len(values))
    first, second = np.triu_indices(len(y), 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first]))) if len(y) > 1 else 0.0
