"""What makes a run another one, and what it may go on under."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from emofuse.errors import RecipeError
from emofuse.training.recipe.changes import LEARNT, ON_THE_WAY, change, check_same
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.tune import with_values

CHECKPOINT = {"text": "there/model"}


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("data.sources.0.weight", 0.5, "data.sources.0.weight 1.0, now 0.5"),
        ("data.sources.0.options", {"fold": "1/5"}, "data.sources.0.options.fold '2/5', now '1/5'"),
        ("data.modality_dropout", 0.5, "data.modality_dropout 0.0, now 0.5"),
        ("model.init", {"text": "other/model"}, "model.init.text 'there/model', now 'other/model'"),
        ("model.init", {}, "model.init.text 'there/model', now not given"),
        ("model.head_dropout", 0.5, "model.head_dropout 0.1, now 0.5"),
        ("train.metric", "emotion.uar", "train.metric 'emotion.accuracy', now 'emotion.uar'"),
        ("train.batch_size", 4, "train.batch_size 8, now 4"),
        ("train.ema", 0.9, "train.ema not given, now 0.9"),
    ],
)
def test_what_is_learnt_otherwise_is_another_run(recipe_values, place: str, value: Any, told: str):
    values = copy.deepcopy(recipe_values)
    values["model"]["init"] = CHECKPOINT
    values["data"]["sources"][0]["options"] = {"fold": "2/5"}
    made = parse_recipe(values)
    for which, but in (("a finished", ()), ("an unfinished", ON_THE_WAY)):
        with pytest.raises(RecipeError) as caught:
            check_same(Path("run"), which, made, with_values(made, {place: value}), but)
        assert f"run holds {which} run with {told}, which stays as it is" in str(caught.value)


def test_data_may_have_moved_and_a_machine_may_be_another(recipe_values, tmp_path):
    recipe_values["model"]["init"] = {"text": "/gone/words/model", "speech": "/gone/voice"}
    recipe_values["data"]["sources"][0]["options"] = {"features": "/gone/a.pkl"}
    made = parse_recipe(recipe_values)
    moved = {
        "data.sources.0.root": "elsewhere.csv",
        "data.sources.0.options": {"features": "/here/a.pkl", "cache": "/tmp/shards"},
        "data.cache": {"folder": "/tmp/cache"},
        "data.cache_mb": 1,
        "model.init": {"text": "/here/words/model", "speech": "/here/voice"},
        "train.epochs": 9,
        "train.device": "auto",
        "train.workers": 2,
        "train.budget": {"seconds": 9.0},
    }
    assert change(made, with_values(made, moved), LEARNT) is None
    assert change(made, with_values(made, {"train.patience": 3}), LEARNT) == ("train.patience", None, 3)
    assert change(made, with_values(made, {"train.patience": 3, "train.bf16": True}), LEARNT, ON_THE_WAY) is None


def test_a_checkpoint_that_is_still_there_has_not_moved(recipe_values, tmp_path):
    old = tmp_path / "a" / "words"
    old.mkdir(parents=True)
    recipe_values["model"]["init"] = {"text": str(old)}
    made = parse_recipe(recipe_values)
    now = with_values(made, {"model.init": {"text": str(tmp_path / "b" / "words")}})
    assert change(made, now, LEARNT) == ("model.init.text", str(old), str(tmp_path / "b" / "words"))
