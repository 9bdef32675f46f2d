"""Cross-corpus transfer: a recipe trained on its corpus, measured on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from emofuse.data.duplicates import without_duplicates
from emofuse.data.examples import Example, ExampleSet, read_examples
from emofuse.errors import DataError, RecipeError
from emofuse.evaluation.transfer import Answered, Crossing, Transfer, answered, crossings
from emofuse.files import home_path
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task
from emofuse.training.outcome.ensemble import members
from emofuse.training.recipe.schema import Recipe
from emofuse.training.run import fit
from emofuse.types import Split


@dataclass(frozen=True)
class Abroad:
    """A corpus to measure on: its reader, its folder or file, and options of the reader."""

    corpus: str
    root: str
    options: Mapping[str, Any] = field(default_factory=dict)


def transfer(
    recipe: Recipe,
    on: Sequence[Abroad],
    *,
    split: Split = "dev",
    limit: int | None = None,
    resume: bool = False,
    command: str = "",
    resamples: int = 1000,
) -> Transfer:
    """Train a recipe of one corpus, over its `seeds`, and measure every run on a split of each of the others.

    `resume` measures runs that are finished without training them again; `limit` takes at most so many utterances a
    split, in training too. What stands in the training data as well, by content, is left out abroad and counted.
    Raises RecipeError for a recipe of several corpora, of folds or of methods, or a corpus that it trains on.
    """
    _check(recipe, on)
    tasks = recipe.model.all_tasks()
    source = recipe.data.sources[0]
    options: dict[str, Any] = {"limit": limit, "options": source.options, "overrides": source.labels}
    home = read_examples(
        source.corpus, recipe.source_root(source), ("train", "dev"), tasks, recipe.model.encoders, only=source.tasks,
        **options,
    )  # fmt: skip
    targets = [_read(abroad, split, tasks, recipe, home, limit) for abroad in on]
    fit(recipe, resume=resume, limit=limit, command=command)
    models = [EmotionModel.from_pretrained(recipe.folder / label / "model") for label, _, _ in members(recipe)]
    trained = {t.name: np.stack([e.targets[t.name] for e in home.split("train")]) for t in tasks}
    own = answered(models, home.split("dev"), source.corpus, "dev", _protocol(home, home.split("dev"), "dev"))
    found: list[Crossing] = []
    notes: list[str] = []
    sides: list[Answered] = [own]
    for abroad, (kept, examples) in zip(on, targets, strict=True):
        there = answered(models, examples, abroad.corpus, split, _protocol(kept, examples, split))
        crossed, why = crossings(tasks, trained, own, there, resamples)
        found, notes, sides = found + crossed, notes + why, [*sides, there]
    if not found:
        raise DataError("no corpus shares a label with that of training: " + "; ".join(notes))
    seeds = tuple(recipe.seeds or [recipe.seed])
    return Transfer(recipe.name, seeds, tuple(found), tuple(s.protocol for s in sides), tuple(notes))


def _check(recipe: Recipe, on: Sequence[Abroad]) -> None:
    if not on:
        raise RecipeError("name at least one corpus to measure on, for example --on meld:DATA/meld")
    if len(recipe.data.sources) != 1 or recipe.folds is not None or recipe.method:
        raise RecipeError("transfer is from one corpus over seeds: leave further sources, folds and method out")
    source = recipe.data.sources[0]
    if not (source.train and source.evaluate):
        raise RecipeError(f"transfer compares with the dev split of {source.corpus}: leave train and evaluate true")
    home = (source.corpus, recipe.source_root(source).resolve())
    for abroad in on:
        if (abroad.corpus, home_path(abroad.root).resolve()) == home:
            raise RecipeError(f"{abroad.corpus} in {abroad.root} is what the recipe trains on; name another corpus")


def _read(
    abroad: Abroad, split: Split, tasks: Sequence[Task], recipe: Recipe, home: ExampleSet, limit: int | None
) -> tuple[ExampleSet, list[Example]]:
    """A split of another corpus without what the recipe trains on."""
    read = read_examples(
        abroad.corpus, abroad.root, split, tasks, recipe.model.encoders, limit=limit, options=abroad.options
    )
    there = [e.utterance for e in read.examples]
    new = {u.id for u in without_duplicates(there, [e.utterance for e in home.split("train")])}
    examples = [e for e in read.examples if e.id in new]
    if not examples:
        raise DataError(
            f"the {split} split of {abroad.corpus} has no labelled utterance that the recipe's model reads "
            f"({', '.join(recipe.model.encoders)}) and was not trained on"
        )
    return replace(read, duplicates=read.duplicates + len(there) - len(examples)), examples


def _protocol(found: ExampleSet, examples: Sequence[Example], split: Split) -> dict[str, Any]:
    return found.protocol() | {"split": split, "n": len(examples)}
