"""Evidence that calibration is fitted on: raw outputs with targets, by dev set, task and subset of modalities."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from emofuse.modalities import bits, mask_of, subset_name, subsets_of
from emofuse.model.polarity import EMOTION, POLARITY
from emofuse.model.predict import GIVEN, Predictions


@dataclass(frozen=True, eq=False)
class Evidence:
    """Raw outputs of one head on the labelled samples of one dev set that have a subset of modalities."""

    source: str
    task: str
    subset: int
    """Bit mask, in the model's modalities."""
    logits: Float[np.ndarray, "n width"]
    targets: Float[np.ndarray, "n width"]
    composed: bool = False
    unimodal: bool = False
    """Of the modality's own head, not of the fused one."""
    emotions: Float[np.ndarray, "n emotions"] | None = None
    """Of polarity: what the emotion head says of the same samples, see `emofuse.model.polarity`."""
    held: Bool[np.ndarray, " n"] | None = None
    """Samples that are held out for prediction sets; None = nobody knows whose samples they are."""


def evidence_of(source: str, found: Predictions, *, composed: bool = False) -> list[Evidence]:
    """What a dev set says of each task and subset, of the fused heads and of each modality's own.

    Where a subset was predicted, every row that has it counts, with its other modalities taken away; where it was not,
    and of `composed` samples, whose labels may come from any part, only rows that have it and nothing else.
    """
    rows = (*_fused(source, found, composed), *_unimodal(source, found, composed))
    return [evidence for evidence in rows if len(evidence.logits)]


def _fused(source: str, found: Predictions, composed: bool) -> Iterator[Evidence]:
    for subset in subsets_of(found.modalities):
        mask, name = mask_of(subset, found.modalities), subset_name(subset)
        exact = composed or name not in found.logits
        has = found.present == mask if exact else found.present & mask == mask
        table = found.logits[GIVEN if exact else name]
        for task, logits in table.items():
            emotions = table.get(EMOTION) if task == POLARITY else None
            yield _evidence(source, task, mask, found, logits, has, composed, unimodal=False, emotions=emotions)


def _unimodal(source: str, found: Predictions, composed: bool) -> Iterator[Evidence]:
    for modality, tables in found.by_modality.items():
        bit = bits(found.modalities)[modality]
        for task, logits in tables.items():
            yield _evidence(source, task, bit, found, logits, found.present & bit == bit, composed, unimodal=True)


def _evidence(
    source: str,
    task: str,
    subset: int,
    found: Predictions,
    logits: Float[np.ndarray, "n width"],
    has: np.ndarray,
    composed: bool,
    unimodal: bool,
    emotions: Float[np.ndarray, "n emotions"] | None = None,
) -> Evidence:
    targets = found.targets[task]
    rows = has & ~np.isnan(targets).any(axis=1)
    beside = None if emotions is None else emotions[rows]
    held = held_out(found.clusters)[rows] if found.clusters else None
    return Evidence(source, task, subset, logits[rows], targets[rows], composed, unimodal, beside, held)


def held_out(clusters: Sequence[str]) -> Bool[np.ndarray, " n"]:
    """Half of the speakers, dialogues or videos, always the same ones, by a hash of their names."""
    return np.array([hashlib.sha256(name.encode()).digest()[0] % 2 == 0 for name in clusters], bool)
