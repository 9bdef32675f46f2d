"""A trend's report: periods with intervals, change points and alerts, as rows, JSON and a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emofuse import plots
from emofuse.trends.alerts import Alert
from emofuse.trends.series import Series, against_before, label


@dataclass(frozen=True)
class Trend:
    """A measure over time, by group, with the alerts of each."""

    of: str
    found: list[tuple[Series, list[Alert]]]
    threshold: float

    def rows(self) -> list[dict[str, Any]]:
        """One row a group and period."""
        rows = []
        for found, made in self.found:
            pooled, by_period = found.pooled, {alert.at: alert for alert in made}
            for at, one in enumerate(found.bins):
                low, high = one.interval(pooled)
                alert, before = by_period.get(at), against_before(found.bins, at, found.by)
                row: dict[str, Any] = {"group": " ".join(found.group), "period": label(one.start, found.by)}
                row |= {"rows": one.count, self.of: one.mean, "low": low, "high": high, "than_weeks_before": before}
                rows.append(row | {"alert": alert.direction if alert else None})
        return rows

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert with when it began, by how much, and the rows that made it."""
        return [
            {
                "group": " ".join(found.group),
                "at": label(found.bins[alert.at].start, found.by),
                "since": label(found.bins[alert.since].start, found.by),
                "direction": alert.direction,
                "deviation": alert.deviation,
                "items": [{"name": name, "value": value} for value, name in alert.items],
            }
            for found, made in self.found
            for alert in made
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON's types."""
        return {"of": self.of, "threshold": self.threshold, "periods": self.rows(), "alerts": self.alerts()}

    def plot(self, path: str | Path) -> Path:
        """Draw the means with their intervals and a mark at each alert, a panel a group; needs the extra `plot`."""
        from emofuse.files import replacing

        with plots.style():
            from matplotlib.figure import Figure

            figure = Figure(figsize=(7, 2.2 * len(self.found)), layout="constrained")
            panels = figure.subplots(len(self.found), 1, squeeze=False)[:, 0]
            for panel, (found, made) in zip(panels, self.found, strict=True):
                _draw(panel, found, made, self.of)
            with replacing(path) as temporary:
                figure.savefig(temporary)
        return Path(path)


def _draw(panel: Any, found: Series, made: Sequence[Alert], of: str) -> None:
    places, pooled = range(len(found.bins)), found.pooled
    means = [one.mean for one in found.bins]
    lows, highs = zip(*(one.interval(pooled) for one in found.bins), strict=True)
    panel.fill_between(places, lows, highs, alpha=0.25, linewidth=0, color=plots.COLOURS[0])
    panel.plot(places, means, color=plots.COLOURS[0])
    for alert in made:
        panel.axvspan(alert.since - 0.5, alert.at + 0.5, alpha=0.15, color=plots.COLOURS[2], linewidth=0)
        panel.plot([alert.at], [means[alert.at]], marker="v", color=plots.COLOURS[2])
    ticks = list(places)[:: max(1, len(means) // 8)]
    panel.set_xticks(ticks, [label(found.bins[at].start, found.by) for at in ticks], rotation=20, ha="right")
    panel.set_title(" ".join(found.group) or of)
    panel.set_ylabel(of)
