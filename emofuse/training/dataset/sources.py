"""Utterances of several corpora as items with their targets: what there is to train on and to choose by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.corpora.corpus import Reading, read
from emofuse.corpora.features import Features, read_features
from emofuse.data.load import FEATURES
from emofuse.encoders.features import FeaturesEncoder
from emofuse.errors import DataError, RecipeError
from emofuse.tasks import Task, fold
from emofuse.training.recipe.schema import Recipe, Source
from emofuse.types import MODALITIES, Modality, Split, Utterance

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
SOUNDS = frozenset({".wav", ".flac", ".mp3", ".ogg", ".m4a", ".opus", ".sph"})


@dataclass(frozen=True, eq=False)
class Item:
    """An utterance with its targets folded and the modalities taken from it."""

    utterance: Utterance
    targets: dict[str, np.ndarray]
    modalities: frozenset[Modality]

    @property
    def ready_made(self) -> bool:
        """Whether its media is a file of features that someone else extracted."""
        return self.utterance.media is not None and self.utterance.media.suffix == FEATURES

    @property
    def length(self) -> float:
        """Roughly how many tokens, from the letters of text and the seconds (or the file's size) of sound."""
        u = self.utterance
        tokens = 1.0
        if "text" in self.modalities and u.text:
            tokens += (len(u.text) + sum(len(turn) for turn in u.context)) / 4
        if "speech" in self.modalities and u.media is not None and not self.ready_made:
            seconds = u.end - (u.start or 0) if u.end is not None else u.media.stat().st_size / 20_000
            tokens += 50 * seconds
        return tokens


@dataclass(frozen=True, eq=False)
class Gathered:
    """A source as read: items to train on, items that choose the epoch, and what was left out."""

    source: Source
    train: list[Item]
    dev: list[Item]
    unlabelled: int
    """Utterances of both splits without a label of any of the model's tasks."""
    reading: Reading

    def describe(self) -> str:
        """One line for the log."""
        lost = f", {self.unlabelled} left out: no label of the model's tasks" if self.unlabelled else ""
        problems = f", {len(self.reading.problems)} problems in its files" if self.reading.problems else ""
        return f"{self.source.corpus}: {len(self.train)} train, {len(self.dev)} dev{lost}{problems}"


def gather(recipe: Recipe, source: Source, tasks: Sequence[Task], limit: int | None = None) -> Gathered:
    """Read a source and fold its labels; `limit` items at most a split.

    Raises DataError when its folder or a label is wrong, or when it has nothing that the model reads.
    """
    reading = read(source.corpus, recipe.source_root(source), None, **source.options)
    reads = frozenset(source.modalities or MODALITIES) & frozenset(recipe.model.encoders)
    _check_kinds(recipe, source, reading)
    found: dict[Split, list[Item]] = {"train": [], "dev": []}
    unlabelled = 0
    for split, items in found.items():
        if not (source.train if split == "train" else source.evaluate):
            continue
        for utterance in _some(reading.split(split), limit):
            targets = {task.name: _target(source, utterance, task) for task in tasks}
            if all(np.isnan(t).any() for t in targets.values()):
                unlabelled += 1
            elif there := reads & modalities_of(utterance):
                items.append(Item(utterance, targets, there))
    if not any(found.values()):
        raise DataError(
            f"{source.corpus} has no utterance to learn from: {len(reading.utterances)} read, {unlabelled} without a "
            f"label of {', '.join(t.name for t in tasks)}; the model reads {', '.join(sorted(recipe.model.encoders))}"
        )
    return Gathered(source, found["train"], found["dev"], unlabelled, reading)


def _check_kinds(recipe: Recipe, source: Source, reading: Reading) -> None:
    """Ready-made features need encoders of kind `features`."""
    if any(u.media is not None and u.media.suffix == FEATURES for u in reading.utterances):
        other = [m for m, e in recipe.model.encoders.items() if e.get("kind", m) != "features"]
        if other:
            raise RecipeError(
                f"{source.corpus} holds ready-made features, which an encoder of {' and '.join(other)} cannot read; "
                f"give model.encoders.{other[0]} {{kind: features, width: …}}"
            )


def _some(utterances: Sequence[Utterance], limit: int | None) -> Sequence[Utterance]:
    """At most `limit` of them, spread over the whole, always the same."""
    if limit is None or len(utterances) <= limit:
        return utterances
    chosen = np.random.default_rng(0).permutation(len(utterances))[:limit]
    return [utterances[i] for i in sorted(chosen)]


def _target(source: Source, utterance: Utterance, task: Task) -> np.ndarray:
    if source.tasks is not None and task.name not in source.tasks:
        return np.full(task.width, np.nan, np.float32)
    return fold(utterance.corpus, utterance.labels, task, source.labels.get(task.name))


def modalities_of(utterance: Utterance) -> frozenset[Modality]:
    """What an utterance should have, told from its text and its file's ending (a video: speech and face)."""
    if utterance.media is not None and utterance.media.suffix == FEATURES:
        return frozenset(MODALITIES)
    found: set[Modality] = set()
    if utterance.text:
        found.add("text")
    if utterance.media is not None:
        kind = utterance.media.suffix.lower()
        found |= {"face"} if kind in IMAGES else {"speech"} if kind in SOUNDS else {"speech", "face"}
    return frozenset(found)


def takes_long(utterance: Utterance) -> bool:
    """Whether decoding is worth keeping on disk: videos, in which faces are looked for."""
    plain = IMAGES | SOUNDS | {FEATURES}
    return utterance.media is not None and utterance.media.suffix.lower() not in plain


@lru_cache(maxsize=4)
def features_of(path: Path) -> Features:
    """A file of ready-made features, read once."""
    return read_features(path)


def standardise(model: Any, items: Sequence[Item]) -> None:
    """Give every features encoder the mean and deviation of the training items' features.

    Raises RecipeError when the width of the features is not the encoder's.
    """
    rows = [features_of(i.utterance.media).row(i.utterance.id) for i in items if i.ready_made and i.utterance.media]
    for modality, encoder in model.encoders.items():
        if isinstance(encoder, FeaturesEncoder) and rows:
            stacked = np.stack([row[modality] for row in rows])
            if stacked.shape[1] != encoder.config.width:
                raise RecipeError(
                    f"model.encoders.{modality}.width is {encoder.config.width}, the features have {stacked.shape[1]}"
                )
            encoder.standardise(stacked)
