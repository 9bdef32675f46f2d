"""Early answers: each utterance as soon as it pauses, and again, confirmed or revised, once it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, Protocol

import numpy as np

from emofuse.model.answering import Answering
from emofuse.pipeline.predict_batches import predict_chunk
from emofuse.types import Prediction, Segment


class Run(Protocol):
    """What is followed: see `emofuse.pipeline.run.ClipRun`."""

    @property
    def model(self) -> Answering: ...

    def segments(self) -> Iterator[tuple[int | None, Segment]]: ...

    def ruled(self, prediction: Prediction, segment: Segment) -> Prediction: ...

    def take(self, prediction: Prediction, segment: Segment) -> Prediction: ...


def early_answers(run: Run) -> Iterator[tuple[Prediction, Segment]]:
    """(prediction, segment) of what is final, which the run keeps, and before it of what has only paused.

    An utterance ends with 0.4 s of silence, and is final once nothing can join it any more: after 0.8 s of silence, or
    a second into the next. What is final is the same as without early answers, to the bit; a segment that was answered
    early and did not change is not computed again.
    """
    known: dict[int | None, tuple[Segment, Prediction]] = {}
    for person, segment in run.segments():
        before = known.get(person)
        if before is not None and alike(before[0], segment):
            answer: Prediction | None = before[1]
        else:
            ((_, answer),) = predict_chunk(run.model, [(None, person, segment)])
        if answer is None:
            continue
        if segment.provisional:
            known = {p: kept for p, kept in known.items() if kept[0].start == segment.start}
            known[person] = segment, answer
            yield replace(run.ruled(answer, segment), provisional=True), segment
        else:
            yield run.take(answer, segment), segment


def alike(one: Any, other: Any) -> bool:
    """Whether two values hold the same, arrays to the bit; whether a segment is provisional does not count."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if is_dataclass(one):
        names = (field.name for field in fields(one) if field.name != "provisional")
        return all(alike(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)
