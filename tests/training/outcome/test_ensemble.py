"""Seeds and folds as one: spread, averaged predictions, averaged weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.errors import CheckpointError, RecipeError
from emofuse.model.familiarity import Familiarity
from emofuse.model.model import EmotionModel
from emofuse.tasks import TASKS
from emofuse.training.outcome.ensemble import PREDICTIONS, average_checkpoints, averaged_metrics, members, summarise
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit

pytestmark = pytest.mark.slow


def test_members_are_folds_by_seeds(recipe_values: dict[str, Any]):
    values = recipe_values | {"data": {"sources": [{"corpus": "iemocap", "options": {"media": "wav"}}]}}
    found = list(members(parse_recipe(values | {"folds": [1, 5], "seeds": [0, 7]})))
    assert [label for label, _, _ in found] == ["fold-1/seed-0", "fold-1/seed-7", "fold-5/seed-0", "fold-5/seed-7"]
    assert found[-1][1].data.sources[0].options == {"media": "wav", "fold": "5"}
    assert found[-1][2] == 7
    assert [label for label, _, _ in members(parse_recipe(values | {"folds": "all"}))] == [
        f"fold-{n}" for n in range(1, 6)
    ]
    with pytest.raises(RecipeError, match="fold 9 of iemocap"):
        list(members(parse_recipe(values | {"folds": [9]})))
    by_rule = parse_recipe(recipe_values | {"data": {"sources": [{"corpus": "ravdess"}]}, "folds": "all"})
    labels, own, _ = zip(*members(by_rule), strict=True)
    assert labels == tuple(f"fold-{n}-of-5" for n in range(1, 6))
    assert own[2].data.sources[0].options == {"fold": "3/5"}
    assert len(list(members(parse_recipe(values | {"folds": "speakers"})))) == 10
    with pytest.raises(RecipeError, match="no folds"):
        list(members(parse_recipe(recipe_values | {"folds": "all"})))


def test_seeds_are_summed_up_and_averaged(recipe_values: dict[str, Any]):
    recipe_values["train"] |= {"epochs": 1}
    recipe = parse_recipe(recipe_values | {"seeds": [0, 1]})
    best = fit(recipe)
    summary = json.loads((recipe.folder / "summary.json").read_text())
    scores = [json.loads((recipe.folder / f"seed-{s}/model/report.json").read_text())["score"] for s in (0, 1)]
    assert summary["runs"] == {"seed-0": scores[0], "seed-1": scores[1]}
    nll = summary["metrics"]["manifest/emotion.nll"]
    assert nll["n"] == 2
    assert nll["std"] > 0
    assert best == recipe.folder / f"seed-{int(np.argmax(scores))}" / "model"
    assert summary["ensemble"]["manifest/emotion.accuracy"]["mean"] <= 1
    members_nll = [averaged_metrics([recipe.folder / f"seed-{s}" / PREDICTIONS], [TASKS["emotion"]]) for s in (0, 1)]
    mean = np.mean([m["manifest"]["emotion"]["nll"] for m in members_nll])
    assert summary["ensemble"]["manifest/emotion.nll"]["mean"] <= mean + 1e-6


def write(path: Path, values: np.ndarray, targets: np.ndarray) -> Path:
    np.savez(path, **{"dev/emotion/values": values, "dev/emotion/targets": targets})
    return path


def test_averaged_predictions_can_be_right_where_each_errs(tmp_path: Path):
    targets = np.eye(7, dtype=np.float32)[[0, 1]]
    sure, wrong = np.full(7, 0.02), np.full(7, 0.02)
    sure[0], wrong[1] = 0.88, 0.50
    wrong[0] = 0.40
    one = write(tmp_path / "one.npz", np.stack([wrong, np.roll(sure, 1)]), targets)
    two = write(tmp_path / "two.npz", np.stack([sure, np.roll(wrong, 1)]), targets)
    found = averaged_metrics([one, two], [TASKS["emotion"]])["dev"]["emotion"]
    assert found["accuracy"] == 1.0
    assert averaged_metrics([one], [TASKS["emotion"]])["dev"]["emotion"]["accuracy"] == 0.5
    other = write(tmp_path / "other.npz", np.stack([sure, sure]), targets[::-1])
    with pytest.raises(CheckpointError, match="same samples"):
        averaged_metrics([one, other], [TASKS["emotion"]])


def test_undefined_metrics_are_null_in_a_summary(recipe_values: dict[str, Any]):
    recipe = parse_recipe(recipe_values | {"seeds": [0]})
    folder = recipe.folder / "seed-0" / "model"
    folder.mkdir(parents=True)
    report = {"score": 0.5, "sign": 1, "metrics": {"dev": {"emotion": {"n": 3, "uar": None}}}}
    (folder / "report.json").write_text(json.dumps(report))
    assert summarise(recipe, {"seed-0": folder}) == folder
    summary = json.loads((recipe.folder / "summary.json").read_text())
    assert summary["metrics"]["dev/emotion.uar"]["mean"] is None
    assert summary["ensemble"] == {}


def test_the_mean_of_checkpoints_is_the_mean_of_their_weights(tiny_model, tiny_config, make_segment, tmp_path: Path):
    one = tiny_model.save_pretrained(tmp_path / "one")
    torch.manual_seed(9)
    two = EmotionModel(tiny_config).eval().save_pretrained(tmp_path / "two")
    mean = EmotionModel.from_pretrained(average_checkpoints([one, two], tmp_path / "mean"))
    states = [EmotionModel.from_pretrained(p).state_dict() for p in (one, two)]
    for name, tensor in mean.state_dict().items():
        if tensor.is_floating_point() and ".temperature." not in name:
            torch.testing.assert_close(tensor, (states[0][name] + states[1][name]) / 2)
    itself = EmotionModel.from_pretrained(average_checkpoints([one, one, one], tmp_path / "same"))
    batch = collate([tiny_model.prepare(make_segment(0))])
    np.testing.assert_allclose(
        itself.predict(batch).tasks["emotion"], tiny_model.predict(batch).tasks["emotion"], atol=1e-6
    )


def test_a_mean_stays_familiar_with_what_all_of_them_measure_alike(tiny_model, tmp_path: Path):
    """And what is known of the training data, or of answers on development data, where all of them agree."""
    tensors = {"components": torch.eye(16)[:, :4], "offset": torch.zeros(4), "reference": torch.randn(60, 4)}
    tensors |= {"quantiles": torch.linspace(0, 1, 101), "slope": torch.tensor(0.25)}
    tiny_model.familiarity = torch.nn.ModuleDict({m: Familiarity(tensors) for m in ("text", "face")})
    tiny_model.config = tiny_model.config.with_priors({"intensity": [0.5]}).with_terciles({"intensity": (0.3, 0.6)})
    one = tiny_model.save_pretrained(tmp_path / "one")
    with torch.no_grad():
        tiny_model.modality_heads["text"].pool.norm.bias.add_(0.1)
    tiny_model.config = tiny_model.config.with_terciles({"intensity": (0.2, 0.7)})
    two = tiny_model.save_pretrained(tmp_path / "two")
    mean = EmotionModel.from_pretrained(average_checkpoints([one, two], tmp_path / "mean"))
    assert set(mean.familiarity) == {"face"}
    assert mean.prior("intensity") == (0.5,) and mean.terciles("intensity") is None


def test_only_models_of_one_shape_have_a_mean(tiny_model, tiny_config, tmp_path: Path):
    one = tiny_model.save_pretrained(tmp_path / "one")
    other = EmotionModel(tiny_config.model_copy(update={"tasks": tiny_config.tasks[:1]})).save_pretrained(
        tmp_path / "o"
    )
    with pytest.raises(CheckpointError, match="differ in tasks"):
        average_checkpoints([one, other], tmp_path / "mean")
    with pytest.raises(CheckpointError, match="two checkpoints"):
        average_checkpoints([one], tmp_path / "mean")
