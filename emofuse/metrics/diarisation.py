"""Diarisation error rate: seconds of speech missed, invented and given to the wrong speaker, over those spoken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Spoken = tuple[float, float, str]
"""Start and end in seconds, and who speaks."""
_STEP = 0.01


def diarisation_error(reference: Sequence[Spoken], found: Sequence[Spoken], collar: float = 0.0) -> dict[str, float]:
    """`der` and its parts `missed`, `false_alarm`, `confusion`, each over the seconds spoken in the reference.

    Speakers are matched so that the error is least (NIST's md-eval). Moments within `collar` seconds of an edge of the
    reference do not count. In steps of 10 ms; who speaks at once with another counts for each. NaN without any speech.
    """
    from scipy.optimize import linear_sum_assignment

    end = max((stop for _, stop, _ in (*reference, *found)), default=0.0)
    frames = round(end / _STEP) + 1
    there, guess = _grid(reference, frames), _grid(found, frames)
    counts = np.ones(frames, bool)
    for start, stop, _ in reference if collar else ():
        for edge in (start, stop):
            counts[max(0, round((edge - collar) / _STEP)) : round((edge + collar) / _STEP)] = False
    there, guess = there[:, counts], guess[:, counts]
    spoken = there.sum()
    if not spoken:
        return dict.fromkeys(("der", "missed", "false_alarm", "confusion"), float("nan"))
    together = there.astype(float) @ guess.T.astype(float)
    rows, columns = linear_sum_assignment(-together)
    right = together[rows, columns].sum()
    real, said = there.sum(axis=0), guess.sum(axis=0)
    missed, invented = np.maximum(0, real - said).sum(), np.maximum(0, said - real).sum()
    confused = np.minimum(real, said).sum() - right
    parts = {"missed": missed / spoken, "false_alarm": invented / spoken, "confusion": confused / spoken}
    return {"der": float(sum(parts.values()))} | {name: float(value) for name, value in parts.items()}


def _grid(spoken: Sequence[Spoken], frames: int) -> np.ndarray:
    """Whether each speaker speaks at each step."""
    names = list(dict.fromkeys(name for *_, name in spoken))
    grid = np.zeros((max(1, len(names)), frames), bool)
    for start, stop, name in spoken:
        grid[names.index(name), round(start / _STEP) : round(stop / _STEP)] = True
    return grid
