"""Rows of a job's tables, in columns that follow from the model alone, so that all parts have the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emofuse.batch_jobs.plan import Item
from emofuse.media.transcript import join
from emofuse.model.answering import Answering
from emofuse.notes import coded
from emofuse.pipeline import formats
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.conversation.apply import Firing, by_segment

if TYPE_CHECKING:
    import pyarrow

_FIELDS = {"emotion": "emotions", "polarity": "polarity"}
_WIDE = ("acts", "embedding", "rules")
_OWN_OF_CLIP = (
    "id",
    "media",
    "speaker",
    "channel",
    "start",
    "end",
    "duration",
    "segments",
    "attempts",
    "error",
    "text",
    "notes",
    "note_codes",
)
MORE = "more"
"""The column for what has none of its own, as JSON."""


def segment_rows(item: Item, analysis: Analysis, embeddings: bool) -> list[dict[str, Any]]:
    """A row a segment and person, as in the CSV of an analysis, with the clip's id."""
    rows = []
    fired = by_segment(analysis)
    for number, (p, row) in enumerate(zip(analysis.segments, analysis.rows(), strict=True)):
        row.pop("source")
        more = {"embedding": p.embedding} if embeddings else {}
        more |= {"acts": list(map(_firing, fired[number]))} if analysis.acts is not None else {}
        more |= {"rules": list(p.rules)} if p.rules else {}
        rows.append({"id": item.id, "segment": number} | row | more)
    return rows


def _firing(firing: Firing) -> dict[str, Any]:
    """An act that fired, in a row's types: what was observed is JSON."""
    shape = firing.to_dict()
    return shape | {"because": json.dumps(shape["because"], ensure_ascii=False)}


def clip_row(item: Item, found: Analysis | str, attempts: int) -> dict[str, Any]:
    """The clip as a whole, or why it could not be read."""
    row: dict[str, Any] = {"id": item.id, "media": item.media, "speaker": item.speaker, "channel": item.channel}
    row |= {
        "start": item.start,
        "end": item.end,
        "attempts": attempts,
        "error": found if isinstance(found, str) else None,
    }
    if isinstance(found, Analysis):
        row |= {"duration": formats.milliseconds(found.duration), "segments": len(found.segments)}
        row |= {"text": _text(item, found), "notes": [str(note) for note in found.notes]}
        row |= {"acts": list(map(_firing, found.acts))} if found.acts is not None else {}
        row["note_codes"] = json.dumps(coded(found.notes), ensure_ascii=False) if found.notes else None
        if found.overall is not None:
            overall = formats.as_row(None, found.overall, "")
            overall |= {"rules": list(found.overall.rules)} if found.overall.rules else {}
            row |= {
                name: value
                for name, value in overall.items()
                if name not in ("source", "text", "start", "end", "person", "speaker")
            }
    return row | {given_as(name): value for name, value in item.extras.items()}


def given_as(name: str) -> str:
    """What a column that is carried through is called: its own name, unless the results have one of that name."""
    taken = name in (*_OWN_OF_CLIP, *_WIDE, MORE, "emotion", "present") or name.partition(".")[0] in _ROOTS
    return f"given.{name}" if taken else name


_ROOTS = (
    *("emotions", "polarity", "intensity", "intensity_level", "valence", "arousal", "others", "derived", "by_modality"),
    *("unfamiliarity", "unfamiliar", "by_prototype", "sets", "given", "text", "speaker"),
)


def segment_table(rows: Sequence[Mapping[str, Any]], model: Answering, more: Sequence[str] = ()) -> pyarrow.Table:
    """The rows of a shard's segments; `more`: the columns "embedding", "acts", "rules" and of labels by prototype,
    where they are asked for."""
    import pyarrow

    text, number = pyarrow.string(), pyarrow.float64()
    columns = {"id": text, "segment": pyarrow.int32(), "text": text, "emotion": text, "start": number, "end": number}
    columns |= {"person": pyarrow.int32(), "speaker": text} | _prediction(model)
    return _table(rows, columns | {name: _wide(name) for name in more})


def clip_table(
    rows: Sequence[Mapping[str, Any]],
    model: Answering,
    extras: Mapping[str, pyarrow.DataType],
    more: Sequence[str] = (),
) -> pyarrow.Table:
    """The rows of a shard's clips; `extras`: the columns that are carried through, with their types; `more`: as
    `segment_table` has them, of which all but "embedding" are of a clip too."""
    import pyarrow

    text = pyarrow.string()
    columns = dict.fromkeys(_OWN_OF_CLIP, text) | dict.fromkeys(("start", "end", "duration"), pyarrow.float64())
    columns |= {"segments": pyarrow.int32()}
    columns |= {"attempts": pyarrow.int32(), "notes": pyarrow.list_(text), "emotion": text} | _prediction(model)
    columns |= {name: _wide(name) for name in more if name != "embedding"}
    return _table(rows, columns | {given_as(name): kind for name, kind in extras.items()})


def _wide(name: str) -> pyarrow.DataType:
    """The type of a column that only some jobs have."""
    import pyarrow

    if name == "embedding":
        return pyarrow.list_(pyarrow.float32())
    if name.startswith(formats.LIKENESS):
        return pyarrow.float64()
    text = pyarrow.string()
    if name == "rules":
        return pyarrow.list_(text)
    firing = {"act": text, "do": text, "turn": pyarrow.int32(), "speaker": text, "say": text}
    return pyarrow.list_(pyarrow.struct(firing | {"start": pyarrow.float64(), "because": text}))


def _text(item: Item, found: Analysis) -> str | None:
    """The words that were predicted from."""
    return None if found.transcript is None else join(found.transcript) or item.text


def _prediction(model: Answering) -> dict[str, pyarrow.DataType]:
    """The columns of `formats.as_row` that this model can fill."""
    import pyarrow

    text, number = pyarrow.string(), pyarrow.float64()
    columns = {"present": text}
    for task in model.tasks:
        name = _FIELDS.get(task.name, task.name)
        root = name if task.name in (*_FIELDS, "intensity", "valence", "arousal") else f"others.{name}"
        columns |= {f"{root}.{c}": number for c in task.classes} if task.classes else {root: number}
        columns |= {"intensity_level": text} if task.name == "intensity" else {}
        columns[f"derived.{task.name}"] = text
        if task.name == "emotion":
            columns |= {f"by_modality.{m}.{c}": number for m in model.modalities for c in task.classes}
    columns |= {f"unfamiliarity.{m}": number for m in model.modalities}
    return columns | {f"unfamiliar.{m}": text for m in model.modalities}


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, pyarrow.DataType]) -> pyarrow.Table:
    import pyarrow

    full = dict(columns) | {MORE: pyarrow.string()}
    kept = [{name: row.get(name) for name in columns} | {MORE: _rest(row, columns)} for row in rows]
    return pyarrow.Table.from_pylist(kept, schema=pyarrow.schema(list(full.items())))


def _rest(row: Mapping[str, Any], columns: Mapping[str, Any]) -> str | None:
    rest = {name: value for name, value in row.items() if name not in columns and value is not None}
    return json.dumps(rest, ensure_ascii=False, default=str) if rest else None
