"""Contributions of the modalities, weighed on a few segments spread over the clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emofuse.batch import collate
from emofuse.explain.shapley import class_of, shapley, task_of
from emofuse.modalities import ordered
from emofuse.model.model import EmotionModel
from emofuse.types import Prediction, Segment


class Kept:
    """At most `most` of the segments that come by, evenly spread however many come."""

    def __init__(self, most: int) -> None:
        self._most, self._step = max(1, most), 1
        self.items: dict[int, tuple[Prediction, Segment]] = {}

    def push(self, index: int, prediction: Prediction, segment: Segment) -> None:
        """Keep the segment if it is its turn; when there are too many, every second goes."""
        if index % self._step == 0:
            self.items[index] = (prediction, segment)
        if len(self.items) > self._most:
            self._step *= 2
            self.items = {i: item for i, item in self.items.items() if i % self._step == 0}


def contribution(model: EmotionModel, segment: Segment, emotion: str) -> dict[str, Any]:
    """Exact Shapley values of the probability of an emotion: they lead from `none` to `full`."""
    task = task_of(model, "emotion")
    found = shapley(model, collate([model.prepare(segment)]), task, class_of(task, emotion))
    values = {m: found.values[m] for m in ordered(found.values)}
    return {"emotion": emotion, "none": found.none, "full": found.full, "values": values}


def mean_contribution(parts: Mapping[int, dict[str, Any]], seconds: Mapping[int, float]) -> dict[str, Any]:
    """The mean of contributions to one emotion, by seconds; where a modality is absent it contributed nothing."""
    weights = np.array([seconds[i] for i in parts])
    if not weights.any():
        weights = np.ones(len(parts))

    def mean(values: list[float]) -> float:
        return float(np.average(values, weights=weights))

    rows = list(parts.values())
    names = ordered(m for row in rows for m in row["values"])
    return {
        "emotion": rows[0]["emotion"],
        "none": mean([row["none"] for row in rows]),
        "full": mean([row["full"] for row in rows]),
        "values": {m: mean([row["values"].get(m, 0.0) for row in rows]) for m in names},
        "of": len(rows),
    }
