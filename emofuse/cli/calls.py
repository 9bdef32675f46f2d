"""`emofuse calls`: many calls by group, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emofuse.cli import options as opt
from emofuse.cli.outputs import as_csv, put, written_to_stdout
from emofuse.errors import DataError, MediaError
from emofuse.files import check_outputs

if TYPE_CHECKING:
    from emofuse.pipeline.calls import Group


def calls(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that emofuse batch wrote, with speakers.")],
    by: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Group by this column of the items; never by who is at work.")
    ] = None,
    speaker: Annotated[str, typer.Option(metavar="NAME", help="Whose course is told.")] = "customer",
    of: Annotated[str, typer.Option(metavar="MEASURE", help="A measure of which more is worse.")] = "negative",
    json: opt.Json = None,
    csv: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write a row a group; - is stdout.")] = None,
) -> None:
    """Show how customers fare in many calls: start, worst, end, recovery, by group with 95 % intervals over calls.

    Groups stand in the order of their names, those of fewer than 20 calls together; people are not compared.
    """
    check_outputs([json, csv], [out])
    if json == csv == "-":
        raise MediaError("--json - and --csv - both want stdout: write one of them to a file")
    from emofuse.pipeline.calls import by_group
    from emofuse.pipeline.calls import calls as found_in
    from emofuse.pipeline.collected import is_job, read_rows
    from emofuse.pipeline.formats import dump

    if not is_job(out):
        raise DataError(f"{str(out)!r} is no folder that emofuse batch wrote (with clips/ and segments/)")
    found = by_group(found_in(read_rows(out, "segments"), speaker, by, of))
    rows = [group.to_dict() for group in found]
    if json is not None:
        put(json, dump({"speaker": speaker, "of": of, "by": by, "groups": rows}))
    if csv is not None:
        names = {name: None for row in rows for name in row}
        put(csv, as_csv([names | row for row in rows]))
    if "-" not in (json, csv):
        with written_to_stdout():
            _show(found, speaker, of)


def _show(found: list[Group], speaker: str, of: str) -> None:
    from emofuse.cli.table import show_rows
    from emofuse.pipeline.calls import NUMBERS

    there = [name for name in NUMBERS if any(name in group.means for group in found)]
    typer.echo(
        f"{of} of the {speaker}, means of calls; as a model rates what is expressed, no measure of anybody's work"
    )
    cells = [
        [group.name, str(group.calls)]
        + [f"{m.value:.2f} ({m.low:.2f}–{m.high:.2f})" if (m := group.means.get(name)) else "" for name in there]
        for group in found
    ]
    show_rows(("group", "calls", *there), cells)
