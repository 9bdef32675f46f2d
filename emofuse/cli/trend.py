"""`emofuse trend`: a measure over time, when it changed, and alerts."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emofuse.cli import options as opt
from emofuse.cli.outputs import as_csv, complain, put, written_to_stdout
from emofuse.errors import DataError, MediaError, require_package
from emofuse.files import check_outputs, write_file

if TYPE_CHECKING:
    from emofuse.trends.report import Trend
    from emofuse.trends.series import Gathered

ALERTED = 4
"""Exit code where there is an alert in the last period."""


class By(StrEnum):
    """Periods."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    TURN = "turn"


@dataclass(frozen=True)
class Hook:
    """Where alerts are posted, and where those are kept that were not taken."""

    url: str
    of: str
    undelivered: Path

    def check(self) -> None:
        """Raises `DataError` for what is no address."""
        from emofuse.trends.webhook import check_address

        check_address(self.url)

    def post(self, found: list[dict[str, Any]]) -> None:
        """Each alert to the address; one that is not taken is a line on stderr and one of the file."""
        from emofuse.trends.webhook import keep, post

        for alert in found:
            try:
                post(self.url, self.of, alert)
            except DataError as error:
                keep(self.undelivered, self.of, alert, str(error))
                complain(f"{error}; it is kept in {str(self.undelivered)!r}")


@dataclass(frozen=True)
class Targets:
    """Where a trend goes."""

    json: str | None
    csv: str | None
    """A path, or "-" for stdout."""
    html: Path | None
    plot: Path | None

    def check(self, inputs: list[Path | None], hook: Hook | None) -> None:
        """Find out before the work what could not or must not be written after it."""
        kept = None
        if hook is not None:
            hook.check()
            kept = hook.undelivered
        check_outputs([self.json, self.csv, self.html, self.plot, kept], inputs)
        if self.json == self.csv == "-":
            raise MediaError("--json - and --csv - both want stdout: write one of them to a file")
        if self.plot is not None or self.html is not None:
            require_package("matplotlib", extra="plot")
        if self.plot is not None:
            from emofuse.pipeline.timeline import check_ending

            check_ending(self.plot)

    def write(self, found: Trend) -> None:
        """Each that was asked for."""
        from emofuse.pipeline.formats import dump

        if self.json is not None:
            put(self.json, dump(found.to_dict()))
        if self.csv is not None:
            put(self.csv, as_csv(found.rows()))
        if self.html is not None:
            write_file(self.html, found.to_html())
        if self.plot is not None:
            found.plot(self.plot)


def trend(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="Predictions with a time: csv, tsv, jsonl, parquet, a batch folder, or - for JSONL on stdin.",
        ),
    ],
    time: Annotated[str, typer.Option(metavar="COLUMN", help="The column of the time: ISO 8601, or seconds.")],
    of: Annotated[str, typer.Option(metavar="MEASURE", help="negative, anger, valence, …")] = "negative",
    by: Annotated[By, typer.Option(help="The length of a period.")] = By.DAY,
    group: Annotated[str | None, typer.Option(metavar="COLUMN,…", help="A series for each value of these.")] = None,
    name: Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="What the rows are called.")] = None,
    false_alarms: Annotated[str, typer.Option(metavar="RATE", help="False alarms a series may raise.")] = "1/month",
    threshold: Annotated[float | None, typer.Option(help="Threshold in place of a rate of false alarms.")] = None,
    baseline: Annotated[int, typer.Option(min=3, help="Periods from the start that are taken for normal.")] = 14,
    prefix: opt.Prefix = "predicted_",
    against: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="An index over time, with which the series are correlated.")
    ] = None,
    against_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Its column; default: the first beside the time.")
    ] = None,
    lags: Annotated[int, typer.Option(min=0, help="Periods by which the one may follow the other.")] = 7,
    watch: Annotated[
        float | None, typer.Option(min=0.01, metavar="SECONDS", help="Look again so often at what grows; Ctrl-C ends.")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Post each new alert there as JSON: names of rows, no content.")
    ] = None,
    undelivered: Annotated[
        Path, typer.Option(metavar="JSONL", help="Append alerts here that the webhook did not take in five tries.")
    ] = Path("undelivered.jsonl"),
    json: opt.Json = None,
    csv: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write a row a period; - is stdout.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="HTML", help="Write a page with the chart.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw it (extra plot).")] = None,
) -> None:
    """Show a measure over time, by group, with 95 % intervals, change points and alerts.

    Ends with 4 where the last period of a series raises an alert.
    """
    from emofuse.trends.alerts import periods_between
    from emofuse.trends.alerts import threshold as at_rate
    from emofuse.trends.series import Columns, Gathered

    targets = Targets(json, csv, html, plot)
    hook = None if webhook is None else Hook(webhook, of, undelivered)
    targets.check([table, against], hook)
    limit = at_rate(periods_between(false_alarms, by.value), baseline) if threshold is None else threshold
    columns = Columns(time, tuple(opt.listed(group) or ()), name or ("id" if table.is_dir() else None))
    gathered = Gathered(of, by.value, columns, prefix)
    compare = _comparison(against, against_column, time, by, lags, watch is not None)
    if watch is not None:
        _watch(table, watch, gathered, limit, baseline, targets, hook, compare)
        return
    result = compare(_of_all(table, gathered, limit, baseline))
    targets.write(result)
    if "-" not in (json, csv):
        with written_to_stdout():
            _show(result)
    if hook is not None:
        hook.post(result.latest())
    raise typer.Exit(ALERTED if result.latest() else 0)


def _of_all(table: Path, gathered: Gathered, limit: float, baseline: int) -> Trend:
    """The trend of all rows there are. Raises `DataError` where there are none, or a series is short."""
    from emofuse.pipeline.collected import read_rows
    from emofuse.trends.alerts import alerts
    from emofuse.trends.report import Trend
    from emofuse.trends.watch import growing, to_the_end

    for row in to_the_end(growing(table)) if str(table) == "-" else read_rows(table, "segments"):
        gathered.add(row)
    return Trend(gathered.of, [(one, alerts(one, limit, baseline)) for one in gathered.needed()], limit)


def _comparison(
    path: Path | None, column: str | None, time: str, by: By, lags: int, grows: bool
) -> Callable[[Trend], Trend]:
    """What adds the correlations with an index to a trend; of one that `grows`, of the series that are long enough."""
    if path is None:
        return lambda found: found
    from emofuse.pipeline.tables import read_table
    from emofuse.trends.against import Correlation, TooShortError, against, read_index

    index = read_index(read_table(path)[1], time, column, by.value)

    def compared(found: Trend) -> Trend:
        told: list[Correlation] = []
        for one, _ in found.found:
            with suppress(TooShortError) if grows else nullcontext():  # it may be long enough at a later look
                told.append(against(one, index, lags))
        return replace(found, correlations=tuple(told))

    return compared


def _watch(
    table: Path,
    seconds: float,
    gathered: Gathered,
    limit: float,
    baseline: int,
    targets: Targets,
    hook: Hook | None,
    compare: Callable[[Trend], Trend],
) -> None:
    """Tell each alert once as the rows come, of those that are there already only the latest; write at every look."""
    from emofuse.trends.watch import following, growing

    try:
        for found, fresh in following(growing(table), gathered, limit, baseline, seconds, clock.sleep):
            if found is not None:
                targets.write(compare(found))
            for alert in fresh if "-" not in (targets.json, targets.csv) else ():
                with written_to_stdout():
                    typer.echo(_line(gathered.of, alert))
            if hook is not None:
                hook.post(fresh)
    except KeyboardInterrupt:
        return


def _show(result: Trend) -> None:
    from emofuse.trends.series import label

    for found, made in result.found:
        first, last = (label(found.bins[at].start, found.by) for at in (0, -1))
        counted = sum(one.count for one in found.bins)
        mean = sum(one.total for one in found.bins) / counted
        name = " ".join(found.group) or "all"
        typer.echo(f"{name}: {counted} rows, {first} to {last}, mean {result.of} {mean:.3f}, {len(made)} alert(s)")
    for alert in result.alerts():
        typer.echo(_line(result.of, alert))
    for one in result.correlations:
        typer.echo(one.sentence())


def _line(of: str, alert: Mapping[str, Any]) -> str:
    names = ", ".join(f"{item['name']} {item['value']:.2f}" for item in alert["items"])
    who = f"{alert['at']} {alert['group']}".rstrip()
    return f"{who}: {of} {alert['direction']} by {abs(alert['deviation']):.3f} since {alert['since']} ({names})"
