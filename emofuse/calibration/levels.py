"""Levels of an intensity: what divides a model's answers on development data into weak, medium and strong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from emofuse.model.predict import GIVEN, Predictions

INTENSITY = "intensity"
FEWEST = 50


def terciles(sources: Sequence[Float[np.ndarray, " _"]]) -> tuple[float, float] | None:
    """What a third and two thirds of the answers lie below, sources counting the same; None for fewer than FEWEST."""
    known = [values for values in sources if len(values)]
    if sum(map(len, known)) < FEWEST:
        return None
    values = np.concatenate(known)
    order = np.argsort(values, kind="stable")
    shares = np.concatenate([np.full(len(own), 1 / (len(own) * len(known))) for own in known])[order]
    weak, medium = np.interp([1 / 3, 2 / 3], np.cumsum(shares) - shares / 2, values[order])
    return float(weak), float(medium)


def terciles_of(predictions: Sequence[Predictions]) -> dict[str, tuple[float, float]]:
    """Of the intensity, over the dev samples that are labelled with one; {} where they are too few."""
    own = [p for p in predictions if INTENSITY in p.targets]
    found = terciles([p.values[GIVEN][INTENSITY][p.rows(GIVEN, INTENSITY), 0] for p in own])
    return {INTENSITY: found} if found else {}
