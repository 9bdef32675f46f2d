"""When a run steps and stops: accumulation, warm-up, schedules, early stopping, bfloat16, Weights & Biases."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from emofuse.batch import collate
from emofuse.model.model import EmotionModel
from emofuse.training.objective.objective import run
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit

pytestmark = pytest.mark.slow


@pytest.fixture
def words(recipe_values) -> dict[str, Any]:
    """The tiny recipe with its words alone, without dropout."""
    text = recipe_values["model"]["encoders"]["text"]
    text["architecture"] |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    recipe_values["model"] |= {"encoders": {"text": text}, "head_dropout": 0.0}
    recipe_values["model"]["fusion"]["dropout"] = 0.0
    return recipe_values


@pytest.fixture
def stepped(monkeypatch) -> list[tuple[list[float], list[torch.Tensor]]]:
    """The learning rates and the gradients of every optimiser step, in order."""
    found: list[tuple[list[float], list[torch.Tensor]]] = []
    plain = torch.optim.AdamW.step

    def step(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        gradients = [p.grad.clone() for g in self.param_groups for p in g["params"] if p.grad is not None]
        found.append(([group["lr"] for group in self.param_groups], gradients))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    return found


def test_accumulated_batches_have_the_gradient_of_one_that_holds_them_all(words, stepped, tmp_path):
    """Eight samples: two batches of four in one step are the batch of eight."""
    for folder, size, accumulation in (("whole", 8, 1), ("halves", 4, 2)):
        words["train"] |= {"epochs": 1, "batch_size": size, "accumulation": accumulation}
        words["optim"] |= {"clip": 0.0}
        words["output"]["folder"] = str(tmp_path / folder)
        fit(parse_recipe(words), limit=8)
    assert len(stepped) == 2
    (_, whole), (_, halves) = stepped
    assert len(whole) == len(halves) > 20 and any(g.abs().max() > 1e-3 for g in whole)
    for one, other in zip(whole, halves, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("cosine", [0, 1 / 3, 2 / 3, 1, 0.75, 0.25]),
        ("linear", [0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
        ("constant", [0, 1 / 3, 2 / 3, 1, 1, 1]),
    ],
)
def test_the_rate_rises_over_the_warm_up_and_then_keeps_to_its_schedule(words, stepped, schedule, shares):
    """Six steps, half of them warm-up."""
    words["optim"] = {"lr": 0.001, "warmup": 0.5, "schedule": schedule, "encoder_lr": {"text": 0.0005}}
    fit(parse_recipe(words))
    assert len(stepped) == 6
    for share, (rates, _) in zip(shares, stepped, strict=True):
        assert {round(rate, 9) for rate in rates} == {round(share * 0.001, 9), round(share * 0.0005, 9)}


def test_training_stops_after_so_many_epochs_without_a_better_score(words):
    """A rate of next to nothing changes no score: the first epoch is the best, and two more are waited for."""
    words["train"] |= {"epochs": 9, "patience": 2}
    words["optim"] = {"lr": 1e-12}
    report = json.loads((fit(parse_recipe(words)) / "report.json").read_text())
    assert report["best_epoch"] == 1
    assert len(report["curves"]["loss"]) == 3


def test_bfloat16_is_of_the_encoders_alone_and_no_weight_is_saved_in_it(words, stepped, tiny_model, make_segment):
    batch, seen = collate([tiny_model.prepare(make_segment(i)) for i in range(2)]), {}
    plain = tiny_model(batch)
    for name in ("encoders.text", "fusion", "heads.emotion"):
        linear = next(m for m in tiny_model.get_submodule(name).modules() if isinstance(m, torch.nn.Linear))
        linear.register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output.dtype}))
    mixed = run(tiny_model, batch, bf16=True)
    assert seen["encoders.text"] == torch.bfloat16
    assert seen["fusion"] == seen["heads.emotion"] == mixed.logits["emotion"].dtype == torch.float32
    difference = (mixed.logits["emotion"] - plain.logits["emotion"]).abs().max()
    assert 0 < difference < 0.1
    words["train"] |= {"bf16": True, "epochs": 1}
    model = fit(parse_recipe(words))
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for _, g in stepped for gradient in g)
    weights = load_file(model / "model.safetensors").values()
    assert {t.dtype for t in weights if t.is_floating_point()} == {torch.float32}
    assert "text" in EmotionModel.from_pretrained(model).modalities


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed (the extra wandb)")
def test_weights_and_biases_keeps_a_run_on_disk_when_it_is_offline(words, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    words["output"]["wandb"] = True
    words["train"]["epochs"] = 1
    assert (fit(parse_recipe(words)) / "report.json").is_file()
    assert list(Path(tmp_path).glob("wandb/offline-run-*/*.wandb"))
