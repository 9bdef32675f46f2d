"""What the run in a folder was begun with: whether it is finished, and whether it may go on under a recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emofuse.errors import RecipeError
from emofuse.files import write_file
from emofuse.training.recipe.changes import ON_THE_WAY, check_same, refuse
from emofuse.training.recipe.read import load_recipe, stage_list
from emofuse.training.recipe.schema import Recipe
from emofuse.training.trainer import RECIPE

UNFINISHED = "unfinished.json"
"""Seed and limit of a run, there from its start to its end: a model beside it is that of an earlier one."""


def begin(folder: Path, seed: int, limit: int | None) -> None:
    """Say that a run has begun; raises OutputError."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / UNFINISHED, json.dumps({"seed": seed, "limit": limit}) + "\n")


def end(folder: Path) -> None:
    """Say that the model in the folder is the run's own."""
    (folder / UNFINISHED).unlink(missing_ok=True)


def finished(folder: Path, recipe: Recipe, seed: int, limit: int | None) -> bool:
    """Whether a checkpoint is there, of at least as many epochs as the recipe asks for now.

    Raises RecipeError where it is one of another recipe, seed or limit.
    """
    model = folder / "model"
    if (folder / UNFINISHED).is_file() or not (model / "report.json").is_file() or not (model / RECIPE).is_file():
        return False
    made = load_recipe(model / RECIPE)
    made = stage_list(made, folder)[-1] if made.stages else made
    more = made.train.epochs < recipe.train.epochs
    if more and any(strategy.kind == "adalora" for strategy in recipe.strategy.values()):
        raise RecipeError(
            f"{folder} holds a finished run of {made.train.epochs} epochs, and AdaLoRA's ranks are settled "
            f"when a run ends: train {recipe.train.epochs} epochs anew with output.overwrite=true"
        )
    _check_begun(folder, "a finished", json.loads((model / "report.json").read_text("utf-8")), seed, limit)
    check_same(folder, "a finished", made, recipe, ON_THE_WAY if more else ())
    return not more


def check_unfinished(folder: Path, state: Path, recipe: Recipe, seed: int, limit: int | None) -> None:
    """Raise RecipeError where the run of a resumable state is one of another recipe, seed or limit."""
    if (folder / UNFINISHED).is_file():  # older versions wrote none
        begun = json.loads((folder / UNFINISHED).read_text("utf-8"))
        _check_begun(folder, "an unfinished", begun, seed, limit)
    if (state / RECIPE).is_file():  # the first versions wrote none
        check_same(folder, "an unfinished", load_recipe(state / RECIPE), recipe, ON_THE_WAY)


def _check_begun(folder: Path, which: str, begun: Mapping[str, Any], seed: int, limit: int | None) -> None:
    """Of the two, those that are told."""
    for name, now in {"seed": seed, "limit": limit}.items():
        if name in begun and begun[name] != now:
            refuse(folder, which, name, begun[name], now)
