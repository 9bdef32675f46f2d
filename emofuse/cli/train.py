"""`emofuse train`: a recipe in, a checkpoint folder out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from emofuse.errors import require_package


def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML file, for example recipes/emofuse-small/text.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Laid over the recipe: root=DIR optim.lr=1e-4.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from an interrupted run's last state.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many utterances a source and split.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done.")] = False,
) -> None:
    """Train a model as a recipe says, and print the folder of its checkpoint."""
    require_package("accelerate", extra="train")
    from emofuse.training.fit import fit
    from emofuse.training.recipe import load_recipe

    command = shlex.join(["emofuse", *sys.argv[1:]])
    folder = fit(load_recipe(recipe, overrides or ()), resume=resume, limit=limit, dry_run=dry_run, command=command)
    if not dry_run:
        typer.echo(folder)
