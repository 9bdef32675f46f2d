"""Calibration at the end of training, and again later: every subset of the modalities, the same answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emofuse.calibration import refit
from emofuse.errors import CheckpointError, DataError
from emofuse.model.model import EmotionModel
from emofuse.training.outcome.recalibrate import recalibrate
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit

pytestmark = pytest.mark.slow


def test_every_subset_is_calibrated_in_training_and_again(
    recipe_values: dict[str, Any], tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(refit, "FEWEST", 4)
    folder = fit(parse_recipe(recipe_values | {"train": recipe_values["train"] | {"epochs": 1}}))
    report = json.loads((folder / "report.json").read_text())
    fused = {"text", "speech", "text+speech"}
    assert set(report["calibration"]) == fused | {"text unimodal", "speech unimodal"}
    assert report["calibration"]["text"]["emotion"]["sources"] == ["manifest"]
    model = EmotionModel.from_pretrained(folder)
    assert set(model.conformal) == fused
    temperatures = model.heads["emotion"].temperature.tolist()
    assert [t != 1.0 for t in temperatures] == [False, True, True, True, False, False, False, False]
    found = recalibrate(folder, tmp_path / "again", tiny_corpus)
    again = EmotionModel.from_pretrained(tmp_path / "again")
    assert again.heads["emotion"].temperature.tolist() == pytest.approx(temperatures, rel=1e-3)
    assert found["text"]["emotion"].n == 8
    assert again.conformal == model.conformal
    assert (tmp_path / "again" / "recipe.yaml").read_text() == (folder / "recipe.yaml").read_text()
    monkeypatch.setattr(refit, "FEWEST", 50)
    with pytest.raises(DataError, match="too few labelled dev samples"):
        recalibrate(folder, tmp_path / "none", tiny_corpus)
    (folder / "recipe.yaml").unlink()
    with pytest.raises(CheckpointError, match=r"no recipe\.yaml"):
        recalibrate(folder, tmp_path / "none", tiny_corpus)
