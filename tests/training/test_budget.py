"""Budgets of seconds, faces and word pieces: what runs at once is capped, what is learnt stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from emofuse.errors import RecipeError
from emofuse.prepared import PreparedSample
from emofuse.training.dataset.budget import Within, padded
from emofuse.training.recipe.machine import Budget
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit


def sample(seconds: float = 0, faces: int = 0, pieces: int = 0) -> PreparedSample:
    steps = {"speech": round(seconds * 100), "face": faces, "text": pieces}
    return PreparedSample({m: {"mask": np.ones(n, bool)} if n else None for m, n in steps.items()}, {})


def test_parts_keep_every_sample_and_stay_within_each_cap():
    rng = np.random.default_rng(0)
    samples = [sample(rng.uniform(0, 9), int(rng.integers(0, 9)), int(rng.integers(1, 60))) for _ in range(40)]
    for budget in (Budget(seconds=20), Budget(faces=16), Budget(pieces=100), Budget(seconds=30, faces=20, pieces=300)):
        within = Within(budget, 0.01)
        parts = within.parts(samples)
        assert sorted(id(s) for part in parts for s in part) == sorted(map(id, samples))
        assert len(parts) > 1
        for part in parts:
            assert len(part) == 1 or within.fits(part)
            assert budget.seconds is None or 0.01 * padded(part, "speech") <= budget.seconds or len(part) == 1


def test_a_batch_that_fits_stays_as_it_is_and_a_sample_above_the_cap_is_alone():
    samples = [sample(3), sample(1), sample(2)]
    assert Within(Budget(seconds=9), 0.01).parts(samples) == [samples]
    assert Within(None, 0.01).parts(samples) == [samples]
    parts = Within(Budget(seconds=4), 0.01).parts(samples)
    assert [len(part) for part in parts] == [2, 1]
    assert [len(p) for p in Within(Budget(seconds=0.5), 0.01).parts(samples)] == [1, 1, 1]


@pytest.mark.slow
def test_a_budget_changes_what_runs_at_once_and_not_what_is_learnt(recipe_values, monkeypatch):
    recipe_values["model"]["head_dropout"] = 0.0
    recipe_values["model"]["fusion"]["dropout"] = 0.0
    for encoder in recipe_values["model"]["encoders"].values():
        names = (
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "hidden_dropout",
            "attention_dropout",
            "conformer_conv_dropout",
        )
        encoder["architecture"] |= dict.fromkeys((*names, "feat_proj_dropout", "activation_dropout"), 0.0)
    recipe_values["train"]["epochs"] = 1
    sizes: dict[str, list[int]] = {}
    from emofuse.training.objective.objective import Objective

    plain = Objective.forward
    found = {}
    for name, budget in (("whole", None), ("parts", {"seconds": 1.0, "pieces": 30})):
        sizes[name] = []

        def counted(self, batch, name=name):
            sizes[name].append(len(batch))
            return plain(self, batch)

        monkeypatch.setattr(Objective, "forward", counted)
        recipe_values["train"]["budget"] = budget
        recipe_values["output"] |= {"folder": recipe_values["output"]["folder"] + name}
        model = fit(parse_recipe(recipe_values))
        losses = json.loads((model / "report.json").read_text())["curves"]["loss"]
        found[name] = losses, load_file(next(Path(model).parent.rglob("checkpoint-3")) / "model.safetensors")
    assert sizes["whole"] == [8, 8, 8]
    assert sum(sizes["parts"]) == 24 and max(sizes["parts"]) < 8
    (one, weights), (two, others) = found["whole"], found["parts"]
    assert one == pytest.approx(two, rel=1e-3)
    moved = [n for n, t in weights.items() if t.is_floating_point() and not np.allclose(t, others[n], atol=2e-4)]
    moved = [
        n for n in moved if not n.endswith("pool.score.2.bias")
    ]  # a constant of a softmax has no gradient but noise
    assert moved == []


def test_a_budget_of_nothing_is_refused(recipe_values):
    recipe_values["train"]["budget"] = {"seconds": 0}
    with pytest.raises(RecipeError, match=r"train\.budget\.seconds.*greater than 0"):
        parse_recipe(recipe_values)
