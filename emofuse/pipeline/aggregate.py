"""Aggregation of a clip's segments into one prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from emofuse.modalities import Modality, ordered
from emofuse.types import Prediction

Key = TypeVar("Key")


def aggregate(predictions: Sequence[Prediction]) -> Prediction | None:
    """The weighted mean of all predictions of a clip, None when there are none.

    A prediction weighs its seconds times the number of modalities it rests on, so that a word said to the camera
    counts for more than a glimpse of a face; where no prediction has a length (a text, a picture), the modalities
    alone. Each modality's own line weighs by seconds over the predictions it is present in. The embedding is the mean
    brought back to unit length. `person` and `speaker` are kept when everything is about one, rules where they
    changed any.
    """
    if not predictions:
        return None
    seconds = np.array([p.end - p.start for p in predictions])
    if not seconds.any():
        seconds = np.ones(len(predictions))
    weights = seconds * np.array([len(p.present) for p in predictions])
    persons, speakers = {p.person for p in predictions}, {p.speaker for p in predictions}
    modalities: list[Modality] = list(ordered(m for p in predictions for m in p.by_modality))
    return Prediction(
        start=min(p.start for p in predictions),
        end=max(p.end for p in predictions),
        person=persons.pop() if len(persons) == 1 else None,
        present=frozenset().union(*(p.present for p in predictions)),
        emotions=_mean_table((p.emotions for p in predictions), weights),
        polarity=_mean_table((p.polarity for p in predictions), weights),
        intensity=_mean((p.intensity for p in predictions), weights),
        valence=_mean((p.valence for p in predictions), weights),
        arousal=_mean((p.arousal for p in predictions), weights),
        others=_mean_others([p.others for p in predictions], weights),
        derived={name: heads for p in predictions for name, heads in p.derived.items()},
        by_modality={m: _mean_table((p.by_modality.get(m) for p in predictions), seconds) or {} for m in modalities},
        embedding=_mean_direction([p.embedding for p in predictions], weights),
        speaker=speakers.pop() if len(speakers) == 1 else None,
        unfamiliarity={
            m: _mean((p.unfamiliarity.get(m) for p in predictions), seconds) or 0.0
            for m in ordered(m for p in predictions for m in p.unfamiliarity)
        },
        by_prototype={
            name: _mean((p.by_prototype.get(name) for p in predictions), seconds) or 0.0
            for name in dict.fromkeys(name for p in predictions for name in p.by_prototype)
        },
        rules=tuple(dict.fromkeys(name for p in predictions for name in p.rules)),
    )


def per_speaker(predictions: Sequence[Prediction]) -> dict[str, Prediction]:
    """Speaker → the mean of what they say, in the order in which they first speak."""
    names = dict.fromkeys(p.speaker for p in predictions if p.speaker is not None)
    return _means({name: [p for p in predictions if p.speaker == name] for name in names})


def per_person(predictions: Sequence[Prediction]) -> dict[int, Prediction]:
    """Person in view → the mean of their predictions, by number."""
    numbers = sorted({p.person for p in predictions if p.person is not None})
    return _means({number: [p for p in predictions if p.person == number] for number in numbers})


def _means(groups: Mapping[Key, Sequence[Prediction]]) -> dict[Key, Prediction]:
    found = {key: aggregate(predictions) for key, predictions in groups.items()}
    return {key: mean for key, mean in found.items() if mean is not None}


def _mean(values: Iterable[float | None], weights: np.ndarray) -> float | None:
    """The weighted mean of the values that are there; equal weights where the given ones are all zero."""
    pairs = [(v, w) for v, w in zip(values, weights, strict=True) if v is not None]
    if not pairs:
        return None
    found, share = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    return float(np.average(found, weights=share if share.any() else None))


def _mean_table(tables: Iterable[Mapping[str, float] | None], weights: np.ndarray) -> dict[str, float] | None:
    """The weighted mean of each entry over the tables that are there; equal weights where theirs are all zero."""
    pairs = [(row, w) for row, w in zip(tables, weights, strict=True) if row]
    if not pairs:
        return None
    rows, share = [row for row, _ in pairs], np.array([w for _, w in pairs], dtype=float)
    values = np.array([[row[name] for row in rows] for name in rows[0]], dtype=float)
    means = np.average(values, axis=1, weights=share if share.any() else None)
    return dict(zip(rows[0], means.tolist(), strict=True))


def _mean_others(
    others: Sequence[Mapping[str, Mapping[str, float] | float]], weights: np.ndarray
) -> dict[str, dict[str, float] | float]:
    """The weighted mean of each further head, be it a table or a number."""
    result: dict[str, dict[str, float] | float] = {}
    for task in dict.fromkeys(name for row in others for name in row):
        values = [row.get(task) for row in others]
        tables = [v if isinstance(v, Mapping) else None for v in values]
        mean = _mean_table(tables, weights) or _mean((v if isinstance(v, float) else None for v in values), weights)
        if mean is not None:
            result[task] = mean
    return result


def _mean_direction(vectors: Sequence[np.ndarray | None], weights: np.ndarray) -> np.ndarray | None:
    """The weighted mean of unit vectors, at unit length; None when they cancel or there are none."""
    found = [(v, w) for v, w in zip(vectors, weights, strict=True) if v is not None]
    total = np.sum([v * w for v, w in found], axis=0) if found else np.zeros(1)
    length = float(np.linalg.norm(total))
    return (total / length).astype(np.float32) if length > 0 else None
