"""Batched prediction: segments bucketed by length, run and decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from emofuse.errors import check_count
from emofuse.modalities import Modality, Subset, members
from emofuse.model.answering import Answering, Decoded
from emofuse.pipeline.unfamiliar import unfamiliar_in
from emofuse.prepared import PreparedSample
from emofuse.tasks import Task
from emofuse.types import Prediction, Segment

Key = TypeVar("Key")
FIRST = 4
"""Segments predicted before more are waited for; each batch after may be twice as large as the one before."""
PADDED_SECONDS = 96.0
"""The most a batch may hold, padding included, so that long segments do not fill the memory …"""
CPU_SECONDS = 12.0
"""… and on a CPU, of sound and faces: what does not fit its caches waits for memory longer than a batch saves."""
PADDED_PIECES = 4096
"""The most pieces of words that a batch of words alone may hold, padding included."""
CALL_PIECES = 64
"""Pieces of words that take about as long as one call of the model costs beside them."""


def predict_batches(
    model: Answering, segments: Iterable[tuple[Key, int | None, Segment]], batch_size: int
) -> Iterator[tuple[Key, Prediction | None]]:
    """(key, prediction) for each (key, person, segment), in order; None where the model finds nothing it can read.

    At most `batch_size` segments are held at a time, whatever the number that goes through; the first come out four
    together, then eight, so that the first predictions are shown soon.
    """
    check_count(batch_size, "batch_size")
    source, size = iter(segments), FIRST
    while chunk := list(islice(source, min(size, batch_size))):
        size *= 2
        yield from predict_chunk(model, chunk)


def predict_chunk(
    model: Answering,
    chunk: Sequence[tuple[Key, int | None, Segment]],
    samples: Sequence[PreparedSample] | None = None,
) -> Iterator[tuple[Key, Prediction | None]]:
    """(key, prediction) for each (key, person, segment) of a chunk that is predicted together, in order.

    `samples`: what the model prepares of the segments, where somebody has done that already.
    """
    languages = getattr(model.encoder("text").config, "languages", ()) if "text" in model.modalities else ()
    answers: dict[int, Prediction | None] = {}
    if any(segment.present - {"text"} for _, _, segment in chunk):
        limit = CPU_SECONDS if model.runs_on == "cpu" else PADDED_SECONDS
        groups = buckets([s.end - s.start for _, _, s in chunk], limit)
    else:
        samples = samples or [model.prepare(segment) for _, _, segment in chunk]
        groups = buckets_of_words([sample.length for sample in samples])
    for bucket in groups:
        given = [model.prepare(chunk[i][2]) if samples is None else samples[i] for i in bucket]
        decoded, masks = model.answer(given)
        for row, i in enumerate(bucket):
            _, person, segment = chunk[i]
            present = members(int(masks[row]), model.modalities)
            derived = model.derived(present)
            one = prediction(model.tasks, decoded, row, present, segment, person, derived, languages)
            answers[i] = with_level(one, model.terciles("intensity"))
    yield from ((key, answers[i]) for i, (key, _, _) in enumerate(chunk))


def buckets(seconds: Sequence[float], limit: float = PADDED_SECONDS) -> list[list[int]]:
    """Indices in groups of similar length: several none over `limit`, the longest at most twice the shortest or 2 s."""
    groups: list[list[int]] = []
    for i in sorted(range(len(seconds)), key=lambda i: seconds[i]):
        group = groups[-1] if groups else []
        fits = group and seconds[i] <= max(2 * seconds[group[0]], 2.0) and seconds[i] * (len(group) + 1) <= limit
        if fits:
            group.append(i)
        else:
            groups.append([i])
    return groups


def buckets_of_words(pieces: Sequence[int], limit: int = PADDED_PIECES, call: int = CALL_PIECES) -> list[list[int]]:
    """Indices in groups of similar length: those that cost the fewest pieces, padding included, with `call` for each
    group; several none over `limit`."""
    order = sorted(range(len(pieces)), key=lambda i: pieces[i])
    cheapest: list[tuple[int, int]] = [(0, 0)]
    for end in range(1, len(order) + 1):
        longest = pieces[order[end - 1]]
        begins = (b for b in range(end) if end - b == 1 or longest * (end - b) <= limit)
        cheapest.append(min((cheapest[b][0] + call + longest * (end - b), b) for b in begins))
    groups: list[list[int]] = []
    end = len(order)
    while end:
        begin = cheapest[end][1]
        groups.append(order[begin:end])
        end = begin
    return groups[::-1]


def prediction(
    tasks: Sequence[Task],
    decoded: Decoded,
    row: int,
    present: Subset,
    segment: Segment,
    person: int | None,
    derived: Mapping[str, tuple[str, ...]] | None = None,
    languages: Sequence[str] = (),
) -> Prediction | None:
    """One row of a decoded batch with its names; None when none of the model's modalities is present in it.

    `derived`: see `Prediction`; `languages`: those that the model reads words in.
    """
    if not present:
        return None
    values = _named(tasks, decoded.tasks, row)
    standard: dict[str, Any] = {name: values.get(task) for task, name in _FIELDS.items()}
    unimodal: dict[Modality, dict[str, float]] = {
        modality: named["emotion"]
        for modality, outputs in decoded.by_modality.items()
        if modality in present and "emotion" in (named := _named(tasks, outputs, row))
    }
    return Prediction(
        start=segment.start,
        end=segment.end,
        person=person,
        present=present,
        **standard,
        others={task: value for task, value in values.items() if task not in _FIELDS},
        derived=dict(derived or {}),
        by_modality=unimodal,
        embedding=decoded.embedding[row].copy(),
        speaker=segment.speaker,
        unfamiliarity=(unfamiliarity := {m: float(v[row]) for m, v in decoded.unfamiliarity.items() if m in present}),
        unfamiliar=unfamiliar_in(segment, unfamiliarity, present, languages),
    )


def with_level(found: Prediction | None, terciles: tuple[float, float] | None) -> Prediction | None:
    """The same with the level of its intensity, where that is known."""
    if found is None or found.intensity is None or terciles is None:
        return found
    weak, medium = terciles
    level = "weak" if found.intensity < weak else "medium" if found.intensity < medium else "strong"
    return replace(found, intensity_level=level)


_FIELDS = {
    "emotion": "emotions",
    "polarity": "polarity",
    "intensity": "intensity",
    "valence": "valence",
    "arousal": "arousal",
}
"""Task → field of a prediction; every other task is one of its `others`."""


def _named(tasks: Sequence[Task], outputs: Mapping[str, np.ndarray], row: int) -> dict[str, Any]:
    """Task → {class: probability}, or a number for a scalar; a task not supported for what is present is left out."""
    return {
        task.name: dict(zip(task.classes, outputs[task.name][row].tolist(), strict=True))
        if task.classes
        else float(outputs[task.name][row, 0])
        for task in tasks
        if not np.isnan(outputs[task.name][row]).any()
    }
