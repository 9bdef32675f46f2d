from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.training.objective.adversarial import Neighbourhood, adversarial_loss
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.schema import Loss

EPSILON = 0.5


@pytest.fixture
def batch(tiny_model, make_segment):
    targets = {t.name: np.full(t.width, 0.0, np.float32) for t in tiny_model.tasks}
    for target in targets.values():
        target[0] = 1
    segments = [make_segment(0), make_segment(3), make_segment(2).without("text")]
    return collate([tiny_model.prepare(s, targets) for s in segments])


@pytest.fixture
def objective(tiny_model):
    counts = {t.name: np.ones(t.width) for t in tiny_model.tasks}
    return Objective(tiny_model, Loss(), counts).eval()


def norms(offset: torch.Tensor) -> torch.Tensor:
    return offset.detach().flatten(1).norm(dim=1)


def test_one_step_is_as_long_as_epsilon_and_raises_the_loss(tiny_model, objective, batch):
    with Neighbourhood(tiny_model, EPSILON) as near:
        clean = objective(batch)["loss"]
        worst = adversarial_loss(near, clean, lambda: objective(batch)["loss"], "fgm", 1)
        assert set(near.offsets) == {"text", "speech", "face"}
        for offset in near.offsets.values():
            assert norms(offset) == pytest.approx(np.full(len(offset), EPSILON), rel=1e-4)
        padding = ~batch.inputs["text"]["mask"][:2]
        assert padding.any()
        assert (near.offsets["text"][padding[:, : near.offsets["text"].shape[1]]] == 0).all()
    assert worst.item() > clean.item()


def test_several_steps_stay_in_the_ball(tiny_model, objective, batch):
    with Neighbourhood(tiny_model, EPSILON) as near:
        clean = objective(batch)["loss"]
        worst = adversarial_loss(near, clean, lambda: objective(batch)["loss"], "pgd", 3)
        for offset in near.offsets.values():
            assert (norms(offset) <= EPSILON * 1.0001).all()
    assert worst.item() > clean.item()


def test_pgd_of_one_step_is_fgm(tiny_model, objective, batch):
    found = []
    for kind in ("fgm", "pgd"):
        with Neighbourhood(tiny_model, EPSILON) as near:
            adversarial_loss(near, objective(batch)["loss"], lambda: objective(batch)["loss"], kind, 1)
            found.append({m: o.detach() for m, o in near.offsets.items()})
    for modality, offset in found[0].items():
        assert torch.allclose(offset, found[1][modality], atol=1e-5)


@pytest.mark.parametrize("kind", ["fgm", "pgd"])
def test_the_objective_adds_it_and_leaves_the_model_as_it_was(tiny_model, objective, batch, kind):
    before = objective(batch)["loss"].item()
    hard = Objective(
        tiny_model, Loss(adversarial=kind, epsilon=EPSILON), {t.name: np.ones(t.width) for t in tiny_model.tasks}
    )
    parts = hard.eval()(batch)
    assert parts["adversarial"].item() > before
    assert parts["loss"].item() == pytest.approx(before + parts["adversarial"].item(), rel=1e-5)
    parts["loss"].backward()
    lacking = [n for n, p in tiny_model.named_parameters() if p.requires_grad and p.grad is None]
    assert lacking == ["encoders.speech.backbone.masked_spec_embed"]
    assert objective(batch)["loss"].item() == pytest.approx(before, rel=1e-6)
