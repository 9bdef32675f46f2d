"""Contrast: the emotions, measures and words in which two collections differ, with intervals over clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from emofuse.errors import DataError, nearest
from emofuse.keywords.documents import Documents
from emofuse.metrics.intervals import resampled_sums
from emofuse.pipeline.measures import MEASURES, value_in
from emofuse.tasks import EMOTIONS

FALSE_DISCOVERIES = 0.05
"""Share of the words told that are expected to differ by chance alone (Benjamini & Hochberg 1995)."""
LEAST = 5
"""Documents of both collections that a word is in, at least."""
_SEEDS = (0, 1)


@dataclass(frozen=True)
class Difference:
    """A number of two collections, and b − a with its 95 % interval over clips drawn anew."""

    what: str
    """"leads" (the share of rows that an emotion leads), "mean" (of a measure), "word" (its score in 100 documents)."""
    name: str
    a: float
    b: float
    difference: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """JSON's types."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Clips:
    """What is summed of each clip of a collection: how many rows it has, and the sum and number of each value."""

    names: tuple[tuple[str, str], ...]
    """See `Difference.what` and `name`."""
    sums: np.ndarray
    """[clips, values]."""
    counts: np.ndarray
    """[clips, values]: of rows that have the value."""

    def means(self, seed: int, resamples: int) -> tuple[np.ndarray, np.ndarray]:
        """(mean of each value, means [resamples, values] over clips drawn anew); NaN where no row has it."""
        both = np.hstack([self.sums, self.counts])
        drawn, width = resampled_sums(both, resamples=resamples, seed=seed), len(self.names)
        with np.errstate(invalid="ignore", divide="ignore"):
            return both.sum(0)[:width] / both.sum(0)[width:], drawn[:, :width] / drawn[:, width:]


def clips(
    rows: Iterable[Mapping[str, Any]],
    clip: str | None = None,
    prefix: str = "predicted_",
    table: str = "the table",
) -> Clips:
    """Rows by clip: of each emotion whether it leads, and every measure.

    `clip` is a column; None = each row is one, as is a row whose cell is empty.

    `table` is what messages call it. Raises `DataError` where there are no predictions or no such column, and for what
    cannot be a value of a measure.
    """
    names = (*(("leads", name) for name in EMOTIONS), *(("mean", name) for name in MEASURES))
    found: dict[Any, np.ndarray] = {}
    for number, row in enumerate(rows, 1):
        if clip is not None and clip not in row:
            raise DataError(f"the rows of {table} have no column {clip!r}; {nearest(clip, map(str, row))}")
        values = _values(row, number, prefix, table)
        known = ~np.isnan(values)
        if known.any():
            cell = None if clip is None else row[clip]
            one = found.setdefault(number if cell in (None, "") else str(cell), np.zeros((2, len(names))))
            one += np.array([np.where(known, values, 0.0), known])
    if not found:
        raise DataError(
            f"no row of {table} has a prediction (columns {prefix}emotion, {prefix}anger, …); predict first, with "
            "emofuse predict TABLE --text-column … or batch, or name the columns with --prefix"
        )
    sums = np.array(list(found.values()))
    return Clips(names, sums[:, 0], sums[:, 1])


def _values(row: Mapping[str, Any], number: int, prefix: str, table: str) -> np.ndarray:
    """Whether each emotion leads, and every measure; NaN where that is not known."""
    leading = leading_in(row, prefix)
    shares = [float(leading == name) if leading else np.nan for name in EMOTIONS]
    try:
        return np.array([*shares, *(_or_nan(value_in(row, of, number, prefix)) for of in MEASURES)])
    except DataError as error:
        raise DataError(f"{table}, {error}") from error


def leading_in(row: Mapping[str, Any], prefix: str) -> str | None:
    """The leading emotion of a flat row."""
    return next((str(row[name]) for name in (f"{prefix}emotion", "emotion") if row.get(name)), None)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def differences(a: Clips, b: Clips, *, resamples: int = 1000) -> list[Difference]:
    """Of each value that both collections have: shares of rows that an emotion leads, and means of measures."""
    (mean_a, drawn_a), (mean_b, drawn_b) = (
        each.means(seed, resamples) for each, seed in zip((a, b), _SEEDS, strict=True)
    )
    return [
        _difference(*name, mean_a[i], mean_b[i], drawn_b[:, i] - drawn_a[:, i])
        for i, name in enumerate(a.names)
        if np.isfinite(mean_a[i]) and np.isfinite(mean_b[i])
    ]


def _difference(what: str, name: str, a: float, b: float, drawn: np.ndarray) -> Difference:
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Difference(what, name, float(a), float(b), float(b - a), float(low), float(high))


@dataclass(frozen=True)
class Words:
    """The words in which two collections differ."""

    found: tuple[Difference, ...]
    """Those that are told at FALSE_DISCOVERIES, more in b first."""
    compared: int
    """How many lemmas were compared."""


def words(a: Documents, b: Documents, *, least: int = LEAST, resamples: int = 1000) -> Words:
    """The lemmas whose score per document (of counted words: how often in 100 documents) differs.

    Over all lemmas that are in `least` documents; which are told is decided by Benjamini and Hochberg's procedure on
    the differences in units of their bootstrapped standard errors. `a` and `b` are over the same lemmas.
    """
    kept = np.flatnonzero(a.in_documents() + b.in_documents() >= least)
    if not len(kept):
        return Words((), 0)
    drawn = [
        100 * resampled_sums(each.scores[:, kept], resamples=resamples, seed=seed) / len(each)
        for each, seed in zip((a, b), _SEEDS, strict=True)
    ]
    means = [100 * np.asarray(each.scores[:, kept].sum(axis=0)).ravel() / len(each) for each in (a, b)]
    apart, error = drawn[1] - drawn[0], (drawn[1] - drawn[0]).std(axis=0, ddof=1)
    ahead = means[1] - means[0]
    certain = np.where(ahead == 0, 0.0, np.copysign(np.inf, ahead))  # the same in every document of both
    z = np.divide(ahead, error, out=certain, where=error > 0)
    told = stats.false_discovery_control(2 * stats.norm.sf(np.abs(z))) <= FALSE_DISCOVERIES
    found = [
        _difference("word", a.lemmas[kept[i]], means[0][i], means[1][i], apart[:, i]) for i in np.flatnonzero(told)
    ]
    return Words(tuple(sorted(found, key=lambda one: -one.difference)), len(kept))
