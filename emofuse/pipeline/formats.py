"""An analysis as JSON, rows, subtitles; files appear whole or not at all."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse.errors import MediaError, nearest
from emofuse.files import write_file
from emofuse.types import MODALITIES, Prediction

if TYPE_CHECKING:
    from emofuse.pipeline.analysis import Analysis


def as_dict(analysis: Analysis) -> dict[str, Any]:
    """The JSON shape of an analysis: source, duration, model, overall, segments, transcript, notes; times to 1 ms."""
    return {
        "source": analysis.source,
        "duration": _seconds(analysis.duration),
        "model": analysis.model,
        "overall": _prediction(analysis.overall) if analysis.overall else None,
        "segments": [_prediction(p) for p in analysis.segments],
        "transcript": [
            {"text": w.text, "start": _seconds(w.start), "end": _seconds(w.end)} for w in analysis.transcript or ()
        ],
        "notes": list(analysis.notes),
    } | ({"coverage": analysis.coverage} if analysis.coverage is not None else {})


def _prediction(p: Prediction) -> dict[str, Any]:
    """One prediction; `others` appears only for a model with heads beyond the standard five, `sets` where asked for."""
    further = {"others": p.others} if p.others else {}
    further |= {"sets": {task: list(classes) for task, classes in p.sets.items()}} if p.sets else {}
    return {
        "start": _seconds(p.start),
        "end": _seconds(p.end),
        "person": p.person,
        "present": [m for m in MODALITIES if m in p.present],
        "emotions": p.emotions,
        "polarity": p.polarity,
        "intensity": p.intensity,
        "valence": p.valence,
        "arousal": p.arousal,
        "by_modality": {m: p.by_modality[m] for m in MODALITIES if m in p.by_modality},
    } | further


def _seconds(value: float | None) -> float | None:
    """To the millisecond, as captions have it."""
    return None if value is None else round(value, 3)


def as_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """One flat row a prediction; nested names are joined by dots, as `pandas.json_normalize` joins them."""
    rows = []
    for p in analysis.segments:
        row: dict[str, Any] = {"source": analysis.source, "text": analysis.words_of(p)}
        row["emotion"] = p.top[0] if p.top else None
        for name, value in _prediction(p).items():
            row |= _flat(name, value)
        rows.append(row)
    return rows


def _flat(name: str, value: Any) -> dict[str, Any]:
    """A nested value as dotted columns, a list as one joined by plus signs."""
    if isinstance(value, list):
        return {name: "+".join(value)}
    if not isinstance(value, dict):
        return {name: value}
    return {k: v for key, inner in value.items() for k, v in _flat(f"{name}.{key}", inner).items()}


def columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Every column of the rows; the fixed ones come first and are there even without rows."""
    first = ["source", "start", "end", "person", "present", "emotion", "text"]
    return list(dict.fromkeys(first + [name for row in rows for name in row]))


def dump(shape: Any) -> str:
    """JSON text that any reader takes: UTF-8, no NaN."""
    return json.dumps(shape, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def json_text(analysis: Analysis) -> str:
    """An analysis as JSON."""
    return dump(as_dict(analysis))


def csv_text(*analyses: Analysis) -> str:
    """One table for all analyses; a value that is not there is an empty cell."""
    rows = [row for analysis in analyses for row in as_rows(analysis)]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def _caption(analysis: Analysis, p: Prediction, several: bool) -> str:
    """What a viewer reads: the person where there are several, the set of emotions or the leading one with its
    probability, the words."""
    label = f"{p.top[0]} {p.top[1]:.0%}" if p.top else "no emotion"
    if "emotion" in p.sets:
        label = " or ".join(p.sets["emotion"]) or "unclear"
    if several and p.person is not None:
        label = f"person {p.person}: {label}"
    return f"[{label}] {analysis.words_of(p)}".rstrip()


def _cues(analysis: Analysis) -> list[tuple[float, float, str]]:
    """(start, end, text): the predictions of one segment share a cue, a line each; no cue is shorter than 1 ms."""
    several = len({p.person for p in analysis.segments if p.person is not None}) > 1
    cues: dict[tuple[float, float], list[str]] = {}
    for p in analysis.segments:
        cues.setdefault((p.start, max(p.end, p.start + 0.001)), []).append(_caption(analysis, p, several))
    return [(start, end, "\n".join(lines)) for (start, end), lines in cues.items()]


def _clock(seconds: float, mark: str) -> str:
    """Hours:minutes:seconds with the format's own decimal mark."""
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{mark}{ms % 1000:03}"


def srt_text(analysis: Analysis) -> str:
    """SubRip captions."""
    return "\n".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n"
        for number, (start, end, text) in enumerate(_cues(analysis), 1)
    )


def vtt_text(analysis: Analysis) -> str:
    """WebVTT captions."""
    cues = (
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{html.escape(text, quote=False)}\n"
        for start, end, text in _cues(analysis)
    )
    return "\n".join(["WEBVTT\n", *cues])


WRITERS: dict[str, Callable[[Analysis], str]] = {
    ".json": json_text,
    ".csv": csv_text,
    ".srt": srt_text,
    ".vtt": vtt_text,
}


def save(analysis: Analysis, path: str | Path) -> Path:
    """Write an analysis in the format the path's ending names."""
    target = Path(path)
    writer = WRITERS.get(target.suffix.lower())
    if writer is None:
        raise MediaError(f"cannot save as {str(path)!r}: {nearest(target.suffix, WRITERS)}")
    return write_file(target, writer(analysis))
