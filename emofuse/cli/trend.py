"""`emofuse trend`: a measure over time, when it changed, and alerts."""

from __future__ import annotations

import csv as csv_module
import io
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emofuse.cli import options as opt
from emofuse.cli.outputs import put, written_to_stdout
from emofuse.errors import MediaError, require_package
from emofuse.files import check_outputs

if TYPE_CHECKING:
    from emofuse.trends.report import Trend

ALERTED = 4
"""Exit code where there is an alert in the last period."""


class By(StrEnum):
    """Periods."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    TURN = "turn"


def trend(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Predictions with a time: csv, tsv, jsonl, parquet.")],
    time: Annotated[str, typer.Option(metavar="COLUMN", help="The column of the time: ISO 8601, or seconds.")],
    of: Annotated[str, typer.Option(metavar="MEASURE", help="negative, anger, valence, …")] = "negative",
    by: Annotated[By, typer.Option(help="The length of a period.")] = By.DAY,
    group: Annotated[str | None, typer.Option(metavar="COLUMN,…", help="A series for each value of these.")] = None,
    name: Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="What the rows are called.")] = None,
    false_alarms: Annotated[str, typer.Option(metavar="RATE", help="False alarms a series may raise.")] = "1/month",
    threshold: Annotated[float | None, typer.Option(help="Threshold in place of a rate of false alarms.")] = None,
    baseline: Annotated[int, typer.Option(min=3, help="Periods from the start that are taken for normal.")] = 14,
    prefix: opt.Prefix = "predicted_",
    json: opt.Json = None,
    csv: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write a row a period; - is stdout.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw it (extra plot).")] = None,
) -> None:
    """Show a measure over time, by group, with 95 % intervals, change points and alerts.

    Ends with 4 where the last period of a series raises an alert.
    """
    from emofuse.pipeline.formats import dump
    from emofuse.pipeline.tables import read_table
    from emofuse.trends.alerts import alerts, periods_between
    from emofuse.trends.alerts import threshold as at_rate
    from emofuse.trends.report import Trend
    from emofuse.trends.series import Columns, series

    check_outputs([json, csv, plot], [table])
    if json == csv == "-":
        raise MediaError("--json - and --csv - both want stdout: write one of them to a file")
    if plot is not None:
        require_package("matplotlib", extra="plot")
    limit = at_rate(periods_between(false_alarms, by.value), baseline) if threshold is None else threshold
    columns = Columns(time, tuple(opt.listed(group) or ()), name)
    found = series(read_table(table)[1], of, by.value, columns, prefix=prefix)
    result = Trend(of, [(one, alerts(one, limit, baseline)) for one in found], limit)
    if json is not None:
        put(json, dump(result.to_dict()))
    if csv is not None:
        put(csv, _as_csv(result.rows()))
    if plot is not None:
        result.plot(plot)
    if "-" not in (json, csv):
        with written_to_stdout():
            _show(result)
    last = any(made and made[-1].at == len(one.bins) - 1 for one, made in result.found)
    raise typer.Exit(ALERTED if last else 0)


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv_module.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _show(result: Trend) -> None:
    from emofuse.trends.series import label

    for found, made in result.found:
        first, last = (label(found.bins[at].start, found.by) for at in (0, -1))
        counted = sum(one.count for one in found.bins)
        mean = sum(one.total for one in found.bins) / counted
        name = " ".join(found.group) or "all"
        typer.echo(f"{name}: {counted} rows, {first} to {last}, mean {result.of} {mean:.3f}, {len(made)} alert(s)")
    for alert in result.alerts():
        names = ", ".join(f"{item['name']} {item['value']:.2f}" for item in alert["items"])
        typer.echo(
            f"{alert['at']} {alert['group']}: {result.of} {alert['direction']} by {abs(alert['deviation']):.3f} "
            f"since {alert['since']} ({names})".replace(" :", ":")
        )
