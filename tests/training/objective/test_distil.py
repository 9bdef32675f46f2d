"""Distillation from words to voices: whose heads learn, from which rows, by which distance."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.errors import RecipeError
from emofuse.model.model import EmotionModel
from emofuse.training.assemble import assemble
from emofuse.training.objective.distil import Teacher, correlation_loss
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.recipe.schema import Distil
from emofuse.training.tuning.init import build


@pytest.fixture
def teacher(recipe_values: dict[str, Any], tmp_path) -> str:
    """A checkpoint of random weights that reads words alone."""
    values = copy.deepcopy(recipe_values)
    values["model"]["encoders"].pop("speech")
    model, _ = build(parse_recipe(values))
    torch.nn.init.normal_(model.modality_heads["text"].tasks["emotion"].linear.weight)
    return str(model.save_pretrained(tmp_path / "teacher"))


def test_the_correlation_is_pearsons_within_and_between():
    rng = np.random.default_rng(0)
    ours, theirs = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    soft = [np.exp(x / 4) / np.exp(x / 4).sum(1, keepdims=True) for x in (ours, theirs)]
    between = 1 - np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*soft, strict=True)])
    within = 1 - np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(soft[0].T, soft[1].T, strict=True)])
    found = float(correlation_loss(torch.from_numpy(ours), torch.from_numpy(theirs), 4.0))
    assert found == pytest.approx(16 * (between + within), rel=1e-4)
    assert float(correlation_loss(torch.from_numpy(ours), torch.from_numpy(ours), 4.0)) == pytest.approx(0, abs=1e-4)
    assert float(correlation_loss(torch.from_numpy(ours[:1]), torch.from_numpy(theirs[:1]), 4.0)) == 0


@pytest.mark.parametrize("kind", ["hinton", "dist"])
def test_a_voice_learns_from_what_words_say_and_nothing_else_does(recipe_values, teacher, kind):
    student, _ = build(parse_recipe(recipe_values))
    data = assemble(parse_recipe(recipe_values), 0, student, None)
    batch = collate([data.samples[0, i] for i in range(8)])
    taught = Teacher(Distil(teacher=teacher, to=["speech"], kind=kind), student)
    taught.loss(student.train()(batch), batch).backward()
    learns = {n for n, p in student.named_parameters() if p.grad is not None and p.grad.abs().any()}
    assert any(n.startswith("modality_heads.speech.") for n in learns)
    assert any(n.startswith("encoders.speech.") for n in learns)
    assert not any(n.startswith(("modality_heads.text.", "encoders.text.", "fusion.")) for n in learns)
    silent = batch.without("text")
    assert float(taught.loss(student(silent), silent).detach()) == 0


def test_a_teacher_of_words_needs_a_student_that_reads_them(recipe_values, teacher):
    values = copy.deepcopy(recipe_values)
    values["model"]["encoders"].pop("text")
    student, _ = build(parse_recipe(values))
    with pytest.raises(RecipeError, match="the model that learns does not read text"):
        Teacher(Distil(teacher=teacher, to=["speech"]), student)
    whole, _ = build(parse_recipe(recipe_values))
    with pytest.raises(RecipeError, match="does not read speech"):
        Teacher(Distil(teacher=teacher), whole)
    recipe_values["loss"] = {"distil": {"teacher": teacher, "to": ["face"]}}
    with pytest.raises(RecipeError, match=r"loss\.distil\.to: the model has no face encoder"):
        parse_recipe(recipe_values)
    assert isinstance(whole, EmotionModel)
