"""`emofuse train` and `emofuse tune`: training runs and hyperparameter search from recipes."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options as opt
from emofuse.errors import require_package
from emofuse.files import check_output_folder


def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML file, for example recipes/emofuse-small/text.yaml.")],
    overrides: opt.Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last saved state.")] = False,
    limit: opt.LimitEach = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the recipe and print what a run would do.")] = False,
) -> None:
    """Train a model from a recipe.

    Prints the folder of its checkpoint.
    """
    require_package("accelerate", extra="train")
    from emofuse.training.recipe.read import load_recipe
    from emofuse.training.run import fit

    command = shlex.join(["emofuse", *sys.argv[1:]])
    folder = fit(load_recipe(recipe, overrides or ()), resume=resume, limit=limit, dry_run=dry_run, command=command)
    if not dry_run:
        typer.echo(folder)


def average(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The output folder.")],
    folders: Annotated[list[Path], typer.Argument(metavar="MODEL…", help="Checkpoints of one initialisation.")],
) -> None:
    """Average the weights of several checkpoints."""
    require_package("accelerate", extra="train")
    from emofuse.training.outcome.ensemble import average_checkpoints

    check_output_folder(out, folders)
    typer.echo(average_checkpoints(folders, out))


def tune(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML).")],
    space: Annotated[Path, typer.Option(help="Search space (YAML): optim.lr: {low: 1e-5, high: 1e-3, log: true}.")],
    overrides: opt.Overrides = None,
    trials: Annotated[int, typer.Option(min=1, help="Number of trials.")] = 20,
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="Stop trials that fall behind the median after an epoch.")
    ] = True,
    limit: opt.LimitEach = None,
) -> None:
    """Search hyperparameters of a recipe.

    An interrupted search goes on where it stopped.
    """
    require_package("optuna", extra="tune")
    require_package("accelerate", extra="train")
    from emofuse.training.recipe.read import load_recipe
    from emofuse.training.tune import load_space
    from emofuse.training.tune import tune as search

    command = shlex.join(["emofuse", *sys.argv[1:]])
    found = search(
        load_recipe(recipe, overrides or ()), trials, load_space(space), limit=limit, command=command, prune=prune
    )
    for name, value in found.values.items():
        typer.echo(f"{name}={value}")
    lost = [f"{n} {what}" for n, what in ((found.failed, "could not be run"), (found.pruned, "stopped early")) if n]
    failed = f" ({', '.join(lost)})" if lost else ""
    typer.echo(f"score {found.score:.4f} in {found.trials} trials{failed}; train {found.folder / 'best.yaml'}")
