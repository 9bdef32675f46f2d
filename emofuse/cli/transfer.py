"""`emofuse transfer`: train on one corpus, measure on others."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emofuse.cli import options as opt
from emofuse.errors import DataError, nearest, require_package
from emofuse.files import check_output_folder

if TYPE_CHECKING:
    from emofuse.training.transfer import Abroad


def transfer(
    recipe: Annotated[Path, typer.Argument(help="A recipe of one corpus (YAML).")],
    on: Annotated[list[str], typer.Option(metavar="CORPUS:ROOT", help="Measure on this corpus; repeatable.")],
    overrides: opt.Overrides = None,
    split: opt.SplitName = "dev",
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="CORPUS.KEY=VALUE", help="Option of a corpus reader, e.g. meld.clips=false; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the tables here; default: the run's folder.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on, or measure runs that are finished.")] = False,
    limit: opt.LimitEach = None,
) -> None:
    """Train a recipe on its corpus, over its seeds, and measure it on other corpora over the labels they share.

    Writes transfer.html, .md, .csv and .json, with intervals.
    """
    require_package("accelerate", extra="train")
    from emofuse.evaluation.report.transfer import markdown, write
    from emofuse.training.recipe.read import load_recipe
    from emofuse.training.transfer import transfer as run

    read = load_recipe(recipe, overrides or ())
    folder = out or read.folder
    check_output_folder(folder, [recipe])
    command = shlex.join(["emofuse", *sys.argv[1:]])
    corpora, where = corpora_of(on, option or []), opt.split_named(split)
    found = run(read, corpora, split=where, limit=limit, resume=resume, command=command)
    write(found, folder)
    typer.echo(markdown(found))
    typer.echo(f"tables in {folder}")


def corpora_of(on: list[str], options: list[str]) -> list[Abroad]:
    """`meld:FOLDER` and `meld.clips=false` → corpora with their options. Raises `DataError`."""
    from emofuse.training.transfer import Abroad

    roots: dict[str, str] = {}
    for text in on:
        corpus, colon, root = text.partition(":")
        if not corpus or not colon or not root or corpus in roots:
            raise DataError(f"--on {text!r} is not CORPUS:ROOT, each corpus once, for example meld:data/meld")
        roots[corpus] = root
    given: dict[str, list[str]] = {corpus: [] for corpus in roots}
    for text in options:
        corpus, dot, rest = text.partition(".")
        if not dot or corpus not in given:
            raise DataError(f"--option {text!r} is not CORPUS.KEY=VALUE of a corpus of --on; {nearest(corpus, given)}")
        given[corpus].append(rest)
    return [Abroad(corpus, root, opt.read_options(given[corpus])) for corpus, root in roots.items()]
