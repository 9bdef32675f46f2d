"""The wheel of emotions: which classes lie near each other, as a prior (Plutchik 1980, eight petals about a circle)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

PETALS = ("joy", "trust", "fear", "surprise", "sadness", "disgust", "anger", "anticipation")
"""45° apart, opposites across."""
BETWEEN: dict[str, tuple[str, ...]] = {
    "contempt": ("disgust", "anger"),
    "excited": ("joy", "anticipation"),
    "frustrated": ("anger", "sadness"),
    "love": ("joy", "trust"),
    "optimism": ("joy", "anticipation"),
    "remorse": ("sadness", "disgust"),
    "disappointment": ("surprise", "sadness"),
    "neutral": (),
}
"""Classes that are no petal: the mean of these, and the middle of the wheel for none."""


def place(name: str) -> Float32[np.ndarray, "2"] | None:
    """Where a class lies in the plane, within the unit circle; None where the wheel does not have it."""
    if name not in PETALS and name not in BETWEEN:
        return None
    petals = BETWEEN.get(name, (name,))
    angles = np.array([2 * np.pi * PETALS.index(petal) / len(PETALS) for petal in petals])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return (points.mean(axis=0) if len(points) else np.zeros(2)).astype(np.float32)


def spread(classes: Sequence[str]) -> Float32[np.ndarray, "classes classes"] | None:
    """For each class, how what is taken from it is shared out: by (1 + cos) / 2 of the angle, itself the most.

    Rows sum to 1. None where the wheel lacks a class.
    """
    places = [place(name) for name in classes]
    known = [each for each in places if each is not None]
    if len(known) < len(places) or not known:
        return None
    points = np.stack(known)
    near = (1 + points @ points.T) / 2
    np.fill_diagonal(near, 1.0)
    return (near / near.sum(axis=1, keepdims=True)).astype(np.float32)
