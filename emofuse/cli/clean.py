"""`emofuse data clean`: labels that are likely wrong, and near duplicates."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emofuse.cli import options as opt
from emofuse.errors import DataError, nearest, require_package
from emofuse.files import check_outputs

if TYPE_CHECKING:
    from emofuse.corpora.corpus import Reading
    from emofuse.tasks import Task
    from emofuse.training.cleaning.clean import Labels, Suspect


def clean(
    root: Annotated[Path, typer.Argument(metavar="PATH", help="A manifest, or the folder of a known corpus.")],
    corpus: opt.Corpus = "manifest",
    suspects: Annotated[Path | None, typer.Option(metavar="CSV", help="Write a row a suspect.")] = None,
    cleaned: Annotated[
        Path | None,
        typer.Option(metavar="CSV|JSONL", help="Write a manifest without the suspects of the train split."),
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="label|duplicate", help="Look for these alone.")] = None,
    task: Annotated[str, typer.Option(help="The task whose labels are looked at.")] = "emotion",
    model: Annotated[
        str, typer.Option(metavar="MODEL|RECIPE", help="Whose encoders a probe reads; best ones that never saw PATH.")
    ] = opt.DEFAULT_MODEL,
    most: Annotated[
        int | None, typer.Option(min=1, help="Suspect at most N labels, those that the probe believes least.")
    ] = None,
    similarity: Annotated[float, typer.Option(min=0.5, max=1, help="From which texts count as copies.")] = 0.8,
    folds: Annotated[int, typer.Option(min=2, help="Folds by speaker or dialogue that the probe is fitted over.")] = 5,
    trial: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.5, help="Change this share of labels and say how many of them are found."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and of --trial.")] = 0,
    limit: opt.Limit = None,
    option: opt.Options = None,
) -> None:
    """List labels that are likely wrong, by confident learning, and near duplicates; the input stays as it is.

    Labels of the train split alone are looked at, copies in every split.
    """
    from emofuse.corpora.registry import read
    from emofuse.training.cleaning.clean import KINDS, copies, task_named, write_cleaned, write_suspects

    if only is not None and only not in KINDS:
        raise DataError(f"--only {only!r}; {nearest(only, KINDS)}")
    if trial is not None and (suspects is not None or cleaned is not None):
        raise DataError(
            "--trial changes labels to say how many are found, and writes nothing; leave --suspects and --cleaned out"
        )
    check_outputs([suspects, cleaned], [root])
    if cleaned is not None and cleaned.suffix.lower() not in (".csv", ".jsonl"):
        raise DataError(f"a manifest is written as .csv or .jsonl, not {cleaned.name!r}")
    asked, reading = task_named(task), read(corpus, root, **opt.read_options(option))
    found: list[Suspect] = []
    if only != "duplicate":
        labels = _labels(model, reading, asked, {"folds": folds, "seed": seed, "limit": limit})
        if trial is not None:
            return _tell(labels, trial)
        found += labels.suspects(most)
        _doubt(len(found), len(labels.labels))
    elif trial is not None:
        raise DataError("--trial is of labels; leave --only duplicate out")
    if only != "label":
        found += copies(reading.utterances, similarity)
    _show(found, reading)
    if suspects is not None:
        typer.echo(f"suspects in {write_suspects(found, suspects)}")
    if cleaned is not None:
        gone, emptied = write_cleaned(reading, found, cleaned, asked)
        turns = f", {emptied} turns of dialogues kept without labels" if emptied else ""
        typer.echo(f"{len(reading.utterances) - gone} rows in {cleaned}: {gone} left out{turns}")
    return None


def _labels(model: str, reading: Reading, task: Task, how: dict[str, Any]) -> Labels:
    require_package("accelerate", extra="train")
    from emofuse.pipeline.progress import bar
    from emofuse.training.cleaning.clean import Labels, model_of

    network, learnt = model_of(model)
    if reading.corpus in learnt:
        typer.echo(f"note: {model} was trained on {reading.corpus}, and believes its labels; give another --model")
    with bar(1.0, show=True) as report:
        return Labels(
            network, reading.utterances, task, **how, progress=lambda done, total: report(done / total, reading.corpus)
        )


def _tell(labels: Labels, share: float) -> None:
    found = labels.trial(share)
    typer.echo(
        f"{found.changed} of {len(labels.labels)} labels changed, {found.suspected} suspected, {found.hits} of these "
        f"changed: precision {found.precision:.3f} (by chance {share:.3f}), recall {found.recall:.3f}; "
        f"of the {found.changed} least believed, {found.first / max(1, found.changed):.3f} were"
    )


def _doubt(suspected: int, rows: int) -> None:
    from emofuse.training.cleaning.clean import MANY

    if suspected > MANY * rows:
        typer.echo(
            f"note: {suspected} of {rows} labels are suspected: the probe knows too little of this task to say; "
            "look at the first of them alone (--most), or give a --model that knows more"
        )


def _show(found: list[Suspect], reading: Reading) -> None:
    counts = Counter((s.kind, s.utterance.split) for s in found)
    rows = Counter(u.split for u in reading.utterances)
    for (kind, split), n in sorted(counts.items()):
        typer.echo(f"{kind}: {n} of {rows[split]} {split} rows")
    across = sum(s.kind == "duplicate" and s.utterance.split != s.found["other_split"] for s in found)
    if across:
        typer.echo(f"{across} copies stand in two splits")
    if not found:
        typer.echo("no suspects")
