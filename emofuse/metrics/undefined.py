"""What a metric answers where it has no answer: a defined value, and a warning that says which and why."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import Float64

_ROOM = __name__.rpartition(".")[0] + "."
_FITTING = {1: "vectors of one length", 2: "samples × classes of one shape"}


class MetricWarning(UserWarning):
    """A metric was asked of data it is not defined on: nothing to score, a class without samples, a constant."""


def warn(message: str) -> None:
    """Say so, at the line that called the metric, however deep inside this room it was found out."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals["__name__"].startswith(_ROOM):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, MetricWarning, stacklevel=level)


def pair(
    metric: str, targets: np.ndarray, values: np.ndarray, *, name: str, axes: int
) -> tuple[Float64[np.ndarray, "..."], Float64[np.ndarray, "..."]]:
    """Both sides of a metric in float64, of one shape with so many axes; `name` is what `values` are called.

    Raises ValueError for sides that do not fit each other, and warns where they hold no samples.
    """
    targets, values = np.asarray(targets, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if targets.shape != values.shape or targets.ndim != axes:
        raise ValueError(f"targets {targets.shape} and {name} {values.shape} must be {_FITTING[axes]}")
    if not len(targets):
        warn(f"{metric} of no samples is undefined: NaN")
    return targets, values


@contextmanager
def counted_elsewhere(category: type[Warning] = MetricWarning) -> Iterator[None]:
    """For resampling, which meets one gap many times, and reports, which name it better: they say so once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield
