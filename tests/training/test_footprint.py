"""The plan's memory against what a whole step takes, and activations that are computed again."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

from emofuse.errors import MissingExtraError, RecipeError
from emofuse.training.assemble import assemble
from emofuse.training.dataset.budget import Within, seconds_a_step
from emofuse.training.footprint import Step, at_rest, copies_of, footprint, largest, pace, peak_of
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.recipe.schema import Recipe
from emofuse.training.run import fit
from emofuse.training.tuning.init import build
from emofuse.training.tuning.optim import build_optimizer
from emofuse.training.tuning.recompute import recompute
from emofuse.training.tuning.strategies import apply_strategies


def step_of(recipe: Recipe):
    torch.manual_seed(0)
    model, _ = build(recipe)
    frozen = apply_strategies(model, recipe.strategy)
    if recipe.train.checkpointing:
        recompute(model, frozen)
    data = assemble(recipe, 0, model, None)
    objective = Objective(model, recipe.loss, data.counts, frozen)
    return Step(objective, build_optimizer(model, recipe.optim)), [data.samples[0, i] for i in range(24)]


@pytest.fixture
def wide_values(recipe_values: dict[str, Any]) -> dict[str, Any]:
    """Wide enough for activations to weigh more than what is held anyway."""
    for encoder in recipe_values["model"]["encoders"].values():
        encoder["architecture"] |= {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3}
    recipe_values["model"]["fusion"]["dim"] = 64
    return recipe_values


@pytest.mark.slow
@pytest.mark.parametrize("change", [{}, {"checkpointing": True}, {"budget": {"seconds": 5.0}}])
def test_the_estimate_is_within_fifteen_percent_of_a_whole_step(wide_values, change):
    wide_values["train"] |= change
    recipe = parse_recipe(wide_values)
    step, samples = step_of(recipe)
    within = Within(recipe.train.budget, seconds_a_step(step.objective.model))
    found = footprint(step, samples, within)
    parts = within(samples)
    measured = peak_of(step.allocations(parts))
    assert found.rows == len(largest(within.parts(samples)))
    assert (found.rows < 24) == ("budget" in change)
    assert found.step == pytest.approx(measured, rel=0.15)
    held = sum(p.nbytes for p in step.objective.model.parameters())
    assert found.optimizer == pytest.approx(2 * held, rel=0.01)
    assert found.peak == found.weights + found.optimizer + found.step


@pytest.mark.parametrize(("change", "copies"), [({}, 0), ({"ema": 0.9}, 1), ({"ema": 0.9, "keep_start": True}, 2)])
def test_copies_of_what_learns_are_counted_where_they_are(recipe_values, change, copies):
    recipe_values["train"] |= change
    recipe = parse_recipe(recipe_values)
    step, samples = step_of(recipe)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert (copies_of(recipe.train, cpu), copies_of(recipe.train, gpu)) == (copies, min(copies, 1))
    model, within = step.objective.model, Within(None, seconds_a_step(step.objective.model))
    learns = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    found = footprint(step, samples[:4], within, copies)
    assert found.optimizer - step.held() == copies * learns
    assert at_rest(model, recipe.optim, copies).learning - at_rest(model, recipe.optim).learning == copies * learns


@pytest.mark.slow
def test_computing_again_takes_less_and_gives_the_same_gradients(wide_values):
    found = {}
    for again in (False, True):
        wide_values["train"]["checkpointing"] = again
        step, samples = step_of(parse_recipe(wide_values))
        batches = Within(None, 0.0)(samples)
        objective = step.objective.train()
        torch.manual_seed(1)
        objective(batches[0])["loss"].backward()
        gradients = {n: p.grad.clone() for n, p in objective.named_parameters() if p.grad is not None}
        step.optimizer.zero_grad()
        step(batches)
        found[again] = gradients, peak_of(step.allocations(batches))
    assert found[True][1] < 0.8 * found[False][1]
    assert found[True][0].keys() == found[False][0].keys()
    assert all(torch.allclose(g, found[True][0][n], atol=1e-6) for n, g in found[False][0].items())


def test_a_prefix_cannot_be_recomputed(recipe_values):
    recipe_values["strategy"] = {"text": {"kind": "prefix", "tokens": 2}}
    model, _ = build(parse_recipe(recipe_values))
    frozen = apply_strategies(model, parse_recipe(recipe_values).strategy)
    with pytest.raises(RecipeError, match="use prompt or lora"):
        recompute(model, frozen)


def test_a_pace_counts_loading_beside_learning(recipe_values):
    step, samples = step_of(parse_recipe(recipe_values))
    taken = pace(step, lambda: Within(None, 0.0)(samples[:4]))
    assert taken.learn > 0 and taken.load > 0
    assert taken.step(0) == taken.learn + taken.load
    assert taken.step(2) == max(taken.learn, taken.load / 2)


@pytest.mark.slow
def test_the_plan_tells_memory_time_and_whether_it_fits(recipe_values, capsys, monkeypatch):
    threads = torch.get_num_threads()
    fit(parse_recipe(recipe_values), dry_run=True)
    said = capsys.readouterr().out
    assert "rows at once): weights" in said and "fits in the" in said
    assert "s to learn from 8 samples" in said and "in all without development passes" in said
    assert torch.get_num_threads() == threads
    monkeypatch.setattr("emofuse.training.recipe.measured.free_memory", lambda device: 1_000_000)
    fit(parse_recipe(recipe_values), dry_run=True)
    said = capsys.readouterr().out
    assert "does not fit in the 1.0 MB free" in said and "time: not measured" in said
    monkeypatch.setattr("emofuse.training.recipe.measured.free_memory", lambda device: 1000)
    fit(parse_recipe(recipe_values), dry_run=True)
    assert "too much to measure here" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_eight_bits_ask_for_their_package_before_the_work(recipe_values):
    recipe_values["optim"]["kind"] = "adamw8bit"
    with pytest.raises(MissingExtraError, match=r"emofuse\[bits\]"):
        fit(parse_recipe(recipe_values))


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes (extra bits)")
def test_moments_in_eight_bits_take_a_quarter(wide_values):
    held = {}
    for kind in ("adamw", "adamw8bit"):
        wide_values["optim"]["kind"] = kind
        step, samples = step_of(parse_recipe(wide_values))
        step(Within(None, 0.0)(samples[:8]))
        held[kind] = step.held()
    assert held["adamw8bit"] < 0.6 * held["adamw"]
