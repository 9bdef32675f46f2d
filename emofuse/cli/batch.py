"""`emofuse batch`: many clips into a folder of Parquet parts, each exactly once, by whatever carries them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emofuse.cli import options as opt
from emofuse.cli.outputs import complain
from emofuse.cli.predict import SOME_FAILED
from emofuse.errors import DataError, nearest

if TYPE_CHECKING:
    from emofuse.batch_jobs.job import Job, JobOptions
    from emofuse.batch_jobs.status import Status

STOPPED = 130
"""Exit code after Ctrl-C or SIGTERM."""
HERE = "here"
"""What `--ray` without an address stands for."""


def batch(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT…",
            help="Clips, folders, patterns, addresses (s3://, gs://, https://), tables of them (csv, jsonl, parquet; "
            "columns media, text, transcript, start, end, id, …); or: status FOLDER.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The folder of the job.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the job in the folder.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes, or actors of Ray; 0: this process; default: a core each.")
    ] = None,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Do every N-th shard only, from the I-th on.")] = "1/1",
    ray: Annotated[
        str | None, typer.Option(metavar="[ADDRESS]", help="Let Ray carry the job, here or on a cluster (extra ray).")
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="Share of a GPU for each of Ray's actors.")] = 0.0,
    memory: Annotated[float, typer.Option(min=0.1, help="GiB of memory for each of Ray's actors.")] = 2.0,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="Also write csv, jsonl (all rows), json, srt, vtt (a file a clip); repeatable."),
    ] = None,
    embeddings: Annotated[bool, typer.Option("--embeddings", help="Keep the fused state of each segment.")] = False,
    json_progress: Annotated[bool, typer.Option("--json-progress", help="Progress as lines of JSON.")] = False,
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    device: opt.Device = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16 or int8.")] = "auto",
    asr: opt.Asr = "auto",
    language: opt.Language = None,
    channels: opt.Channels = None,
    speakers: opt.Speakers = None,
    only: opt.Only = None,
    acts: opt.Acts = None,
    rules: opt.RulesOption = None,
    labels: opt.Labels = None,
    sidecars: opt.Sidecars = True,
    batch_size: opt.BatchSize = 16,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each process's sums.")] = 1,
    attempts: Annotated[int, typer.Option(min=1, help="Set a clip aside that ends its process so often.")] = 2,
) -> None:
    """Analyse any number of clips into a folder: segments, clips and failures, each clip exactly once.

    The same command again, or --resume, does what is left, whatever ended it.
    """
    from emofuse.batch_jobs.run import require_extra

    require_extra()
    if inputs and inputs[0] == "status":
        _show_status(inputs[1:], json_progress)
        return
    from emofuse.batch_jobs.job import JobOptions
    from emofuse.batch_jobs.run import Carrier, carry, share

    if out is None:
        raise DataError("no folder to write to: emofuse batch INPUT… --out FOLDER")
    _check_formats(formats or [])
    given = JobOptions(
        model=model,
        device=device,
        precision=precision,
        asr=asr,
        language=language,
        channels=opt.listed(channels),
        speakers=opt.counted(speakers),
        only=opt.listed(only),
        acts=_read_acts(acts),
        rules=_read_rules(rules),
        labels=_read_labels(labels),
        batch_size=batch_size,
        threads=threads,
        attempts=attempts,
        embeddings=embeddings,
        formats=tuple(sorted(set(formats or ()))),
    )
    named = set(opt.named(context))
    carrier = Carrier(workers, share(shard), ray is not None, None if ray == HERE else ray, gpus, memory)
    job = _job(out, inputs or [], given, named if resume else None, sidecars)
    try:
        now = carry(job, carrier, as_json=json_progress)
    except KeyboardInterrupt:
        complain(f"stopped; nothing is lost, and this goes on: emofuse batch --resume --out {out}")
        raise typer.Exit(STOPPED) from None
    raise typer.Exit(_report(job, now, json_progress))


def _job(out: Path, inputs: list[str], given: JobOptions, named: set[str] | None, sidecars: bool) -> Job:
    """The job to run; `named`: the options on the command line of one that is gone on with (None: it may be new)."""
    from emofuse.batch_jobs.job import Job, check_same, model_fingerprint, other_versions
    from emofuse.batch_jobs.run import open_job

    if named is None and not inputs:
        raise DataError("nothing to analyse: emofuse batch INPUT… --out FOLDER, or --resume to go on with a job")
    if named is None or inputs:
        before = Job(out).options if named is not None else given
        options = _merged(before, given, named or set()) if named is not None else given
        job = open_job(out, inputs, options, sidecars=sidecars)
    else:
        job = Job(out)
        options = _merged(job.options, given, named)
        told: dict[str, object] = {"options": asdict(options)}
        if "model" in named:
            told["model"] = model_fingerprint(options.model)
        check_same(job, told)
    for difference in other_versions(job):
        complain(f"note: the job was begun with another version ({difference}): last digits may differ")
    return job


def _merged(before: JobOptions, given: JobOptions, named: set[str]) -> JobOptions:
    """What a job was begun with, and what is named anew."""
    changed = {name: value for name, value in vars(given).items() if name in named}
    if changed.get("precision") == "auto":
        del changed["precision"]
    return replace(before, **changed)


def _read_acts(path: Path | None) -> str | None:
    """The text of an acts file, checked under its own name. Raises DataError."""
    if path is None:
        return None
    from emofuse.media.transcript import read_text
    from emofuse.pipeline.conversation.acts import VALID, parse_acts

    text = read_text(path, VALID)
    parse_acts(text, str(path))
    return text


def _read_rules(path: Path | None) -> str | None:
    """The rules of a file with its lexicon, as one text. Raises DataError."""
    from emofuse.pipeline.rules import read_rules

    return None if path is None else read_rules(path).to_text()


def _read_labels(given: str | None) -> str | None:
    """Labels and their examples, as one text. Raises DataError."""
    from emofuse.pipeline.prototypes import labels_to_text, read_labels

    return None if given is None else labels_to_text(read_labels(opt.labels_of(given)))


def _check_formats(formats: list[str]) -> None:
    from emofuse.batch_jobs.job import FORMATS

    for name in formats:
        if name not in FORMATS:
            raise DataError(f"--format {name!r}: {nearest(name, FORMATS)}")


def _report(job: Job, now: Status, as_json: bool) -> int:
    """Where things are, on stdout; the exit code: 2 where all failed, 3 where some."""
    _show(job, now, as_json)
    return 0 if not now.failed else SOME_FAILED if now.failed < now.clips_done else 2


def _show_status(folders: list[str], as_json: bool) -> None:
    from emofuse.batch_jobs.job import Job
    from emofuse.batch_jobs.status import status

    if len(folders) != 1:
        raise DataError("status takes one folder of a job: emofuse batch status FOLDER")
    job = Job(Path(folders[0]))
    _show(job, status(job), as_json)


def _show(job: Job, now: Status, as_json: bool) -> None:
    from emofuse.batch_jobs.status import in_words

    sys.stdout.write((json.dumps(asdict(now)) if as_json else in_words(job, now)) + "\n")


def with_address(arguments: list[str]) -> list[str]:
    """The arguments of a command, with an address for a `--ray` that has none."""
    found = []
    for i, word in enumerate(arguments):
        found.append(word)
        following = arguments[i + 1] if i + 1 < len(arguments) else "-"
        if word == "--ray" and following.startswith("-"):
            found.append(HERE)
    return found
