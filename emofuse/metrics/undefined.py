"""What a metric answers where it has no answer: a defined value, and a warning that says which and why."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class MetricWarning(UserWarning):
    """A metric was asked of data it is not defined on: nothing to score, a class without samples, a constant."""


def warn(message: str) -> None:
    """Say so, at the line that called the metric."""
    warnings.warn(message, MetricWarning, stacklevel=3)


@contextmanager
def counted_elsewhere(category: type[Warning] = MetricWarning) -> Iterator[None]:
    """For resampling, which meets one gap many times, and reports, which name it better: they say so once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield
