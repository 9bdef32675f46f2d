"""`emofuse drift`: how far the predictions of one batch are from those of another, or from a model's reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options as opt
from emofuse.errors import CheckpointError, DataError

FOUND = 3
"""Exit code where --fail was given and something has drifted."""


def drift(
    before: Annotated[Path, typer.Argument(metavar="OUT_A", help="A folder that emofuse batch wrote.")],
    after: Annotated[
        Path | None, typer.Argument(metavar="OUT_B", help="A later one; default: OUT_A against the model's reference.")
    ] = None,
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    store: Annotated[
        Path | None, typer.Option(metavar="CHECKPOINT", help="Write OUT_A as the reference of this model folder.")
    ] = None,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 3 where something has drifted.")] = False,
) -> None:
    """Compare the distributions of predictions: the population stability index (PSI) of each value.

    Above 0.2, and three times what chance gives for so many predictions, a value is called drifted.
    """
    if store is not None and (after is not None or fail):
        raise DataError("--store writes OUT_A as the reference and compares nothing; leave OUT_B and --fail out")
    from rich.console import Console
    from rich.table import Table

    from emofuse.model.folder import locate, read_config
    from emofuse.pipeline.drift import Reference, batch_rows

    if store is not None:
        read_config(store)
        typer.echo(Reference.of(batch_rows(before)).save(store))
        return
    reference = Reference.of(batch_rows(before)) if after is not None else Reference.load(locate(model))
    if reference is None:
        raise CheckpointError(
            f"{model} holds no reference of drift (drift.json); give a second folder to compare with, or write one: "
            "emofuse drift OUT_OF_DEVELOPMENT_DATA --store CHECKPOINT"
        )
    table = Table(box=None, pad_edge=False)
    for heading in ("value", "PSI", "by chance", "before", "after", ""):
        table.add_column(heading, justify="left" if heading in ("value", "") else "right")
    found = reference.against(batch_rows(after if after is not None else before))
    for each in found:
        shown = (f"{each.psi:.3f}", f"{each.chance:.3f}", str(each.expected), str(each.actual))
        table.add_row(each.feature, *shown, "drifted" if each.drifted else "")
    Console().print(table, highlight=False, markup=False)
    if fail and any(each.drifted for each in found):
        raise typer.Exit(FOUND)
