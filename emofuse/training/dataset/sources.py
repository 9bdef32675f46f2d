"""The sources of a recipe as examples: what there is to train on and to choose by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emofuse.corpora.corpus import Reading
from emofuse.data.examples import Example, read_examples
from emofuse.data.load import features_of, holds_features
from emofuse.errors import DataError, RecipeError
from emofuse.modalities import Modality
from emofuse.tasks import Task
from emofuse.training.dataset.sampler import Blocks, Cells
from emofuse.training.recipe.schema import Recipe, Source
from emofuse.types import Split


@dataclass(frozen=True, eq=False)
class SourceExamples:
    """A source as read: examples to train on, examples that choose the epoch, and what was left out."""

    source: Source
    train: list[Example]
    dev: list[Example]
    unlabelled: int
    """Utterances of both splits without a label of any of the model's tasks."""
    duplicates: int
    """Dev utterances that were left out, because their content is that of a training one."""
    reading: Reading

    @property
    def cells(self) -> Cells | None:
        """Places of training examples for a balanced epoch; None where the source gives them as they occur."""
        return None if self.source.balance is None else cells(self.train, self.source.balance)

    @property
    def blocks(self) -> Blocks | None:
        """The shards of training examples that are fetched from an address; None where all are on this disk."""
        return blocks(self.train)

    def times(self) -> np.ndarray:
        """How often an epoch sees each training example, on average."""
        times, balanced = np.full(len(self.train), self.source.weight), self.cells or []
        for speakers in balanced:
            for places in speakers:
                times[places] *= len(self.train) / (len(balanced) * len(speakers) * len(places))
        return times

    def describe(self) -> str:
        """One line for the log."""
        lost = f", {self.unlabelled} left out: no label of the model's tasks" if self.unlabelled else ""
        copies = f", {self.duplicates} of dev left out: copies of training samples" if self.duplicates else ""
        problems = f", {len(self.reading.problems)} problems in its files" if self.reading.problems else ""
        return f"{self.source.corpus}: {len(self.train)} train, {len(self.dev)} dev{lost}{copies}{problems}"


def blocks(examples: Sequence[Example]) -> Blocks | None:
    """Examples by their shard, those without media among those of the first; a window fills half of the cache."""
    shards = {e.utterance.stored.shard for e in examples if e.utterance.stored}
    largest = max((s.bytes for s in shards if s.cache is not None), default=0)
    if not largest:
        return None
    numbers = {shard: number for number, shard in enumerate(sorted(shards, key=lambda s: s.place))}
    places = [numbers[e.utterance.stored.shard] if e.utterance.stored else 0 for e in examples]
    return Blocks(np.array(places, np.int64), max(1, min(s.limit for s in shards) // (2 * largest)))


def cells(examples: Sequence[Example], task: str) -> Cells:
    """Places of examples by their leading class of a task, then by speaker; those without a label are a class."""
    by_class: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, example in enumerate(examples):
        target = example.targets[task]
        label = -1 if np.isnan(target).any() else int(target.argmax())
        by_class[label][example.utterance.speaker].append(place)
    return [[np.array(places) for _, places in sorted(by_class[c].items())] for c in sorted(by_class)]


def read_source(recipe: Recipe, source: Source, tasks: Sequence[Task], limit: int | None = None) -> SourceExamples:
    """Read the splits that a source gives; `limit` examples at most a split, stratified by class.

    Raises DataError when its folder or a label is wrong, or when it has nothing that the model reads.
    """
    wanted: dict[Split, bool] = {"train": source.train, "dev": source.evaluate}
    splits: tuple[Split, ...] = tuple(split for split, yes in wanted.items() if yes)
    modalities = frozenset(source.modalities or recipe.model.encoders) & frozenset(recipe.model.encoders)
    found = read_examples(
        source.corpus, recipe.source_root(source), splits, tasks, modalities, limit=limit, options=source.options,
        overrides=source.labels, only=source.tasks,
    )  # fmt: skip
    _check_kinds(recipe, source, found.reading)
    _check_turns(recipe, source, found.reading)
    if not found.examples:
        raise DataError(
            f"{source.corpus} has no utterance to learn from: {len(found.reading.utterances)} read, "
            f"{found.unlabelled} without a label of {', '.join(t.name for t in tasks)}; "
            f"the model reads {', '.join(sorted(recipe.model.encoders))}"
        )
    return SourceExamples(
        source, found.split("train"), found.split("dev"), found.unlabelled, found.duplicates, found.reading
    )


def _check_kinds(recipe: Recipe, source: Source, reading: Reading) -> None:
    """Ready-made features need encoders of kind `features`."""
    if any(holds_features(u) for u in reading.utterances):
        other = [m for m, e in recipe.model.encoders.items() if e.get("kind", m) != "features"]
        if other:
            raise RecipeError(
                f"{source.corpus} holds ready-made features, which an encoder of {' and '.join(other)} cannot read; "
                f"give model.encoders.{other[0]} {{kind: features, width: …}}"
            )


def _check_turns(recipe: Recipe, source: Source, reading: Reading) -> None:
    """An encoder that reads the whole dialogue needs a source that gives it."""
    wanted = max(int(e.get("future_turns", 0)) for e in recipe.model.encoders.values())
    if wanted and reading.utterances and not any(u.after for u in reading.utterances):
        raise RecipeError(
            f"{source.corpus} gives no later turns, and model.encoders.text.future_turns is {wanted}: set "
            f"data.sources.N.options {{future: {wanted}}} where the corpus has it, or future_turns: 0"
        )


def standardise(model: Any, examples: Sequence[Example], fresh: Collection[Modality]) -> None:
    """Give every features encoder that starts `fresh`, from no checkpoint, the mean and deviation of the training
    examples' features.

    Raises RecipeError when the width of the features is not the encoder's.
    """
    rows = [features_of(e.utterance) for e in examples if holds_features(e.utterance)]
    for modality, encoder in model.encoders.items():
        if modality in fresh and not encoder.reads_media and rows:
            given = [row[modality] for row in rows if modality in row]
            widths = sorted({values.shape[-1] for values in given} - {encoder.config.width})
            if widths:
                raise RecipeError(
                    f"model.encoders.{modality}.width is {encoder.config.width}, the features have {widths[0]}"
                )
            if given:
                encoder.standardise(given)
