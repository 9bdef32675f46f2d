"""`emofuse review`: what of a batch somebody should look at, as a manifest to fill in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli.options import Acts, RulesOption
from emofuse.errors import DataError


def review(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that emofuse batch wrote.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The queue: .csv or .jsonl.")],
    coverage: Annotated[float, typer.Option(help="Coverage at which the model abstains or does not.")] = 0.9,
    acts: Acts = None,
    rules: RulesOption = None,
    most: Annotated[int | None, typer.Option(min=1, help="Keep the N least sure.")] = None,
) -> None:
    """Queue what the model abstains on, what is unlike its training, and where an act fires or a rule holds.

    The queue is a manifest: fill in the column emotion, and emofuse adapt learns from it.
    """
    from emofuse.batch_jobs.run import require_extra
    from emofuse.files import check_outputs

    require_extra()
    from emofuse.batch_jobs.review import write_queue
    from emofuse.pipeline.conversation.acts import read_acts
    from emofuse.pipeline.rules import read_rules

    if not 0 < coverage < 1:
        raise DataError(f"--coverage {coverage:g} is not between 0 and 1; 0.9 promises nine of ten")
    check_outputs([out], [acts, rules])
    found = write_queue(folder, out, coverage=coverage, acts=read_acts(acts or ()), rules=read_rules(rules), most=most)
    typer.echo(f"{found.rows} of {found.looked_at} segments in {out}")
    for why, count in sorted(found.why.items(), key=lambda item: -item[1]):
        typer.echo(f"{why}: {count}")
    if found.unreachable:
        typer.echo(
            f"note: {found.unreachable} more are of addresses, which a manifest cannot hold; fetch the files first"
        )
