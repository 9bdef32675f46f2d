"""Trained encoders put together without a gradient step, and recalibrated on recordings of whole people."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.calibration import familiarity, pools, refit
from emofuse.errors import RecipeError
from emofuse.model.config import ModelConfig
from emofuse.model.folder import FAMILIARITY as FILE
from emofuse.model.model import EmotionModel
from emofuse.training.outcome.recalibrate import recalibrate
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit


@pytest.fixture
def parts(tiny_config: ModelConfig, tmp_path: Path) -> dict[str, str]:
    """Two checkpoints of one modality each; the words know a polarity too, the voice does not."""
    found = {}
    for modality, tasks in (("text", ["emotion", "polarity"]), ("speech", ["emotion"])):
        torch.manual_seed(1)
        shape = tiny_config.model_dump()
        config = shape | {"tasks": tasks, "encoders": {modality: shape["encoders"][modality]}}
        model = EmotionModel(ModelConfig.model_validate(config))
        found[modality] = str(model.save_pretrained(tmp_path / modality))
    return found


@pytest.fixture
def values(recipe_values: dict[str, Any], parts: dict[str, str]) -> dict[str, Any]:
    """Words and voices of the tiny corpus as if they were of two corpora."""
    made = copy.deepcopy(recipe_values)
    (source,) = made["data"]["sources"]
    made["data"]["sources"] = [source | {"modalities": [m]} for m in parts]
    fusion = {"dim": 16, "layers": 1, "heads": 2, "unimodal": "passthrough", "pool": "mean", "correction": "never"}
    tasks = ["emotion", "polarity"]
    made["model"] = {"tasks": tasks, "init": parts, "encoders": {m: {} for m in parts}, "fusion": fusion}
    made["train"] |= {"epochs": 0}
    return made


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (familiarity, pools, refit):
        monkeypatch.setattr(module, "FEWEST", 4)


@pytest.mark.slow
def test_parts_stay_as_they_are_and_a_few_numbers_are_fitted(values, parts, few, make_segment, tiny_corpus, tmp_path):
    folder = fit(parse_recipe(values))
    model = EmotionModel.from_pretrained(folder)
    batch = collate([model.prepare(make_segment(i)) for i in range(3)])
    for modality, path in parts.items():
        alone = EmotionModel.from_pretrained(path)
        own = alone(collate([alone.prepare(make_segment(i)) for i in range(3)])).by_modality[modality]["emotion"]
        model_familiarity, model.familiarity = model.familiarity, torch.nn.ModuleDict()
        here = model(batch).by_modality[modality]["emotion"]
        model.familiarity = model_familiarity
        torch.testing.assert_close(here, own, atol=1e-4, rtol=1e-4)
    assert (folder / FILE).is_file() and set(model.familiarity) == {"text", "speech"}
    assert model.conformal["text+speech"]["emotion"].composed
    assert not model.conformal["text"]["emotion"].composed
    assert float(model.heads["emotion"].temperature[3]) >= 1
    polarity = model.modality_heads["speech"].tasks["polarity"]
    assert not bool(polarity.own("supported_subsets"))
    assert model.heads["polarity"].supported_subsets[[1, 2, 3]].tolist() == [True, False, True]
    assert model.prior("emotion") == pytest.approx(np.eye(7)[[1, 2]].mean(0))
    report = json.loads((folder / "report.json").read_text())
    assert report["best_epoch"] == 0 and "text.emotion" in report["metrics"]["manifest"]

    found = recalibrate(folder, tmp_path / "mine", tiny_corpus / "manifest.csv", corpus="manifest")
    mine = EmotionModel.from_pretrained(tmp_path / "mine")
    assert set(found) >= {"text+speech", "text unimodal", "speech unimodal"}
    assert bool(mine.pools["emotion"].recorded[3]) and not mine.conformal["text+speech"]["emotion"].composed
    assert (tmp_path / "mine" / FILE).is_file()
    with (tiny_corpus / "manifest.csv").open(newline="") as lines:
        rows = [f"{row['media']},{row['text']},{row['speaker']},{row['emotion']}" for row in csv.DictReader(lines)]
    (tiny_corpus / "own.csv").write_text("\n".join(["media,text,speaker,emotion", *rows]) + "\n")
    own = recalibrate(folder, tmp_path / "own", tiny_corpus / "own.csv", corpus="manifest")
    assert own["text unimodal"]["emotion"].n > found["text unimodal"]["emotion"].n, "all of it is development data"
    again = recalibrate(folder, tmp_path / "again", values["root"])
    assert again["text+speech"]["emotion"].sources == ("composed text+speech",)
    assert fit(parse_recipe(values), resume=True) == folder


@pytest.mark.parametrize("change", [{"pool": "product"}, {"correction": "always"}])
def test_what_would_have_to_be_trained_is_refused(values, change):
    values["model"]["fusion"] |= change
    with pytest.raises(RecipeError, match="trains nothing"):
        fit(parse_recipe(values))


def test_every_modality_needs_a_checkpoint(values, tiny_values):
    del values["model"]["init"]["speech"]
    values["model"]["encoders"] = tiny_values["model"]["encoders"]
    with pytest.raises(RecipeError, match="for every modality"):
        fit(parse_recipe(values))
