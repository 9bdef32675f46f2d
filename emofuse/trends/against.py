"""Against an index: the lag at which a series and another are most alike, and how surprising that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from emofuse.errors import DataError, nearest
from emofuse.trends.series import SECONDS, Period, Series, start_of, time_in

LEAST = 20
"""Periods that both have at every lag, at least."""
DRAWS = 999
_SEED = 0


class TooShortError(DataError):
    """A series and an index have too few periods in common as yet."""


@dataclass(frozen=True)
class Correlation:
    """Of one group's series with an index, over every lag from -most to most periods."""

    group: str
    lag: int
    """Periods by which the series follows the index (below 0: leads it)."""
    correlation: float
    """Pearson's, at that lag."""
    p: float
    """The share of random indexes that rise and fall as slowly whose largest |correlation| at any lag is as large."""
    lags: int
    """How many lags were tried; `p` allows for all of them."""
    draws: int
    periods: int

    def to_dict(self) -> dict[str, Any]:
        """JSON's types."""
        return asdict(self)

    def sentence(self) -> str:
        """The correlation in plain words."""
        who, moved = self.group or "the series", f"{abs(self.lag)} period(s)"
        when = f"{who} follows by {moved}" if self.lag > 0 else f"{who} leads by {moved}" if self.lag else "at once"
        return (
            f"{self.group or 'all'}: r {self.correlation:+.2f}, {when}; p {self.p:.3f} over {self.lags} lags "
            f"({self.draws} draws, {self.periods} periods)"
        )


def read_index(rows: Iterable[Mapping[str, Any]], time: str, value: str | None, by: Period) -> dict[float, float]:
    """Start of a period → the mean of the index in it.

    Its time is in the column `time`, or in the first where there is none of that name; the index itself in the column
    `value`, or in the first of the others. Raises `DataError` for a column, a time or a number that is not there.
    """
    found: dict[float, list[float]] = {}
    for number, row in enumerate(rows, 1):
        at = time if time in row else str(next(iter(row)))
        of = value or next((str(name) for name in row if name != at), "")
        if of not in row:
            raise DataError(f"the index has no column {of!r} beside its time; {nearest(of, map(str, row))}")
        try:
            amount = float(row[of])
        except (TypeError, ValueError):
            raise DataError(f"row {number} of the index: {row[of]!r} in the column {of!r} is no number") from None
        if np.isfinite(amount):
            found.setdefault(start_of(time_in(row, at, number, by), by), []).append(amount)
    return {start: float(np.mean(values)) for start, values in found.items()}


def against(found: Series, index: Mapping[float, float], most: int, *, draws: int = DRAWS) -> Correlation:
    """The largest correlation over the lags, with a p that allows for all of them.

    What is drawn are indexes of the same spectrum with random phases (Ebisuzaki 1997): they rise and fall as slowly as
    the index does, but when is chance. To shuffle periods would break that up, and days that are alike would then look
    like evidence. `p` is the share of draws whose largest |r| at any of the lags is as large (Westfall & Young 1993).
    Raises `TooShortError` where they have too few periods in common.
    """
    own, other = _on_one_grid(found, index)
    lags = range(-most, most + 1)
    correlations = np.array([_correlations(own, other[None], lag)[0] for lag in lags])
    if np.isnan(correlations).any():
        raise TooShortError(
            f"{' '.join(found.group) or 'the series'} and the index have too few periods in common for {most} lags: "
            f"{LEAST} at every lag are needed; give --lags a smaller number, or longer series"
        )
    place = int(np.abs(correlations).argmax())
    drawn = _random_phases(other, draws)
    largest = np.max([np.abs(_correlations(own, drawn, lag)) for lag in lags], axis=0)
    p = (1 + int((largest >= abs(correlations[place])).sum())) / (1 + draws)
    both = int((np.isfinite(own) & np.isfinite(other)).sum())
    return Correlation(" ".join(found.group), place - most, float(correlations[place]), p, len(lags), draws, both)


def _on_one_grid(found: Series, index: Mapping[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Both over the periods from the first to the last that both reach, NaN where one has nothing."""
    means = {b.start: b.mean for b in found.bins}
    if not index:
        raise DataError("the index has no values")
    first, last = (pick(side(means), side(index)) for side, pick in ((min, max), (max, min)))
    count = max(0, round((last - first) / SECONDS[found.by]) + 1)
    starts = [first + i * SECONDS[found.by] for i in range(count)]
    own, other = (np.array([values.get(start, np.nan) for start in starts], float) for values in (means, index))
    return own, other


def _correlations(own: Float[np.ndarray, " n"], others: Float[np.ndarray, "k n"], lag: int) -> Float[np.ndarray, " k"]:
    """Pearson's of own[t] with each others[:, t - lag]; NaN of fewer than LEAST pairs, 0 of what never changes."""
    count = len(own)
    if count - abs(lag) < LEAST:
        return np.full(len(others), np.nan)
    a, b = own[max(0, lag) : count + min(0, lag)], others[:, max(0, -lag) : count - max(0, lag)]
    both = np.isfinite(a) & np.isfinite(b).all(axis=0)
    if both.sum() < LEAST:
        return np.full(len(others), np.nan)
    a, b = a[both] - a[both].mean(), b[:, both] - b[:, both].mean(axis=1, keepdims=True)
    size = np.sqrt((a @ a) * (b * b).sum(axis=1))
    return np.divide(b @ a, size, out=np.zeros(len(b)), where=size > 0)


def _random_phases(values: Float[np.ndarray, " n"], draws: int) -> Float[np.ndarray, "draws n"]:
    """Series of the same spectrum; gaps are bridged by straight lines for it, and are gaps again."""
    known, places = np.isfinite(values), np.arange(len(values))
    bridged = np.interp(places, places[known], values[known])
    size = np.abs(np.fft.rfft(bridged - bridged.mean()))
    phases = np.random.default_rng(_SEED).uniform(0, 2 * np.pi, (draws, len(size)))
    turned = size * np.exp(1j * phases)
    if len(values) % 2 == 0:
        turned[:, -1] = size[-1] * np.sqrt(2) * np.cos(phases[:, -1])
    drawn = np.fft.irfft(turned, len(values))
    return np.where(known, drawn, np.nan)
