"""A search draws from its space, keeps the best, goes on where it stopped, and says what a space may not hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emofuse.errors import MissingExtraError, RecipeError
from emofuse.training import tune as module
from emofuse.training.recipe.read import load_recipe, parse_recipe
from emofuse.training.recipe.schema import Recipe
from emofuse.training.run import fit
from emofuse.training.tune import load_space, parse_space, tune, with_values

pytestmark = pytest.mark.slow

SPACE = {
    "optim.lr": {"low": 1e-5, "high": 1e-2, "log": True},
    "train.batch_size": {"choices": [4, 8]},
    "model.fusion.layers": {"low": 1, "high": 3, "integer": True},
}


def test_values_are_laid_in_by_name(recipe_values: dict[str, Any]):
    recipe = parse_recipe(recipe_values)
    found = with_values(recipe, {"optim.lr": 0.5, "data.sources.0.weight": 2.0, "model.fusion.layers": 3})
    assert found.optim.lr == 0.5
    assert found.data.sources[0].weight == 2.0
    assert found.model.fusion["layers"] == 3
    assert recipe.optim.lr == 0.003
    with pytest.raises(RecipeError, match="did you mean 'lr'"):
        with_values(recipe, {"optim.lrr": 1})
    for place in ("4", "²"):
        with pytest.raises(RecipeError, match="no index"):
            with_values(recipe, {f"data.sources.{place}.weight": 1})


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({}, "mapping"),
        ({"optim.lr": {"low": 1}}, "give low and high"),
        ({"optim.lr": {"low": 2, "high": 1}}, "above high"),
        ({"optim.lr": {"low": 0, "high": 1, "log": True}}, "log needs low"),
        ({"optim.lr": {"lo": 1}}, "optim.lr"),
        ({"train.batch_size": {"choices": []}}, "empty"),
    ],
)
def test_a_bad_space_is_named(space: dict[str, Any], says: str):
    with pytest.raises(RecipeError, match=says):
        parse_space(space)


def test_a_space_is_read_from_yaml(tmp_path: Path):
    (tmp_path / "tune.yaml").write_text("optim.lr: {low: 1.0e-5, high: 1.0e-2, log: true}\n")
    assert load_space(tmp_path / "tune.yaml")["optim.lr"].log
    with pytest.raises(RecipeError, match="no search space"):
        load_space(tmp_path / "none.yaml")


def test_shipped_spaces_fit_the_recipe_beside_them(repository: Path):
    spaces = sorted((repository / "recipes").rglob("tune.yaml"))
    assert spaces
    for path in spaces:
        recipe = load_recipe(path.with_name("small.yaml"))
        for name, place in load_space(path).items():
            with_values(recipe, {name: place.choices[0] if place.choices else place.low})


def test_without_optuna_the_extra_is_named(recipe_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    def missing(package: str, extra: str) -> None:
        raise MissingExtraError(f"{package} {extra}")

    monkeypatch.setattr(module, "require_package", missing)
    with pytest.raises(MissingExtraError, match="optuna tune"):
        tune(parse_recipe(recipe_values), 1, SPACE)


def pretend(recipe: Recipe, *, limit: int | None, command: str, on_epoch: Callable[[int, float], None]) -> Path:
    """A run whose score is best at a learning rate of 1e-3; batches of 4 fail as a loss that is no number does."""
    if recipe.train.batch_size == 4:
        raise RecipeError("the loss is nan")
    folder = recipe.folder / "model"
    folder.mkdir(parents=True)
    score = 1 - abs(math.log10(recipe.optim.lr) + 3) / 10
    (folder / "report.json").write_text(json.dumps({"score": score}))
    return folder


def test_the_best_trial_becomes_a_recipe(recipe_values: dict[str, Any]):
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    recipe = parse_recipe(recipe_values)
    found = tune(recipe, 12, SPACE, run=pretend)
    assert found.trials == 12
    assert 0 < found.failed < 12
    listed = json.loads((found.folder / "trials.json").read_text())
    scores = {t["trial"]: t["score"] for t in listed if t["score"] is not None}
    assert found.score == max(scores.values())
    assert load_recipe(found.folder / "best.yaml") == found.recipe
    assert found.recipe.train.batch_size == 8
    again = tune(recipe, 14, SPACE, run=pretend)
    assert again.trials == 14
    assert again.score >= found.score


def test_a_trial_that_falls_behind_is_stopped(recipe_values: dict[str, Any]):
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    epochs: list[int] = []

    def slow(recipe: Recipe, *, limit: int | None, command: str, on_epoch: Callable[[int, float], None]) -> Path:
        """Runs are the worse the later they come; each says so after every epoch."""
        folder = recipe.folder / "model"
        folder.mkdir(parents=True)
        value = 1.0 - len(epochs) / 100
        epochs.append(0)
        for epoch in (1, 2, 3, 4):
            epochs[-1] = epoch
            on_epoch(epoch, value)
        (folder / "report.json").write_text(json.dumps({"score": value}))
        return folder

    recipe = parse_recipe(recipe_values)
    found = tune(recipe, 7, SPACE, run=slow)
    assert epochs == [4, 4, 4, 4, 2, 2, 2]
    assert (found.trials, found.pruned, found.failed, found.score) == (7, 3, 0, 1.0)
    listed = json.loads((found.folder / "trials.json").read_text())
    assert [t["state"] for t in listed] == ["complete"] * 4 + ["pruned"] * 3
    assert listed[5]["scores"] == {"1": 0.95, "2": 0.95}
    assert not (found.folder / "trial-5").exists()


def test_training_tells_each_epochs_score_and_ends_when_told(recipe_values: dict[str, Any]):
    seen: list[tuple[int, float]] = []

    class EnoughError(Exception):
        pass

    def on_epoch(epoch: int, score: float) -> None:
        seen.append((epoch, score))
        if epoch == 2:
            raise EnoughError

    recipe = parse_recipe(recipe_values | {"train": recipe_values["train"] | {"epochs": 3}})
    with pytest.raises(EnoughError):
        fit(recipe, on_epoch=on_epoch)
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert all(0 <= score <= 1 for _, score in seen)


def test_a_field_that_the_recipe_does_not_have_stops_the_search(recipe_values: dict[str, Any]):
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    with pytest.raises(RecipeError, match="optim"):
        tune(parse_recipe(recipe_values), 1, {"optim.lrr": {"low": 0, "high": 1}}, run=pretend)


def test_a_search_that_goes_on_tries_something_new(recipe_values: dict[str, Any]):
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    recipe = parse_recipe(recipe_values)
    space = {"optim.lr": SPACE["optim.lr"], "optim.warmup": {"low": 0.0, "high": 0.5}}
    for trials in (3, 6):
        found = tune(recipe, trials, space, run=pretend)
    tried = [tuple(t["values"].values()) for t in json.loads((found.folder / "trials.json").read_text())]
    assert len(set(tried)) == len(tried) == 6


def test_a_search_goes_on_with_its_own_space_and_metric_alone(recipe_values: dict[str, Any]):
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    recipe = parse_recipe(recipe_values)
    space = {"optim.lr": SPACE["optim.lr"]}
    tune(recipe, 2, space, run=pretend)
    wider = {"optim.lr": {"low": 1e-6, "high": 1e-2, "log": True}}
    with pytest.raises(RecipeError, match=r"holds a search by space .*'low': 1e-05.*, now .*'low': 1e-06.*go on with"):
        tune(recipe, 4, wider, run=pretend)
    other = with_values(recipe, {"train.metric": "emotion.uar"})
    with pytest.raises(RecipeError, match=r"a search by metric 'emotion\.accuracy', now 'emotion\.uar'"):
        tune(other, 4, space, run=pretend)
    assert tune(recipe, 4, space, run=pretend).trials == 4
