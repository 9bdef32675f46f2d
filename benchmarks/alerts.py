"""Alerts of `emofuse trend` on simulated days: how often a normal series raises one, and how soon a shift does.

    python -m benchmarks.alerts

A day's mean moves by as much as its rows explain, or by as much again for reasons of its own. A shift is in standard
deviations of a day's mean.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emofuse.trends.alerts import BASELINE, alerts, threshold
from emofuse.trends.series import Bin, Series

RATES = {"1/week": 7.0, "1/month": 30.0, "1/year": 365.0}
ROWS = 20
"""A day."""
SPREAD = 0.1
"""Of rows within a day."""
SHIFTS = (1.0, 2.0, 3.0)
LEVEL, DAY, WATCHED, BEFORE = 0.3, 86_400.0, 400, 10
"""Mean; seconds; the most days that are watched; normal days after the baseline before a shift."""


@dataclass(frozen=True)
class Line:
    """One rate that was asked for."""

    rate: str
    days: str
    threshold: float
    asked: float
    """Share of normal series that should raise an alarm within the rate's period: 1 - 1/e."""
    found: float
    """Share that did."""
    delays: tuple[float, ...]
    """Median days from a shift to its alert, by SHIFTS; NaN where fewer than half were found within WATCHED days."""
    dated: float
    """Median days by which the beginning that is told of the middle shift is off."""


def main() -> int:
    """Print the table."""
    header = ["days", "asked for", "threshold", "alarms within it: asked", "found"]
    header += [f"days to an alert of {shift:g} sd" for shift in SHIFTS] + ["its start is off by"]
    sys.stdout.write("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|\n")
    for line in lines():
        cells = [line.days, line.rate, f"{line.threshold:.2f}", f"{line.asked:.2f}", f"{line.found:.2f}"]
        cells += [*(f"{delay:g}" for delay in line.delays), f"{line.dated:g}"]
        sys.stdout.write("| " + " | ".join(cells) + " |\n")
    return 0


def lines(runs: int = 1000) -> Iterator[Line]:
    """Every rate, for days that differ by their rows alone and for days that differ by as much again."""
    for days, own in (("alike but for their rows", 0.0), ("of their own level too", SPREAD / ROWS**0.5)):
        for rate, periods in RATES.items():
            limit = threshold(periods)
            horizon = round(periods)
            alarmed = sum(bool(alerts(made(horizon, own, seed), limit)) for seed in range(runs)) / runs
            found = [_delays(limit, own, shift, max(20, runs // 5)) for shift in SHIFTS]
            middle = [off for _, off in found[1] if np.isfinite(off)]
            delays = tuple(float(np.median([delay for delay, _ in each])) for each in found)
            yield Line(rate, days, limit, 1 - np.exp(-1), alarmed, delays, float(np.median(middle)))


def made(days: int, own: float, seed: int, shift: float = 0.0, shift_at: int | None = None) -> Series:
    """A series of a baseline and so many days, of which those from `shift_at` on are shifted."""
    rng = np.random.default_rng(seed)
    count = BASELINE + days
    level = LEVEL + own * rng.standard_normal(count)
    if shift_at is not None:
        level[shift_at:] += shift * float(np.hypot(SPREAD / ROWS**0.5, own))
    values = level[:, None] + SPREAD * rng.standard_normal((count, ROWS))
    sums, squares = values.sum(axis=1).tolist(), np.square(values).sum(axis=1).tolist()
    return Series((), "day", [Bin(day * DAY, ROWS, sums[day], squares[day]) for day in range(count)])


def _delays(limit: float, own: float, shift: float, runs: int) -> list[tuple[float, float]]:
    """Days from a shift to the first alert after it (infinite: none), and by how many days its beginning is off."""
    at, found = BASELINE + BEFORE, []
    for seed in range(runs):
        told = alerts(made(BEFORE + WATCHED, own, 10_000 + seed, shift, at), limit)
        first = next((alert for alert in told if alert.at >= at), None)
        found.append((first.at - at + 1.0, abs(first.since - at)) if first else (np.inf, np.nan))
    return found


if __name__ == "__main__":
    sys.exit(main())
