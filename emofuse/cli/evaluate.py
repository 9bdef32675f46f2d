"""`emofuse evaluate`: metrics of a model on a corpus split, and robustness to corrupted input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emofuse.cli import options as opt
from emofuse.errors import DataError, check_coverage, require_package
from emofuse.files import check_output_folder

if TYPE_CHECKING:
    from emofuse.modalities import Modality
    from emofuse.model.model import EmotionModel

FAILED = 3
"""Exit code where a rule of --gate does not hold."""


def evaluate(
    model: opt.ModelArgument,
    corpus: opt.Corpus,
    root: opt.Root,
    split: opt.SplitName = "dev",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write reports to this folder: HTML, Markdown and JSON.")
    ] = None,
    option: opt.Options = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(metavar="MODALITY=CORPUS:ROOT", help="Take a modality from another corpus, matched by class."),
    ] = None,
    limit: opt.Limit = None,
    coverage: Annotated[float, typer.Option(help="Coverage of prediction sets.")] = 0.9,
    stress: Annotated[
        bool, typer.Option("--stress", help="Robustness to corrupted input: noise, blur, typos, …")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="With --stress: only this perturbation; repeatable.")
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RATE|PATTERN",
            help="Scores with modalities missing: 0.3 at random over ten seeds, rates (0.1 to 0.7), or only what is "
            "left: text, speech+face; repeatable.",
        ),
    ] = None,
    task: Annotated[str, typer.Option(help="With --stress or --missing: the task that is scored.")] = "emotion",
    compare: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Report folder of an earlier evaluation to compare with.")
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="max_gap=0.1",
            help="Exit with 3 where the leading metric of two groups differs by more; max_gap.sex=0.1 for one kind of "
            "group; repeatable.",
        ),
    ] = None,
    device: opt.Device = "auto",
) -> None:
    """Evaluate a model on a split of a corpus.

    With intervals, by subset of modalities and by group; with --stress, under noise, blur, typos and the like, on 200
    utterances unless --limit says how many.
    """
    what: dict[str, Any] = {"corpus": corpus, "root": root, "split": opt.split_named(split)}
    check_coverage(coverage, "--coverage")
    if out is not None:
        check_output_folder(out, [compare])
    require_package("torch", extra="torch")
    from emofuse.evaluation.gate import read_rules

    rules = read_rules(gate or ())
    if rules and stress:
        raise DataError("--gate is of an evaluation as it is; leave --stress out")
    if stress and compare:
        raise DataError("--stress is a table of its own; leave --compare out, or compare an evaluation as it is")
    if only and not stress:
        raise DataError("--only names what is measured under --stress; give --stress too, or leave it out")
    if missing and (stress or rules or compare):
        raise DataError("--missing is a table of its own; leave --stress, --gate and --compare out")
    what |= {"options": opt.read_options(option), "pairs": read_pairs(pair)}
    from emofuse.pipeline.pipeline import load

    pipeline = load(model, device, backend="torch")
    what |= {"name": pipeline.name}
    if missing:
        _missing(pipeline.model, what | {"limit": limit}, missing, task, out)
    elif stress:
        what |= {"only": only or None, "task": task} | ({"limit": limit} if limit else {})
        _stress(pipeline.model, what, out)
    else:
        what |= {"limit": limit, "coverage": coverage, "folder": pipeline.folder}
        _evaluate(pipeline.model, what, out, compare, rules)


def read_pairs(given: list[str] | None) -> dict[Modality, tuple[str, str]]:
    """`face=ferplus:FOLDER` → {"face": ("ferplus", "FOLDER")}. Raises `DataError`."""
    from emofuse.encoders.registry import known_modalities

    known = known_modalities()
    pairs: dict[Modality, tuple[str, str]] = {}
    for text in given or []:
        modality, equals, rest = text.partition("=")
        corpus, colon, root = rest.partition(":")
        if modality not in known or not equals or not colon or not corpus or not root:
            raise DataError(
                f"--pair {text!r} is not MODALITY=CORPUS:ROOT, for example face=ferplus:data/ferplus; "
                f"modalities: {', '.join(known)}"
            )
        pairs[modality] = (corpus, root)
    return pairs


def _evaluate(
    model: EmotionModel, what: dict[str, Any], out: Path | None, earlier: Path | None, rules: Mapping[str, float]
) -> None:
    """A line a task on stdout, reports in `out`; exit code FAILED where a rule of the gate does not hold."""
    from emofuse.evaluation.compare import compare, to_text
    from emofuse.evaluation.evaluate import evaluate_checkpoint
    from emofuse.evaluation.gate import judge
    from emofuse.evaluation.provenance import sentence
    from emofuse.evaluation.report.page import write
    from emofuse.pipeline.progress import bar

    label = f"{what['corpus']} {what['split']}"
    with bar(1.0, show=True) as report:
        found = evaluate_checkpoint(model, **what, progress=lambda done, total: report(done / max(total, 1), label))
    if out is not None:
        write(found, out)
    for task, measured in found.tasks.items():
        band = measured.intervals[measured.leading]
        typer.echo(
            f"{task}: {measured.leading} {band.estimate:.3f} "
            f"({band.level:.0%} interval {band.low:.3f} to {band.high:.3f}), {measured.report['n']} samples"
        )
    typer.echo(sentence(found.protocol))
    for note in found.notes:
        typer.echo(f"note: {note}")
    if earlier is not None:
        typer.echo(to_text(compare(earlier, found), (earlier.name, what["name"])))
    if out is not None:
        typer.echo(f"reports in {out}")
    verdicts = judge(found, rules)
    for verdict in verdicts:
        typer.echo(str(verdict))
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(FAILED)


def _stress(model: EmotionModel, what: dict[str, Any], out: Path | None) -> None:
    """The table of perturbations on stdout, reports in `out`."""
    from emofuse.evaluation.report.stress import markdown, write
    from emofuse.evaluation.stress import stress_checkpoint
    from emofuse.pipeline.progress import bar

    with bar(1.0, show=True) as report:
        found = stress_checkpoint(model, **what, progress=lambda name: report(0.0, name))
    if out is not None:
        write(found, out)
    typer.echo(markdown(found))


def _missing(model: EmotionModel, what: dict[str, Any], conditions: list[str], task: str, out: Path | None) -> None:
    """The table of conditions on stdout, reports in `out`."""
    from emofuse.evaluation.evaluate import read_evaluation
    from emofuse.evaluation.missing import missing, read_conditions
    from emofuse.evaluation.report.missing import markdown, write
    from emofuse.modalities import ordered

    read_conditions(conditions, ordered(model.modalities))
    samples, protocol = read_evaluation(model, **what)
    found = missing(model, samples, conditions, task=task, corpus=what["corpus"], protocol=protocol)
    if out is not None:
        write(found, out)
    typer.echo(markdown(found))
