"""Transfer end to end: a tiny recipe over two seeds, measured on another manifest, copies left out."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from emofuse.cli.app import run
from emofuse.errors import RecipeError
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.transfer import Abroad, transfer


def written(rows: list[dict[str, str]], path: Path) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another corpus: joy, sadness and anger; one of its lines stands in the training data too."""
    said = [("so great!", "joy"), ("not so great", "sadness"), ("i am not sad", "anger"), ("this is great", "joy")]
    rows = [
        {"text": text + " xyz" * (n > 0), "speaker": f"o{n}", "split": "dev", "emotion": emotion}
        for n in range(4)
        for text, emotion in said
    ]
    return written(rows, tmp_path / "other.csv")


@pytest.fixture
def words_alone(recipe_values: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A recipe of words alone, 8 lines to train on and 4 that choose the epoch."""
    rows = [
        {"text": f"{text} {'abc'[n] * 2}" if n else text, "speaker": f"h{n}", "split": split, "emotion": emotion}
        for n, split in ((0, "train"), (1, "train"), (2, "dev"))
        for text, emotion in (
            ("this is great", "joy"),
            ("so so happy", "joy"),
            ("sad", "sadness"),
            ("so sad", "sadness"),
        )
    ]
    written(rows, tmp_path / "home.csv")
    recipe_values["model"]["encoders"].pop("speech")
    recipe_values["data"]["sources"][0]["root"] = str(tmp_path / "home.csv")
    return recipe_values


@pytest.mark.slow
def test_two_seeds_are_trained_once_and_measured_abroad(words_alone, other, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(words_alone | {"seeds": [0, 1]}), "utf-8")
    command = ["transfer", str(recipe), "--on", f"manifest:{other}", "--out", str(tmp_path / "tables")]
    assert run(command) == 0
    said = capsys.readouterr().out
    assert "manifest to manifest: emotion" in said and "Shared: joy, sadness. Left out:" in said
    found = json.loads((tmp_path / "tables" / "transfer.json").read_text("utf-8"))
    away = found["crossings"][0]["away"]
    assert found["seeds"] == [0, 1] and set(away["deviation"]) == {"accuracy", "uar", "macro_f1", "weighted_f1"}
    assert away["n"] == 11 and found["protocols"][1]["n"] == 15 and found["protocols"][1]["duplicates"] == 1
    assert len(found["protocols"][1]["split_hash"]) == 64
    before = (tmp_path / "run" / "seed-0" / "model" / "model.safetensors").stat().st_mtime_ns
    assert run([*command, "--resume"]) == 0
    assert (tmp_path / "run" / "seed-0" / "model" / "model.safetensors").stat().st_mtime_ns == before
    assert json.loads((tmp_path / "tables" / "transfer.json").read_text("utf-8")) == found


def test_what_is_no_transfer_is_refused_before_training(words_alone, tmp_path, other):
    recipe = parse_recipe(words_alone)
    with pytest.raises(RecipeError, match="is what the recipe trains on"):
        transfer(recipe, [Abroad("manifest", str(tmp_path / "home.csv"))])
    with pytest.raises(RecipeError, match="name at least one corpus"):
        transfer(recipe, [])
    several = words_alone | {"data": {"sources": 2 * words_alone["data"]["sources"]}}
    with pytest.raises(RecipeError, match="from one corpus over seeds"):
        transfer(parse_recipe(several), [Abroad("manifest", str(other))])
    assert not recipe.folder.exists()


def test_the_command_says_how_corpora_are_named(words_alone, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(words_alone), "utf-8")
    assert run(["transfer", str(recipe), "--on", "meld"]) == 2
    assert "is not CORPUS:ROOT" in capsys.readouterr().err
    assert run(["transfer", str(recipe), "--on", "meld:x", "--option", "emodb.a=1"]) == 2
    assert "CORPUS.KEY=VALUE of a corpus of --on" in capsys.readouterr().err
