"""The wheel of emotions as a prior of label smoothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.model.losses import categorical_loss
from emofuse.model.wheel import PETALS, place, spread
from emofuse.tasks import EMOTIONS, FERPLUS, IEMOCAP6, POLARITIES


def test_opposites_lie_across_and_neighbours_beside():
    np.testing.assert_allclose(place("joy"), -place("sadness"), atol=1e-6)
    np.testing.assert_allclose(place("anger"), -place("fear"), atol=1e-6)
    near = spread(PETALS)
    joy = dict(zip(PETALS, near[0], strict=True))
    assert joy["sadness"] == pytest.approx(0, abs=1e-6)
    assert joy["joy"] > joy["trust"] > joy["fear"] > joy["surprise"]
    assert joy["trust"] == pytest.approx(joy["anticipation"], abs=1e-6)


def test_rows_are_distributions_of_every_task_of_emotions():
    for classes in (EMOTIONS, FERPLUS, IEMOCAP6):
        near = spread(classes)
        assert (
            near.shape == (len(classes),) * 2 and (near >= 0).all() and (near.argmax(1) == np.arange(len(near))).all()
        )
        np.testing.assert_allclose(near.sum(1), 1, rtol=1e-6)
    neutral = spread(EMOTIONS)[EMOTIONS.index("neutral")]
    assert np.ptp(neutral[1:]) == pytest.approx(0, abs=1e-6), "what is neutral is as near to all"
    assert spread(POLARITIES) is None and place("positive") is None


def test_smoothing_by_the_wheel_costs_a_near_class_less_than_an_opposite_one():
    """Uniform smoothing does not tell them apart."""
    near, target = torch.from_numpy(spread(EMOTIONS)), torch.eye(7)[[EMOTIONS.index("joy")]]
    said = torch.full((2, 7), 0.02)
    for row, name in enumerate(("surprise", "sadness")):
        said[row, [EMOTIONS.index("joy"), EMOTIONS.index(name)]] = torch.tensor([0.7, 0.2])
    mask = torch.ones(1, dtype=torch.bool)

    def loss(row: int, **options) -> float:
        return categorical_loss(said[row : row + 1].log(), target, mask, smoothing=0.2, **options).item()

    assert loss(0, spread=near) < loss(1, spread=near) - 0.02
    assert loss(0) == pytest.approx(loss(1), rel=1e-5)
    uniform = torch.full((7, 7), 1 / 7)
    assert loss(0, spread=uniform) == pytest.approx(loss(0), rel=1e-5)


def test_a_recipe_s_objective_smooths_by_the_wheel_where_it_can(tiny_model):
    from emofuse.training.objective.objective import Objective
    from emofuse.training.recipe.schema import Loss

    counts = {t.name: np.ones(t.width) for t in tiny_model.tasks}
    objective = Objective(tiny_model, Loss(label_smoothing=0.1, smoothing_to="wheel"), counts)
    np.testing.assert_allclose(objective.spread_emotion.numpy(), spread(EMOTIONS))
    assert objective.spread_polarity is None
    assert Objective(tiny_model, Loss(label_smoothing=0.1), counts).spread_emotion is None
