"""The wire form of an analysis: JSON that loses nothing, for whoever must have it back to the bit."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from emofuse.modalities import ordered
from emofuse.model.conformal import ConformalTable
from emofuse.notes import coded, decoded
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.conversation.apply import Firing
from emofuse.types import Prediction, Word

_AS_IT_IS = (
    *("start", "end", "person", "emotions", "polarity", "intensity", "intensity_level", "valence", "arousal"),
    *("others", "by_modality", "speaker", "unfamiliarity", "unfamiliar"),
)
"""Fields of a prediction that are JSON's already; Python writes a float so that it is read back as it was."""


def to_wire(analysis: Analysis) -> dict[str, Any]:
    """In JSON's types; explanations and the conformal table are left out."""
    return {
        "id": analysis.id,
        "source": analysis.source,
        "duration": analysis.duration,
        "model": analysis.model,
        "overall": _plain(analysis.overall) if analysis.overall else None,
        "segments": [_plain(p) for p in analysis.segments],
        "transcript": None if analysis.transcript is None else list(map(_plain_word, analysis.transcript)),
        "notes": coded(analysis.notes),
        "coverage": analysis.coverage,
        "whole": analysis.whole,
        "speakers": {name: _plain(p) for name, p in analysis.speakers.items()},
        "persons": {str(person): _plain(p) for person, p in analysis.persons.items()},
        "start": analysis.start,
        "acts": None if analysis.acts is None else [vars(firing) for firing in analysis.acts],
    }


def from_wire(shape: Mapping[str, Any], conformal: ConformalTable | None = None) -> Analysis:
    """The inverse of `to_wire`. Raises ValueError, TypeError, KeyError or AttributeError for anything else."""
    words = shape["transcript"]
    return Analysis(
        shape["source"],
        shape["duration"],
        shape["model"],
        _prediction(shape["overall"]) if shape["overall"] else None,
        [_prediction(p) for p in shape["segments"]],
        None if words is None else tuple(Word(*word) for word in words),
        decoded(shape["notes"]),
        shape["coverage"],
        conformal or {},
        shape.get("id"),
        shape["whole"],
        None if shape["acts"] is None else tuple(Firing(**firing) for firing in shape["acts"]),
        {name: _prediction(p) for name, p in shape["speakers"].items()},
        {int(person): _prediction(p) for person, p in shape["persons"].items()},
        shape["start"],
    )


def _plain(p: Prediction) -> dict[str, Any]:
    state = None if p.embedding is None else np.ascontiguousarray(p.embedding, "<f4").tobytes()
    return {name: getattr(p, name) for name in _AS_IT_IS} | {
        "present": list(ordered(p.present)),
        "derived": {name: list(heads) for name, heads in p.derived.items()},
        "sets": {task: list(classes) for task, classes in p.sets.items()},
        "rules": list(p.rules),
        "by_prototype": p.by_prototype,
        "embedding": None if state is None else base64.b64encode(state).decode(),
    }


def _prediction(shape: Mapping[str, Any]) -> Prediction:
    state = shape["embedding"]
    known = {field.name for field in fields(Prediction)}
    if strange := shape.keys() - known:
        raise ValueError(f"a prediction has no {', '.join(sorted(strange))}")
    return Prediction(
        **{name: shape[name] for name in _AS_IT_IS},
        present=frozenset(shape["present"]),
        derived={name: tuple(heads) for name, heads in shape["derived"].items()},
        sets={task: tuple(classes) for task, classes in shape["sets"].items()},
        rules=tuple(shape.get("rules", ())),
        by_prototype=dict(shape.get("by_prototype", {})),
        embedding=None if state is None else np.frombuffer(base64.b64decode(state), "<f4").astype(np.float32),
    )


def _plain_word(word: Word) -> list[Any]:
    return [word.text, word.start, word.end, word.speaker]
