"""Alerts: a CUSUM over the periods of a series, whose threshold gives the rate of false alarms that is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from emofuse.errors import DataError
from emofuse.trends.series import SECONDS, Bin, Period, Series

DRIFT = 0.5
"""Standard deviations that a shift of one standard deviation exceeds by as much as it is exceeded (Page 1954)."""
BASELINE = 14
"""Periods from the start that are taken for normal."""
PER = {"hour": 3600.0, "day": 86400.0, "week": 7 * 86400.0, "month": 30 * 86400.0, "year": 365 * 86400.0}
_RUNS, _SEED = 2_000, 0


@dataclass(frozen=True)
class Alert:
    """A period at which the sum of deviations went over the threshold, and since when it had been going there."""

    at: int
    since: int
    """Index of the period in which the change probably began."""
    direction: str
    """"up" or "down"."""
    deviation: float
    """Mean of the periods since then, less the baseline's."""
    items: list[tuple[float, str]]
    """(value, name) of the rows that made it, the strongest first."""


def periods_between(rate: str, by: Period) -> float:
    """How many periods a rate of false alarms, as "1/month", allows between two. Raises `DataError`."""
    count, _, unit = rate.partition("/")
    try:
        times = float(count)
    except ValueError:
        times = math.nan
    if unit not in PER or not 0 < times < math.inf or by == "turn":
        turns = " (of turns there is no rate: give a threshold)" if by == "turn" else ""
        raise DataError(f"{rate!r} is not a rate of false alarms; write 1/month, 2/year, 1/week{turns}")
    return PER[unit] / times / SECONDS[by]


@lru_cache(maxsize=32)
def threshold(periods: float, baseline: int = BASELINE) -> float:
    """The sum, in standard deviations, that normal series of this baseline reach once in so many periods (two-sided).

    By simulation of 2,000 normal series whose mean and spread are estimated from `baseline` periods, as those of a real
    one are: after Hawkins & Olwell 1998, with the estimation error that their tables leave out. The rate is the share
    of series with an alarm within `horizon` periods, which is 1 - exp(-horizon / periods) for the rate asked for.
    """
    horizon = max(2, min(round(periods), 2_000))
    generator = np.random.default_rng(_SEED)
    peaks = np.empty(_RUNS)
    for run in range(_RUNS):
        z = generator.standard_normal(baseline + horizon)
        start, spread = z[:baseline].mean(), z[:baseline].std(ddof=1)
        peaks[run] = _largest((z[baseline:] - start) / spread)
    return float(np.quantile(peaks, math.exp(-horizon / periods)))


def _largest(z: np.ndarray) -> float:
    """The largest sum of either direction."""
    best = up = down = 0.0
    for value in z.tolist():
        up, down = max(0.0, up + value - DRIFT), max(0.0, down - value - DRIFT)
        best = max(best, up, down)
    return best


def alerts(found: Series, limit: float, baseline: int = BASELINE) -> list[Alert]:
    """The alerts of a series after its baseline. Raises `DataError` if it is short.

    After an alert the mean since the change is the new normal, so that a shift that lasts is told once.
    """
    bins = found.bins
    if len(bins) <= baseline:
        raise DataError(
            f"{' '.join(found.group) or 'the series'} has {len(bins)} periods, and {baseline} are taken for normal "
            "before any can be told from it; give --baseline a smaller number, or --by a shorter period"
        )
    first = np.array([b.mean for b in bins[:baseline]])
    counts = np.array([b.count for b in bins[:baseline]])
    normal, spread, noise = float(first.mean()), float(first.std(ddof=1)), found.pooled
    between = max(0.0, spread**2 - noise * float(np.mean(1 / counts)))
    scales = [math.sqrt(between + noise / b.count) or spread or 1e-9 for b in bins]
    made: list[Alert] = []
    begin, up, down = baseline, 0.0, 0.0
    for at in range(baseline, len(bins)):
        z = (bins[at].mean - normal) / scales[at]
        up, down = max(0.0, up + z - DRIFT), max(0.0, down - z - DRIFT)
        if max(up, down) > limit:
            made.append(_alert(bins, scales, begin, at, "up" if up > down else "down", normal))
            span = bins[made[-1].since : at + 1]
            normal = sum(b.total for b in span) / sum(b.count for b in span)
            begin, up, down = at + 1, 0.0, 0.0
    return made


def _alert(bins: Sequence[Bin], scales: Sequence[float], begin: int, at: int, direction: str, normal: float) -> Alert:
    """The change began where the mean from there on differs most, in its own standard errors."""
    rising = direction == "up"
    z = [(bins[i].mean - normal) / scales[i] * (1 if rising else -1) for i in range(begin, at + 1)]
    since = begin + max(range(len(z)), key=lambda i: sum(z[i:]) / math.sqrt(len(z) - i))
    span = bins[since : at + 1]
    mean = sum(b.total for b in span) / sum(b.count for b in span)
    kept = (pair for b in span for pair in (b.highest if rising else b.lowest))
    ranked = sorted(kept, key=lambda pair: -pair[0] if rising else pair[0])
    return Alert(at, since, direction, mean - normal, ranked[:5])
