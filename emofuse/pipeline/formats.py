"""Output formats of an analysis: JSON, rows, subtitles."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from emofuse.modalities import ordered
from emofuse.types import Prediction, Word


def as_dict(p: Prediction) -> dict[str, Any]:
    """One prediction; `others` appears only for a model with heads beyond the standard five, `derived` for a value that
    rests on other heads too, `sets` where asked for, `unfamiliarity` for a model that knows what it was trained on,
    `provisional` for what may still change."""
    further = {"others": p.others} if p.others else {}
    further |= {"derived": {name: list(heads) for name, heads in p.derived.items()}} if p.derived else {}
    further |= {"intensity_level": p.intensity_level} if p.intensity_level else {}
    further |= {"sets": {task: list(classes) for task, classes in p.sets.items()}} if p.sets else {}
    further |= {"unfamiliarity": p.unfamiliarity} if p.unfamiliarity else {}
    further |= {"unfamiliar": p.unfamiliar} if p.unfamiliar else {}
    further |= {"rules": list(p.rules)} if p.rules else {}
    further |= {"by_prototype": p.by_prototype} if p.by_prototype else {}
    further |= {"provisional": True} if p.provisional else {}
    return {
        "start": milliseconds(p.start),
        "end": milliseconds(p.end),
        "person": p.person,
        "speaker": p.speaker,
        "present": list(ordered(p.present)),
        "emotions": p.emotions,
        "polarity": p.polarity,
        "intensity": p.intensity,
        "valence": p.valence,
        "arousal": p.arousal,
        "by_modality": {m: p.by_modality[m] for m in ordered(p.by_modality)},
    } | further


def word_as_dict(word: Word) -> dict[str, Any]:
    """One word of a transcript; `speaker` appears where it is known."""
    named = {"speaker": word.speaker} if word.speaker is not None else {}
    return {"text": word.text, "start": milliseconds(word.start), "end": milliseconds(word.end)} | named


def milliseconds(value: float | None) -> float | None:
    """To the millisecond, as captions have it."""
    return None if value is None else round(value, 3)


def as_row(source: str | None, p: Prediction, words: str) -> dict[str, Any]:
    """One flat row; nested names are joined by dots, as `pandas.json_normalize` joins them."""
    row: dict[str, Any] = {"source": source, "text": words, "emotion": p.top[0] if p.top else None}
    for name, value in as_dict(p).items():
        row |= _flat(name, value)
    return row


def _flat(name: str, value: Any) -> dict[str, Any]:
    """A nested value as dotted columns, a list as one joined by plus signs."""
    if isinstance(value, list):
        return {name: "+".join(value)}
    if not isinstance(value, dict):
        return {name: value}
    return {k: v for key, inner in value.items() for k, v in _flat(f"{name}.{key}", inner).items()}


_SINGLE = ("start", "end", "person", "speaker", "intensity", "intensity_level", "valence", "arousal")
_TABLES = ("emotions", "polarity", "unfamiliarity", "unfamiliar", "by_prototype")
_NESTED = ("others", "by_modality")
LIKENESS = "by_prototype."
"""What the column of a label begins with that is answered by prototype."""


def from_row(row: Mapping[str, Any]) -> Prediction:
    """The prediction of a flat row, without its embedding; the inverse of `as_row`, as tables give it back (None where
    a column says nothing)."""
    told = {name: value for name, value in row.items() if value is not None}
    tables: dict[str, dict[str, Any]] = {}
    for name, value in told.items():
        root, _, rest = name.partition(".")
        if root in _TABLES or (root in _NESTED and "." not in rest):
            tables.setdefault(root, {})[rest] = value
        elif root in _NESTED:
            inner, _, key = rest.partition(".")
            tables.setdefault(root, {}).setdefault(inner, {})[key] = value
        elif root in ("derived", "sets") and rest:
            tables.setdefault(root, {})[rest] = tuple(filter(None, value.split("+")))
    fields: dict[str, Any] = {"emotions": None, "polarity": None, "person": None}
    fields |= {"rules": _listed(told["rules"])} if told.get("rules") else {}
    fields |= {name: told[name] for name in _SINGLE if name in told} | tables
    return Prediction(present=frozenset(filter(None, told.get("present", "").split("+"))), **fields)


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    """Names of a cell: a list as Parquet has it, or joined by plus signs."""
    return tuple(value.split("+") if isinstance(value, str) else value)


def columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Every column of the rows; the fixed ones come first and are there even without rows."""
    first = ["source", "start", "end", "person", "speaker", "present", "emotion", "text"]
    return list(dict.fromkeys(first + [name for row in rows for name in row]))


def dump(shape: Any) -> str:
    """JSON text that any reader takes: UTF-8, no NaN."""
    return json.dumps(shape, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as one table; a value that is not there is an empty cell."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


Cue = tuple[float, float, str]
"""Start and end in seconds, and the text, which may have several lines."""


def cues(spoken: Sequence[tuple[Prediction, str]]) -> list[Cue]:
    """Captions of (prediction, its words): one segment's share a cue, a line each; no cue is shorter than 1 ms."""
    several = len({p.person for p, _ in spoken if p.person is not None}) > 1 or any(p.speaker for p, _ in spoken)
    lines: dict[tuple[float, float], list[str]] = {}
    for p, words in spoken:
        lines.setdefault((p.start, max(p.end, p.start + 0.001)), []).append(_caption(p, words, several))
    return [(start, end, "\n".join(texts)) for (start, end), texts in lines.items()]


def _caption(p: Prediction, words: str, several: bool) -> str:
    """What a viewer reads: who it is about where there are several, the set of emotions or the leading one with its
    probability, the words."""
    label = f"{p.top[0]} {p.top[1]:.0%}" if p.top else "no emotion"
    if "emotion" in p.sets:
        label = " or ".join(p.sets["emotion"]) or "unclear"
    who = p.speaker or (None if p.person is None else f"person {p.person}")
    if several and who is not None:
        label = f"{who}: {label}"
    return f"[{label}] {words}".rstrip()


def srt_text(cues: Sequence[Cue]) -> str:
    """SubRip captions."""
    return "\n".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n"
        for number, (start, end, text) in enumerate(cues, 1)
    )


def vtt_text(cues: Sequence[Cue]) -> str:
    """WebVTT captions."""
    blocks = (
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{html.escape(text, quote=False)}\n" for start, end, text in cues
    )
    return "\n".join(["WEBVTT\n", *blocks])


def _clock(seconds: float, mark: str) -> str:
    """Hours:minutes:seconds with the format's own decimal mark."""
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{mark}{ms % 1000:03}"
