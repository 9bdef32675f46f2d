"""`emofuse predict`: predictions for clips and texts, as a table or as files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from emofuse.cli import options as opt
from emofuse.cli.growing import check_parts, written
from emofuse.cli.outputs import Outputs, complain, put, written_to_stdout
from emofuse.cli.tables import TableJob, check_options
from emofuse.errors import EmofuseError, MediaError, check_coverage

if TYPE_CHECKING:
    from emofuse.media.memory import MemoryFile
    from emofuse.pipeline.analysis import Analysis
    from emofuse.pipeline.pipeline import Pipeline

SOME_FAILED = 3
"""Exit code where some clips were analysed and others could not be read."""


def predict(
    call: typer.Context,
    clips: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CLIP…", help="Videos, recordings, pictures, texts, or folders of them; - is stdin."),
    ] = None,
    text: opt.Text = None,
    transcript: opt.Transcript = None,
    json: opt.Json = None,
    csv: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write a CSV table; - is stdout.")] = None,
    srt: Annotated[Path | None, typer.Option(metavar="PATH", help="Write SubRip captions.")] = None,
    vtt: Annotated[Path | None, typer.Option(metavar="PATH", help="Write WebVTT captions.")] = None,
    rttm: Annotated[Path | None, typer.Option(metavar="PATH", help="Write who speaks when, as RTTM.")] = None,
    textgrid: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write a Praat TextGrid (extra annotate).")
    ] = None,
    eaf: Annotated[Path | None, typer.Option(metavar="PATH", help="Write an ELAN document (extra annotate).")] = None,
    render: Annotated[
        Path | None, typer.Option(metavar="MP4", help="Write the video again with its labels and frames about faces.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Write the report of a call whose speakers are known.")
    ] = None,
    blur: Annotated[bool, typer.Option("--blur", help="Blur the faces in what --render writes.")] = False,
    seconds: Annotated[str | None, typer.Option(metavar="PATH|-", help="Write a CSV with a row a second.")] = None,
    step: Annotated[
        float, typer.Option(metavar="SECONDS", help="With --seconds: a row so often; 0.04 is a frame of 25 a second.")
    ] = 1.0,
    plot: Annotated[Path | None, typer.Option(metavar="PNG", help="Plot the timeline.")] = None,
    model: opt.ModelOption = opt.DEFAULT_MODEL,
    device: opt.Device = "auto",
    asr: opt.Asr = "auto",
    language: opt.Language = None,
    coverage: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Return sets that contain the true emotion with this probability."),
    ] = None,
    widest: Annotated[
        int | None, typer.Option(min=1, help="Abstain where the set has more than N classes (default: half of them).")
    ] = None,
    channels: opt.Channels = None,
    channel: opt.Channel = None,
    speakers: opt.Speakers = None,
    only: opt.Only = None,
    context: opt.Context = None,
    start: opt.Start = None,
    end: opt.End = None,
    acts: opt.Acts = None,
    rules: opt.RulesOption = None,
    mask: Annotated[bool, typer.Option("--mask", help="Mask addresses and long numbers in the words.")] = False,
    mask_names: Annotated[str | None, typer.Option(metavar="NAME,…", help="Mask these names too.")] = None,
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="CLIP is a table (csv, tsv, jsonl, parquet) with texts here.")
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id", metavar="NAME", help="The table's column of names.")] = None,
    speaker_column: Annotated[str | None, typer.Option(metavar="NAME", help="… of who says it.")] = None,
    dialogue_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="… of its dialogue, whose earlier rows are context.")
    ] = None,
    prefix: opt.Prefix = "predicted_",
    labels: opt.Labels = None,
    sidecars: opt.Sidecars = True,
    batch_size: opt.BatchSize = 16,
) -> None:
    """Predict the emotions expressed in clips, pictures or a text, as a table or files.

    Of several clips, JSON and CSV hold all; captions and timelines then go to a folder, a file a clip. What is done is
    written at once: a run that is killed leaves it in PATH.part (of CSV on stdout, all rows come at the end).
    """
    check_options(call)
    if coverage is not None:
        check_coverage(coverage, "--coverage")
    hidden = (opt.listed(mask_names) or ()) if mask or mask_names is not None else None
    read = opt.files_read(rules, acts, labels)
    if text_column is not None:
        from emofuse.pipeline.tables import Columns

        columns = Columns(text_column, id_column, speaker_column, dialogue_column)
        job = TableJob(_one_table(clips), columns, csv or "-", prefix, coverage, hidden, batch_size)
        job.check(read)
        from emofuse.pipeline.pipeline import load

        job.run(load(model, device=device, rules=rules, labels=opt.labels_of(labels)))
        return
    several = bool(clips) and (len(clips) > 1 or _is_folder(clips[0]))
    each = {".srt": srt, ".vtt": vtt, ".rttm": rttm, ".TextGrid": textgrid, ".eaf": eaf}
    each |= {".png": plot, ".mp4": render, ".html": report}
    outputs = Outputs(json, csv, each, several, seconds, step, blur)
    sources = _expand(clips or [])
    _check_words(sources, text, transcript)
    found = sidecars and text is None and transcript is None
    outputs.check(sources, [*(_words_beside(sources) if found else [transcript]), *read])
    if several:
        check_parts([json, csv])
    from emofuse.media.clip import ClipInputs
    from emofuse.pipeline.pipeline import load

    talk = ClipInputs(**opt.talk_inputs(channels, speakers, only, context), channel=channel, start=start, end=end)
    pipeline = load(
        model, device=device, asr=asr, language=language, acts=acts or (), rules=rules, labels=opt.labels_of(labels)
    )
    words = {"text": text, "transcript": transcript, **talk}
    how: Reading = {"batch_size": batch_size, "sidecars": sidecars, "progress": True}
    answers = (_many if several else _one)(pipeline, sources, words, how)
    if hidden is not None:
        answers = ((source, _masked(found, hidden)) for source, found in answers)
    raise typer.Exit(_follow(answers, outputs, coverage, widest))


Answer = tuple[Path | None, "Analysis | EmofuseError"]


class Reading(TypedDict):
    """How clips are read, as `Pipeline.predict_iter` takes it."""

    batch_size: int
    sidecars: bool
    progress: bool


def _many(pipeline: Pipeline, sources: Sequence[Path], words: dict[str, Any], how: Reading) -> Iterator[Answer]:
    """(clip, answer) as they come, in order; an error stands in the place of its clip.

    `words` has the words of a clip only where there is one, as in a folder of one: see `_check_words`.
    """
    items = [{"source": _handed(source), **words} for source in sources]
    yield from zip(sources, pipeline.predict_iter(items, **how), strict=True)


def _one(pipeline: Pipeline, sources: Sequence[Path], words: dict[str, Any], how: Reading) -> Iterator[Answer]:
    """The answer to one clip, or to words alone. Raises what it fails with."""
    source = next(iter(sources), None)
    (result,) = pipeline.predict_iter([{"source": _handed(source), **words}], **how)
    if isinstance(result, EmofuseError):
        raise result
    yield source, result


def _masked(found: Analysis | EmofuseError, names: Sequence[str]) -> Analysis | EmofuseError:
    """An analysis without personal data in its words; an error stays one."""
    return found if isinstance(found, EmofuseError) else found.masked(names)


def _handed(source: Path | None) -> Path | MemoryFile | None:
    """The clip, read from stdin where it is called -."""
    from emofuse.media.memory import stdin

    return stdin() if str(source) == "-" else source


def _follow(answers: Iterable[Answer], outputs: Outputs, coverage: float | None, widest: int | None) -> int:
    """Write each answer as it comes, with a table on stdout, or a line on stderr where it failed.

    The exit code: 2 where all failed, or a file of a single clip could not be made, 3 where some.
    """
    from emofuse.cli.table import show
    from emofuse.pipeline.formats import csv_text

    told: set[str] = set()
    done, failed, seconds = 0, 0, []
    with written(outputs) as write:
        for source, result in answers:
            if isinstance(result, EmofuseError):
                failed += 1
                write(source, result)
                complain(str(result))
                continue
            done += 1
            shown = result if coverage is None else result.at_coverage(coverage, widest)
            seconds += shown.by_second(outputs.step) if outputs.seconds else []
            write(source, shown)
            if not outputs.stdout_taken:
                with written_to_stdout():
                    show(shown, told)
    if outputs.seconds and done:
        put(outputs.seconds, csv_text(seconds))
    if outputs.not_made and not outputs.several:
        return 2
    return 0 if not failed and not outputs.not_made else SOME_FAILED if done else 2


def _expand(clips: Sequence[Path]) -> list[Path]:
    """Files, pipes, and - for stdin, as they are, folders as the media in them, each once.

    Raises `MediaError` for a folder without any.
    """
    from emofuse.media.memory import is_pipe
    from emofuse.pipeline.sources import media_in

    if len(clips) == 1 and not _is_folder(clips[0]):
        return [clips[0] if str(clips[0]) == "-" or is_pipe(clips[0]) else _one_file(clips[0])]
    return list(dict.fromkeys(path for clip in clips for path in (media_in(clip) if _is_folder(clip) else [clip])))


def _is_folder(clip: Path) -> bool:
    """Whether it is one; what this user may not look at is left to whoever reads it."""
    return os.path.isdir(clip)  # noqa: PTH112  # Path.is_dir raises


def _one_table(clips: Sequence[Path] | None) -> Path:
    if clips is None or len(clips) != 1:
        raise MediaError(f"--text-column is of one table, and {len(clips or [])} files were given: name one")
    return clips[0]


def _words_beside(sources: Sequence[Path]) -> list[Path | None]:
    """The transcripts that lie beside the clips."""
    from emofuse.media.formats import sidecar_of

    return [sidecar_of(source) for source in sources]


def _one_file(clip: Path) -> Path:
    """The file; an error of a name that reads like words says how words are given."""
    from emofuse.media.formats import existing_file

    try:
        return existing_file(clip)
    except MediaError as error:
        if " " not in str(clip) or clip.suffix:
            raise
        raise MediaError(f"{error}; if these are words, give them with --text") from None


def _check_words(sources: Sequence[Path], text: str | None, transcript: Path | None) -> None:
    """Words belong to one clip, and come from one place."""
    if not sources and text is None:
        raise MediaError(
            "nothing to predict: give a clip (emofuse predict clip.mp4) or words (emofuse predict --text '…')"
        )
    if text is not None and transcript is not None:
        raise MediaError("--text and --transcript both give the words: leave one out")
    if len(sources) > 1 and (text is not None or transcript is not None):
        raise MediaError(f"--text and --transcript are the words of one clip, and {len(sources)} clips were given")
