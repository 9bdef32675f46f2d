"""`emofuse evaluate`: how good a model is on a split of a corpus, and how it bears what goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emofuse.errors import DataError

if TYPE_CHECKING:
    from emofuse.model.model import EmotionModel
    from emofuse.types import Split


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A shipped model, a folder, or a hub id.")],
    corpus: Annotated[str, typer.Option(help="Whose layout the data have: ravdess, meld, …, manifest.")],
    root: Annotated[Path, typer.Option(help="The corpus's folder; for a manifest, the file.")],
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "dev",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the reports: HTML, Markdown and JSON.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many utterances, spread evenly.")] = None,
    stress: Annotated[bool, typer.Option("--stress", help="Noise, blur, typos, …: the metric against each.")] = False,
    compare: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="An earlier evaluation's reports, to compare with.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Measure a model on a split of a corpus.

    With intervals, by subset of modalities and by group; with --stress, under noise, blur, typos and the like.
    """
    if split not in ("train", "dev", "test"):
        raise DataError(f"no split {split!r}; valid: train, dev, test")
    from emofuse.pipeline.inference import load

    pipeline = load(model, device)
    if stress:
        _stress(pipeline.model, pipeline.name, corpus, root, split, out, limit)
    else:
        _evaluate(pipeline.model, pipeline.name, corpus, root, split, out, limit, compare)


def _evaluate(
    model: EmotionModel,
    name: str,
    corpus: str,
    root: Path,
    split: Split,
    out: Path | None,
    limit: int | None,
    earlier: Path | None,
) -> None:
    """A line a task on stdout, reports in `out`."""
    from emofuse.evaluation.compare import compare, to_text
    from emofuse.evaluation.evaluate import evaluate_checkpoint
    from emofuse.pipeline.progress import bar

    with bar(1.0, show=True) as report:
        found = evaluate_checkpoint(
            model, corpus, root, split, out, limit=limit, name=name,
            progress=lambda done, total: report(done / max(total, 1), f"{corpus} {split}"),
        )  # fmt: skip
    for task, measured in found.tasks.items():
        band = measured.intervals[measured.leading]
        typer.echo(
            f"{task}: {measured.leading} {band.estimate:.3f} "
            f"({band.level:.0%} interval {band.low:.3f} to {band.high:.3f}), {measured.report['n']} samples"
        )
    for note in found.notes:
        typer.echo(f"note: {note}")
    if earlier is not None:
        typer.echo(to_text(compare(found, earlier), (name, earlier.name)))
    if out is not None:
        typer.echo(f"reports in {out}")


def _stress(
    model: EmotionModel, name: str, corpus: str, root: Path, split: Split, out: Path | None, limit: int | None
) -> None:
    """The table of perturbations on stdout, reports in `out`."""
    from emofuse.evaluation.stress import markdown, stress_checkpoint
    from emofuse.pipeline.progress import bar

    with bar(1.0, show=True) as report:
        found = stress_checkpoint(
            model, corpus, root, split, out, limit=limit, name=name, progress=lambda what: report(0.0, what)
        )
    typer.echo(markdown(found))
