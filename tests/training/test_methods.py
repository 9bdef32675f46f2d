"""Methods of fusion compared by one command on the same states."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emofuse.errors import RecipeError
from emofuse.model.model import EmotionModel
from emofuse.training.recipe.read import method_recipes, parse_recipe
from emofuse.training.run import fit

ALL = ["ours", "late", "mult", "misa", "tfn"]


def test_one_method_stands_for_its_field_and_several_for_recipes(recipe_values):
    recipe_values["model"]["fusion"] |= {"pool": "mean", "unimodal": "passthrough"}
    one = parse_recipe(recipe_values | {"method": "tfn"})
    assert one.method is None
    assert one.model.fusion == {"dim": 16, "layers": 1, "heads": 2, "method": "tfn"}
    several = method_recipes(parse_recipe(recipe_values | {"method": ["ours", "misa"]}))
    assert several["ours"].model.fusion["pool"] == "mean"
    assert "pool" not in several["misa"].model.fusion
    assert several["misa"].output.folder == recipe_values["output"]["folder"] + "/misa"
    with pytest.raises(RecipeError, match=r"method.*'tfnn'|method.*tfnn"):
        parse_recipe(recipe_values | {"method": ["tfnn"]})


@pytest.mark.slow
def test_every_method_trains_on_the_same_states_and_one_table_holds_them(recipe_values):
    recipe_values["method"] = ALL
    recipe_values["strategy"] = {"text": "frozen", "speech": "frozen"}
    recipe_values["train"]["epochs"] = 1
    best = fit(parse_recipe(recipe_values))
    run = Path(recipe_values["output"]["folder"])
    assert best.parent.parent == run
    rows = json.loads((run / "methods.json").read_text())
    assert [row["method"] for row in rows] == ALL
    assert len({tuple(row["split"]) for row in rows}) == 1
    table = (run / "methods.md").read_text()
    assert all(f"| {method} | " in table for method in ALL)
    for row in rows:
        figure = row["sets"]["manifest"]["emotion"]["accuracy"]
        assert figure["low"] <= figure["mean"] <= figure["high"]
        model = EmotionModel.from_pretrained(run / row["method"] / "model")
        assert model.config.fusion.method == row["method"]
    assert best == run / max(rows, key=lambda row: row["score"])["method"] / "model"


@pytest.mark.slow
def test_over_seeds_the_table_has_deviations(recipe_values):
    recipe_values |= {"method": ["late", "misa"], "seeds": [0, 1]}
    recipe_values["train"]["epochs"] = 1
    fit(parse_recipe(recipe_values))
    run = Path(recipe_values["output"]["folder"])
    rows = json.loads((run / "methods.json").read_text())
    assert all(row["runs"] == 2 and "std" in row["sets"]["manifest"]["emotion"]["uar"] for row in rows)
    assert "±" in (run / "methods.md").read_text()
    report = json.loads((run / "misa" / "seed-0" / "model" / "report.json").read_text())
    assert report["curves"]["loss"][0] > 0
