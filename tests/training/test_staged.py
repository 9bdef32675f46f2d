"""Staged training: parts, then what joins them; a weak part does not spoil a strong one; every stage is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import special

from emofuse.errors import RecipeError
from emofuse.model.model import EmotionModel
from emofuse.tasks import TASKS, Task
from emofuse.training.recipe.read import load_recipe, parse_recipe, stage_list
from emofuse.training.recipe.stages import starts
from emofuse.training.run import fit
from emofuse.training.start_pool import FLOOR, fit_weights

STAGES = [
    {"name": "words", "modalities": ["text"], "train": {"epochs": 2}},
    {"name": "voice", "modalities": ["speech"], "optim": {"lr": 0.001}},
    {"name": "join", "strategy": {"text": "frozen", "speech": "frozen"}},
    {"name": "all", "optim": {"lr": 0.0005}},
]


def test_a_stage_is_a_recipe_that_starts_from_those_before_it(recipe_values):
    recipe_values["stages"] = STAGES
    recipe_values["optim"]["encoder_lr"] = {"text": 0.01, "speech": 0.02}
    recipe = parse_recipe(recipe_values)
    words, voice, join, last = stage_list(recipe, Path("run"))
    assert (list(words.model.encoders), words.optim.encoder_lr) == (["text"], {"text": 0.01})
    assert words.model.fusion["method"] == "late"
    assert (voice.optim.lr, words.optim.lr) == (0.001, 0.003)
    assert join.model.init == {"text": "run/stages/words/model", "speech": "run/stages/voice/model"}
    assert (join.model.start_pool, last.model.start_pool) == ("fitted", "even")
    assert join.strategy["text"].kind == "frozen"
    assert not last.strategy
    assert last.model.init == {"all": "run/stages/join/model"}
    assert [stage.train.keep_start for stage in (words, voice, join, last)] == [False, True, True, True]
    assert (last.name, last.output.folder) == ("tiny", "run")
    assert starts(recipe, 1) == {}


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"name": "a", "optim": {"lrr": 1}}], r"stage a: unknown key 'optim\.lrr'; did you mean 'lr'"),
        ([{"name": "a", "modalities": ["texts"]}], r"stages\.a\.modalities.*did you mean 'text'"),
        ([{"name": "a", "modalities": ["text"]}], "the last one, a, trains the whole model"),
        ([{"name": "a"}, {"name": "a"}], "each has a name of its own"),
        ([{"name": "a", "strategies": {}}], r"stages.*strategies.*did you mean 'strategy'"),
    ],
)
def test_a_stage_that_is_wrong_is_refused_before_the_first_begins(recipe_values, stages, message):
    recipe_values["stages"] = stages
    with pytest.raises(RecipeError, match=message):
        parse_recipe(recipe_values)


@pytest.mark.slow
def test_stages_train_in_turn_resume_and_tell_of_each(recipe_values, capfd):
    recipe_values["stages"] = STAGES
    recipe_values["train"]["epochs"] = 1
    model = fit(parse_recipe(recipe_values))
    run = Path(recipe_values["output"]["folder"])
    assert model == run / "model"
    report = json.loads((model / "report.json").read_text())
    assert [s["name"] for s in report["stages"]] == ["words", "voice", "join", "all"]
    assert report["stages"][0]["parameters"].keys() == {"text", "fusion and heads", "all"}
    assert report["stages"][2]["parameters"]["text"]["trainable"] == 0
    assert report["stages"][3]["parameters"]["text"]["trainable"] > 0
    assert report["stages"][2]["start"]["parts"].keys() == {"text", "speech"}
    card = (model / "README.md").read_text()
    assert "| words |" in card and "Before the first step of joining them" in card
    assert [s.name for s in load_recipe(model / "recipe.yaml").stages] == ["words", "voice", "join", "all"]
    encoders = [load_file(run / "stages" / name / "model" / "model.safetensors") for name in ("words", "join")]
    own = [n for n in encoders[0] if n.startswith("encoders.text.")]
    assert own and all(torch.equal(encoders[0][n], encoders[1][n]) for n in own)
    assert "text" in EmotionModel.from_pretrained(model).modalities
    stamps = {p: p.stat().st_mtime_ns for p in run.rglob("model.safetensors")}
    (model / "report.json").unlink()
    fit(parse_recipe(recipe_values), resume=True)
    again = {p: p.stat().st_mtime_ns for p in run.rglob("model.safetensors")}
    assert [p.parent.parent.name for p in stamps if "states" not in p.parts and again.get(p) != stamps[p]] == [run.name]
    with pytest.raises(RecipeError, match="holds a run already"):
        fit(parse_recipe(recipe_values))
    recipe_values["model"]["fusion"]["dim"] = 24
    with pytest.raises(RecipeError, match=r"run/stages/words holds a finished run with model\.fusion\.dim 16, now 24"):
        fit(parse_recipe(recipe_values), resume=True)
    recipe_values["model"]["fusion"]["dim"] = 16
    recipe_values["stages"][3]["optim"]["lr"] = 0.5
    with pytest.raises(RecipeError, match=r"run holds a finished run with optim\.lr 0\.0005, now 0\.5"):
        fit(parse_recipe(recipe_values), resume=True)


@pytest.mark.slow
def test_a_stage_that_makes_it_worse_leaves_it_as_it_was(recipe_values, capfd):
    recipe_values["train"]["epochs"] = 6
    ruin = {"name": "ruin", "optim": {"lr": 3.0}, "train": {"epochs": 1}}
    recipe_values["stages"] = [{"name": "learn"}, ruin]
    model = fit(parse_recipe(recipe_values))
    assert "no epoch scored more on dev than the start, which stays" in capfd.readouterr().err
    report = json.loads((model / "report.json").read_text())
    before, after = report["stages"]
    assert (before["score"], before["best_epoch"] > 0) == (after["score"], True)
    assert (report["best_epoch"], report["curves"]["epoch"]) == (0, [0, 1])
    assert "| ruin |" in (card := (model / "README.md").read_text()) and "| 0, the start |" in card
    learnt, kept = (load_file(path / "model.safetensors") for path in (model.parent / "stages/learn/model", model))
    same = [name for name in kept if name.startswith(("encoders.", "fusion.", "heads."))]
    assert len(same) > 50 and all(torch.equal(kept[name], learnt[name]) for name in same)
    ruin["train"]["keep_start"] = False
    recipe_values["output"] |= {"folder": recipe_values["output"]["folder"] + "-anew"}
    report = json.loads((fit(parse_recipe(recipe_values)) / "report.json").read_text())
    assert report["best_epoch"] == 1 and report["score"] < before["score"]


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["product", "mean"])
def test_fusion_begins_no_worse_than_its_best_part_however_weak_another_is(recipe_values, pool):
    """The voice was never trained: even weights would let its noise in."""
    recipe_values["train"]["epochs"] = 14
    recipe_values["model"]["fusion"]["pool"] = pool
    recipe_values["stages"] = [
        {"name": "words", "modalities": ["text"]},
        {"name": "voice", "modalities": ["speech"], "train": {"epochs": 1}, "optim": {"lr": 1e-9}},
        {"name": "join", "strategy": {"text": "frozen", "speech": "frozen"}, "train": {"epochs": 1}},
    ]
    model = fit(parse_recipe(recipe_values))
    start = json.loads((model / "report.json").read_text())["start"]
    assert start["parts"]["text"] > start["parts"]["speech"]
    assert start["score"] >= start["parts"]["text"]
    assert start["weights"]["emotion"]["text"] > start["weights"]["emotion"]["speech"]


@pytest.mark.parametrize("task", [TASKS["emotion"], TASKS["valence"], Task("both", "multilabel", ("a", "b"))])
def test_fitted_weights_have_no_more_loss_than_the_best_part(task):
    rng = np.random.default_rng(0)
    if task.exclusive:
        targets = np.eye(task.width)[rng.integers(0, task.width, 200)]
        good = 3 * targets + rng.standard_normal(targets.shape)
    elif task.classes:
        targets = (rng.random((200, 2)) < 0.5).astype(float)
        good = 4 * targets - 2 + rng.standard_normal(targets.shape)
    else:
        targets = rng.uniform(-1, 1, (200, 1))
        good = targets + 0.1 * rng.standard_normal(targets.shape)
    bad = 5 * rng.standard_normal(targets.shape)
    weights = fit_weights(task, np.stack([bad, good], 1), targets)
    assert weights[1] > 4 * weights[0]
    assert weights[0] >= FLOOR
    if task.exclusive:
        loss = [
            -(targets * special.log_softmax(z, 1)).sum(1).mean() for z in (bad * weights[0] + good * weights[1], good)
        ]
        assert loss[0] <= loss[1] + 1e-6
