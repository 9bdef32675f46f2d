"""The objective: what it sets in the model before it learns."""

from __future__ import annotations

import numpy as np

from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.schema import Loss


def test_bfloat16_on_a_cpu_learns_with_eager_attention(tiny_model) -> None:
    counts = {task.name: np.ones(task.width) for task in tiny_model.tasks}
    config = tiny_model.encoder("text").backbone.config
    Objective(tiny_model, Loss(), counts)
    assert config._attn_implementation == "sdpa"
    Objective(tiny_model, Loss(), counts, bf16=True)
    assert config._attn_implementation == "eager"
