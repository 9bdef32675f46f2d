"""A model that starts from a checkpoint keeps what the checkpoint was taught, and says what it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.errors import RecipeError
from emofuse.modalities import mask_of
from emofuse.model.conformal import ConformalScores
from emofuse.model.model import EmotionModel
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit
from emofuse.training.tuning.init import build

FACE = mask_of({"face"})


@pytest.fixture
def base(tiny_model, tmp_path: Path) -> Path:
    """A calibrated checkpoint of three modalities, which was taught polarity from words alone."""
    torch.manual_seed(0)
    head = tiny_model.heads["polarity"]
    head.supported_subsets[:] = False
    head.supported_subsets[mask_of({"text"})] = True
    tiny_model.heads["emotion"].temperature[FACE] = 1.7
    rng = np.random.default_rng(0)
    task = next(t for t in tiny_model.tasks if t.name == "emotion")
    scores = ConformalScores.fit(rng.dirichlet(np.ones(7), 60), rng.integers(0, 7, 60), classes=task.classes)
    tiny_model.conformal = {"face": {"emotion": scores}}
    return tiny_model.save_pretrained(tmp_path / "base")


@pytest.fixture
def few(tuning_from: Callable[[Path], dict[str, Any]], base: Path) -> dict[str, Any]:
    """A recipe that tunes it on a few rows of words and voices."""
    return tuning_from(base)


def test_what_was_taught_before_a_few_rows_stays_taught_and_calibrated(few, make_segment):
    tuned = EmotionModel.from_pretrained(fit(parse_recipe(few)))
    emotion, polarity = tuned.heads["emotion"], tuned.heads["polarity"]
    assert emotion.supported_subsets[FACE] and float(emotion.temperature[FACE]) == pytest.approx(1.7)
    assert tuned.modality_heads["face"].tasks["emotion"].supported_subsets[FACE]
    assert polarity.supported_subsets[mask_of({"text"})] and not polarity.supported_subsets[FACE]
    assert set(tuned.conformal) == {"face"} and tuned.conformal["face"]["emotion"].n == 60
    said = (Path(few["output"]["folder"]) / "log.txt").read_text("utf-8")
    assert "too few dev samples of face for emotion" in said
    shares = tuned.prior("emotion")
    assert shares is not None and shares[1] == shares[2] == pytest.approx(0.5) and tuned.prior("polarity") is None


def test_what_the_recipe_has_no_room_for_is_said(few, base):
    few["model"]["tasks"] = ["emotion"]
    few["model"]["encoders"].pop("face")
    model, (line,) = build(parse_recipe(few))
    assert line.endswith("left out, since the recipe does not name it: face, polarity, intensity")
    assert model.conformal == {}


def test_all_of_a_checkpoint_must_fit(few):
    shape = {"model_type": "bert", "vocab_size": 999, "hidden_size": 16, "num_attention_heads": 2}
    few["model"]["encoders"]["text"] = {"architecture": shape}
    with pytest.raises(RecipeError, match="do not fit"):
        build(parse_recipe(few))


def test_words_of_one_s_own_may_be_added_to_what_a_checkpoint_has_learnt(few, base, make_segment):
    few["model"]["encoders"]["text"] = {"affinities": {"happy": {"joy": 1.0}}}
    model, _ = build(parse_recipe(few))
    weight = model.encoders["text"].own_words.weight
    assert weight.shape == (16, 7) and weight.requires_grad and not weight.any()
    sample = collate([model.prepare(make_segment(3).only("text"))])
    before = EmotionModel.from_pretrained(base)
    own = collate([before.prepare(make_segment(3).only("text"))])
    with torch.no_grad():
        torch.testing.assert_close(model.eval().encode(sample)["text"].states, before.encode(own)["text"].states)


def test_an_encoder_of_its_own_start_need_not_be_that_of_all(few, base, tmp_path):
    """Of `all` only what no other entry starts must fit."""
    model = EmotionModel.from_pretrained(base)
    wide = model.config.encoders["text"].architecture | {"num_hidden_layers": 1}
    text = model.config.encoders["text"].model_copy(update={"architecture": wide, "tokenizer": str(base)})
    other = EmotionModel(model.config.model_copy(update={"encoders": {"text": text}}))
    few["model"]["init"]["text"] = str(other.save_pretrained(tmp_path / "other"))
    built, lines = build(parse_recipe(few))
    assert len(lines) == 2 and len(built.encoders["text"].layers) == 1
