"""A trend's report: periods with intervals, change points and alerts, as rows, JSON, a chart and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse import pages, plots
from emofuse.trends.against import Correlation
from emofuse.trends.alerts import Alert
from emofuse.trends.series import Series, against_before, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Trend:
    """A measure over time, by group, with the alerts of each."""

    of: str
    found: list[tuple[Series, list[Alert]]]
    threshold: float
    correlations: tuple[Correlation, ...] = ()
    """With an index, a group each, where one was given."""

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
        shape = {"of": self.of, "threshold": self.threshold, "periods": self.rows(), "alerts": self.alerts()}
        return shape | ({"against": [one.to_dict() for one in self.correlations]} if self.correlations else {})

    def latest(self) -> list[dict[str, Any]]:
        """The alerts of `alerts` that are in the last period of their series."""
        last = {" ".join(found.group): label(found.bins[-1].start, found.by) for found, _ in self.found}
        return [alert for alert in self.alerts() if alert["at"] == last[alert["group"]]]

    def figure(self) -> Figure:
        """The means with their intervals and a mark at each alert, a panel a group; needs the extra `plot`."""
        with plots.style():
            from matplotlib.figure import Figure

            figure = Figure(figsize=(7, 2.2 * len(self.found)), layout="constrained")
            panels = figure.subplots(len(self.found), 1, squeeze=False)[:, 0]
            for panel, (found, made) in zip(panels, self.found, strict=True):
                _draw(panel, found, made, self.of)
        return figure

    def plot(self, path: str | Path) -> Path:
        """Draw `figure` to a file."""
        from emofuse.files import replacing

        with replacing(path) as temporary, plots.style():
            self.figure().savefig(temporary)
        return Path(path)

    def to_html(self) -> str:
        """One page that holds all it shows: the chart, the alerts, the correlations, every period."""
        shown = [
            (r["group"], r["period"], r["rows"], *(f"{r[name]:.3f}" for name in (self.of, "low", "high")),
             "" if r["than_weeks_before"] is None else f"{r['than_weeks_before']:+.3f}", r["alert"] or "")
            for r in self.rows()
        ]  # fmt: skip
        alerts = [
            (a["at"], a["group"], a["direction"], f"{abs(a['deviation']):.3f}", a["since"],
             ", ".join(item["name"] for item in a["items"]))
            for a in self.alerts()
        ]  # fmt: skip
        chart = pages.image(plots.png(self.figure()), f"{self.of} over time, with 95 % intervals", width=700, plot=True)
        told = [one.sentence() for one in self.correlations]
        values = {"title": f"{self.of} over time", "of": self.of, "threshold": f"{self.threshold:.2f}", "chart": chart}
        return str(pages.render("trend.html", **values, alerts=alerts, correlations=told, rows=shown))


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
