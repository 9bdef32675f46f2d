from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from emofuse.errors import DataError, RecipeError
from emofuse.training.recipe.read import load_recipe, parse_recipe
from emofuse.training.run import fit

pytestmark = pytest.mark.slow


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run that opens a connection fails."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a dry run must not ask the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def shown(values: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    fit(parse_recipe(values), dry_run=True)
    return capsys.readouterr().out


def test_the_plan_counts_data_weights_groups_and_steps(recipe_values, capsys, no_network):
    recipe_values["strategy"] = {"text": {"kind": "lora", "rank": 2}, "speech": "frozen"}
    recipe_values["optim"] = {"lr": 0.003, "encoder_lr": {"text": 0.0001}}
    said = shown(recipe_values, capsys)
    assert "manifest: 24 train, 8 dev" in said
    assert "emotion, train: 24, joy 12, sadness 12" in said
    assert "text: from scratch; lora (rank 2)" in said
    assert "speech: 0 of " in said
    assert "lr 0.003, decay 0.01" in said
    assert "lr 0.0001, decay 0.01" in said
    assert "steps: 3 an epoch over 24 samples, 6 in all; epoch by emotion.accuracy" in said
    assert not Path(recipe_values["output"]["folder"]).exists()


def test_a_missing_root_and_weights_of_the_hub_are_part_of_the_plan(recipe_values, capsys, no_network, tmp_path):
    recipe_values["root"] = str(tmp_path / "nowhere")
    recipe_values["model"]["encoders"]["text"] = {"source": "somebody/not-here"}
    recipe_values["model"]["init"] = {"speech": "runs/not-yet/model"}
    said = shown(recipe_values, capsys)
    assert f"nothing at {tmp_path / 'nowhere' / 'manifest.csv'}" in said
    assert "text: somebody/not-here is not in the cache and would be fetched" in said
    assert "starts from runs/not-yet/model, which is not there yet" in said
    assert "steps: known once all data are here" in said
    assert "writes: " in said


def test_what_would_stop_the_run_stops_the_plan(recipe_values, capsys, tmp_path):
    recipe_values["model"]["fusion"]["dimm"] = 3
    with pytest.raises(RecipeError, match=r"did you mean 'dim'\?"):
        shown(recipe_values, capsys)
    recipe_values["model"]["fusion"] = {"dim": 16, "heads": 2}
    recipe_values["strategy"] = {"speech": "prefix"}
    with pytest.raises(RecipeError, match="valid here: full, top, frozen, lora, adalora, ia3"):
        shown(recipe_values, capsys)
    recipe_values["strategy"] = {}
    bad = tmp_path / "bad.csv"
    bad.write_text("text,split,emotion\nhappy,train,bliss\n")
    recipe_values["data"]["sources"][0]["root"] = str(bad)
    with pytest.raises(DataError, match="row 2"):
        shown(recipe_values, capsys)
    assert "writes: " in capsys.readouterr().out


def test_every_recipe_dry_runs_without_data_or_network(repository, capsys, no_network, tmp_path):
    recipes = [p for p in sorted((repository / "recipes").rglob("*.yaml")) if p.stem != "tune"]
    assert recipes
    for path in recipes:
        fit(load_recipe(path, [f"root={tmp_path / 'nowhere'}"]), dry_run=True)
        said = capsys.readouterr().out
        assert "writes: " in said, path
        assert "schedule: " in said, path
