"""`emofuse data`: checks, statistics and selection of training data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from emofuse.cli import options as opt
from emofuse.cli.clean import clean
from emofuse.cli.outputs import complain
from emofuse.errors import DataError, require_package

Words = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="TASK.WORD=CLASS",
        help="Your own word for a class, as in a recipe's labels: emotion.happy=joy; =null drops it.",
    ),
]
Unlabelled = Annotated[Path, typer.Argument(metavar="FILE", help="A manifest with unlabelled rows.")]
LabelColumn = Annotated[str, typer.Option(help="The label column.")]

data = typer.Typer(help="Check, count, clean, select and pseudo-label your own data.", rich_markup_mode=None)
data.command()(clean)


@data.command()
def check(
    manifest: Annotated[
        Path, typer.Argument(metavar="PATH", help="A CSV, JSONL or Parquet manifest, or the folder of a known corpus.")
    ],
    task: Annotated[
        list[str] | None, typer.Option(metavar="NAME=A,B", help="A custom label column and its classes.")
    ] = None,
    label: Words = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="A column that is no label.")] = None,
    corpus: opt.Corpus = "manifest",
    option: opt.Options = None,
) -> None:
    """List every row of a manifest that cannot be used, and how to fix it; exit code 2 if there are any.

    So is a column that training would ignore. With --corpus, what is wrong in the files of a known corpus.
    """
    from emofuse.corpora.manifest.reader import check_manifest
    from emofuse.corpora.registry import read

    if corpus == "manifest":
        problems = check_manifest(manifest, own_tasks(task or []), own_words(label or []), ignore or [])
    elif task or label or ignore:
        raise DataError("--task, --label and --ignore are of a manifest; leave them out with --corpus")
    else:
        found = read(corpus, manifest, **opt.read_options(option))
        problems = list(found.problems)
        for note in found.notes:
            typer.echo(f"note: {note}")
    for problem in problems:
        typer.echo(str(problem))
    if problems:
        raise typer.Exit(complain(f"{manifest} has {len(problems)} problem{'s' * (len(problems) > 1)}"))
    typer.echo(f"{manifest} is fine")


@data.command()
def stats(
    root: Annotated[Path, typer.Argument(metavar="PATH", help="A manifest, or the folder of a known corpus.")],
    corpus: opt.Corpus = "manifest",
    json: opt.Json = None,
    plot: Annotated[Path | None, typer.Option(metavar="PNG", help="Plot the counts.")] = None,
    label: Words = None,
) -> None:
    """Count utterances, speakers and hours by split, and labels by class."""
    from emofuse.corpora.registry import read
    from emofuse.corpora.stats import plot_statistics, statistics
    from emofuse.files import check_outputs

    check_outputs([json, plot], [root])
    if plot is not None:
        from emofuse.pipeline.timeline import check_ending

        require_package("matplotlib", extra="plot")
        check_ending(plot)
    options: dict[str, Any] = {"overrides": own_words(label)} if label else {}
    counted = statistics(read(corpus, root, **options).utterances)
    if json is not None:
        from emofuse.cli.outputs import put
        from emofuse.pipeline.formats import dump

        put(json, dump(counted.to_dict()))
    if plot is not None:
        plot_statistics(counted, plot)
    if json != "-":
        from emofuse.cli.table import show_statistics

        show_statistics(counted)


@data.command()
def shards(
    root: Annotated[Path, typer.Argument(metavar="PATH", help="A manifest, or the folder of a known corpus.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The output folder, for archives and their index.")],
    size: Annotated[str, typer.Option(metavar="SIZE", help="Size of an archive, about: 500MB, 2GB.")] = "500MB",
    corpus: opt.Corpus = "manifest",
    option: opt.Options = None,
) -> None:
    """Write a corpus into tar archives with an index, to train on as corpus `shards`, from this disk or an address.

    Sound is cut to its utterances; videos and pictures stay as they are. The archives are in WebDataset's layout.
    """
    require_package("soundfile", extra="torch")
    from emofuse.corpora.registry import read
    from emofuse.data.shards import write_shards
    from emofuse.files import check_output_folder

    size_in_bytes = bytes_of(size)
    check_output_folder(out, [root])
    reading = read(corpus, root, **opt.read_options(option))
    written = write_shards(reading.utterances, out, size_in_bytes)
    typer.echo(f"{len(written.rows)} utterances in {len(written.shards)} shards in {out}")
    for problem in reading.problems:
        typer.echo(str(problem), err=True)


@data.command()
def suggest(
    manifest: Unlabelled,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The output manifest, to be labelled.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Number of rows.")] = 50,
    by: Annotated[str, typer.Option(help="Acquisition function: entropy, margin or bald.")] = "entropy",
    task: LabelColumn = "emotion",
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    device: opt.Device = "auto",
) -> None:
    """Select the rows whose labels are most informative for a model (active learning)."""
    from typing import Any, cast

    from emofuse.files import check_outputs
    from emofuse.pipeline.pipeline import load

    require_package("torch", extra="torch")
    from emofuse.training.few_labels import suggest as choose

    check_outputs([out], [manifest])
    chosen = choose(load(model, device, backend="torch").model, manifest, out, by=cast(Any, by), n=n, task=task)
    typer.echo(f"{len(chosen)} rows to label in {out}")


@data.command()
def label(
    manifest: Unlabelled,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The output manifest, to train on.")],
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Minimum confidence of a pseudo-label.")] = 0.9,
    most: Annotated[int | None, typer.Option(min=1, help="Keep the N most confident rows per class.")] = None,
    soft: Annotated[bool, typer.Option("--soft", help="Write probabilities instead of the class.")] = False,
    task: LabelColumn = "emotion",
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    device: opt.Device = "auto",
) -> None:
    """Pseudo-label the rows that a model is confident of."""
    from emofuse.files import check_outputs
    from emofuse.pipeline.pipeline import load

    require_package("torch", extra="torch")
    from emofuse.training.few_labels import pseudo_label

    check_outputs([out], [manifest])
    found = pseudo_label(
        load(model, device, backend="torch").model, manifest, out, task=task, threshold=threshold, most=most, soft=soft
    )
    taken = ", ".join(f"{n} {name}" for name, n in found.taken.items()) or "none"
    typer.echo(f"{found.given} rows as they were, labelled: {taken}; {found.left} left out, in {out}")


def bytes_of(size: str) -> int:
    """Bytes of a size like 500MB or 2 GB. Raises `DataError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", size.strip().lower())
    if not found or not float(found[1]):
        raise DataError(f"--size {size!r} is no size: a number with KB, MB, GB or TB, as 500MB")
    return round(float(found[1]) * 1000 ** " kmgt".index(found[2] or " "))


def own_words(given: list[str]) -> dict[str, dict[str, str | None]]:
    """`TASK.WORD=CLASS` → {TASK: {WORD: CLASS}}; no class, or null = the word says nothing. Raises `DataError`."""
    words: dict[str, dict[str, str | None]] = {}
    for text in given:
        name, equals, target = text.rpartition("=")
        task, dot, word = name.partition(".")
        if not (equals and dot and task.strip() and word.strip()):
            raise DataError(f"--label {text!r} is not TASK.WORD=CLASS, as emotion.happy=joy is")
        words.setdefault(task.strip(), {})[word.strip()] = None if target.strip() in ("", "null") else target.strip()
    return words


def own_tasks(given: list[str]) -> dict[str, Sequence[str]]:
    """`NAME=A,B` → {NAME: [A, B]}; no classes = any number. Raises `DataError`."""
    tasks: dict[str, Sequence[str]] = {}
    for text in given:
        name, equals, classes = text.partition("=")
        if not name or not equals:
            raise DataError(f"--task {text!r} is not NAME=CLASS,CLASS (or NAME= for a column of numbers)")
        tasks[name] = [part.strip() for part in classes.split(",") if part.strip()]
    return tasks
