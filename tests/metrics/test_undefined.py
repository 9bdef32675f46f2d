"""What has no answer is NaN, and a warning says so at the line that asked."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from emofuse.metrics.classification import accuracy, uar
from emofuse.metrics.confidence import nll
from emofuse.metrics.intervals import bootstrap
from emofuse.metrics.regression import mae, pearson
from emofuse.metrics.undefined import MetricWarning, counted_elsewhere, pair, warn

NONE = np.zeros(0)


def sometimes(values: np.ndarray) -> float:
    """A statistic that some resamples leave undefined."""
    return float("nan") if values.all() else float(values.mean())


@pytest.mark.skipif("MUTANT_UNDER_TEST" in os.environ, reason="mutmut calls every function through one of its own")
@pytest.mark.parametrize(
    ("measure", "text"),
    [
        (lambda: accuracy(NONE, NONE), "accuracy of no samples is undefined: NaN"),
        (lambda: mae(NONE, NONE), "MAE of no samples is undefined: NaN"),
        (lambda: nll(NONE[:, None], NONE[:, None]), "NLL of no samples is undefined: NaN"),
        (lambda: uar(NONE.astype(int), NONE.astype(int), 2), "UAR of no samples is undefined: NaN"),
        (
            lambda: uar(np.array([0]), np.array([0]), 2),
            "UAR: class 1 has no samples and does not count as recalled or missed",
        ),
        (
            lambda: pearson(np.array([1.0, 1.0]), np.array([1.0, 2.0])),
            "Pearson's correlation: the targets are constant",
        ),
        (
            lambda: bootstrap(sometimes, np.array([1, 0]), resamples=8),
            "of 8 resamples leave the metric undefined and are left out of its interval",
        ),
        (
            lambda: bootstrap(np.mean, np.array([1, 0]), clusters=["ann", "ann"], resamples=8),
            "a single cluster (ann): its samples are resampled, and the interval speaks of no other",
        ),
    ],
)
def test_a_warning_is_of_the_line_that_called_the_metric(measure: Callable[[], object], text: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        measure()
    (warning,) = caught
    assert str(warning.message).endswith(text) and warning.category is MetricWarning
    lines, first = inspect.getsourcelines(measure)
    assert warning.filename == __file__ and first <= warning.lineno < first + len(lines)


def test_two_sides_are_in_float64_and_fit_each_other() -> None:
    targets, values = pair("MAE", np.array([1, 2]), np.array([0.5, 2.5], np.float32), name="answers", axes=1)
    assert targets.dtype == values.dtype == np.float64
    assert (targets.tolist(), values.tolist()) == ([1.0, 2.0], [0.5, 2.5])
    for shapes, axes, wanted in (
        (((2,), (3,)), 1, r"^targets \(2,\) and answers \(3,\) must be vectors of one length$"),
        (((2, 1), (2, 1)), 1, r"^targets \(2, 1\) and answers \(2, 1\) must be vectors of one length$"),
        (((2,), (2,)), 2, r"^targets \(2,\) and answers \(2,\) must be samples × classes of one shape$"),
        (((2, 3), (2, 4)), 2, r"^targets \(2, 3\) and answers \(2, 4\) must be samples × classes of one shape$"),
    ):
        with pytest.raises(ValueError, match=wanted):
            pair("MAE", *map(np.zeros, shapes), name="answers", axes=axes)


def test_nothing_else_is_silenced_where_gaps_are_counted_elsewhere() -> None:
    class OtherWarning(UserWarning):
        """Of another kind."""

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with counted_elsewhere():
            warn("counted")
            warnings.warn("of another kind", OtherWarning, stacklevel=1)
        with counted_elsewhere(OtherWarning):
            warnings.warn("counted, too", OtherWarning, stacklevel=1)
            warn("not counted")
        warn("again")
    assert [str(one.message) for one in caught] == ["of another kind", "not counted", "again"]
