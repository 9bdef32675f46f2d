"""The worst errors of an evaluation, each with the input that the model had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emofuse.data.examples import Example
from emofuse.evaluation.predict import GIVEN, Predictions
from emofuse.media.transcript import join
from emofuse.metrics.task import row_errors
from emofuse.modalities import members, ordered
from emofuse.tasks import Task

ERRORS = 12


def worst_of(
    predictions: Predictions, samples: Sequence[Example], task: Task, count: int = ERRORS, threshold: float = 0.5
) -> list[dict[str, Any]]:
    """The samples whose truth was held least likely (classes) or that are furthest off (numbers), with each
    modality's own view where more than one is there."""
    rows = predictions.rows(GIVEN, task.name)
    targets, values = predictions.targets[task.name], predictions.values[GIVEN][task.name]
    lost, wrong = row_errors(task, values, targets)
    places = np.flatnonzero(rows & wrong)
    chosen = places[np.argsort(-lost[places], kind="stable")][:count]
    return [_error(predictions, samples[i], task, int(i), threshold) for i in chosen]


def evidence_of(sample: Example) -> dict[str, Any]:
    """What the model was given: `words` and the turn `before` them, `seconds` of voice, how many pictures of `faces`.

    Nothing of a sample that is ready-made features.
    """
    segment = sample.load()
    if segment.features is not None:
        return {}
    found: dict[str, Any] = {}
    if segment.words:
        found["words"] = join(segment.words)
        found |= {"before": segment.context[-1]} if segment.context else {}
    if segment.waveform is not None and len(segment.waveform):
        found["seconds"] = float(segment.end - segment.start)
    pictures = sum(len(track.crops) for track in segment.faces)
    return found | ({"faces": pictures} if pictures else {})


def _error(predictions: Predictions, sample: Example, task: Task, i: int, threshold: float) -> dict[str, Any]:
    target, value = predictions.targets[task.name][i], predictions.values[GIVEN][task.name][i]
    found: dict[str, Any] = {"id": sample.id, "groups": dict(sample.groups)}
    found["present"] = list(ordered(members(int(predictions.present[i]), predictions.modalities)))
    found["evidence"] = evidence_of(sample)
    if not task.classes:
        return found | {"truth": float(target[0]), "predicted": float(value[0])}
    if not task.exclusive:
        found["truth"] = [c for c, t in zip(task.classes, target, strict=True) if t >= 0.5]
        found["predicted"] = [c for c, v in zip(task.classes, value, strict=True) if v >= threshold]
        return found
    found["truth"], found["predicted"] = task.classes[target.argmax()], task.classes[value.argmax()]
    found["confidence"], found["truth_probability"] = float(value.max()), float(value[target.argmax()])
    found["truth_share"] = float(target.max())
    unimodal = {}
    for modality in found["present"]:
        single = predictions.values.get(modality, {}).get(task.name)
        if single is not None and not np.isnan(single[i]).any():
            unimodal[modality] = {"class": task.classes[single[i].argmax()], "probability": float(single[i].max())}
    return found | {"unimodal": unimodal}
