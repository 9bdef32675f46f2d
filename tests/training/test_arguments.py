"""The recipe in Trainer's terms."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import TrainingArguments

from emofuse.training import arguments as module
from emofuse.training.recipe.read import parse_recipe


@pytest.mark.parametrize(("seen", "used"), [(0, 0), (1, 1), (2, 1)])
def test_of_several_gpus_a_process_uses_one(recipe_values, tmp_path, monkeypatch, seen: int, used: int):
    """With two in sight and no torchrun, Trainer splits each batch between them, which a Batch cannot be."""

    def on_a_machine_with_gpus(**given: Any) -> TrainingArguments:
        found = TrainingArguments(**given)
        assert found.n_gpu == 0
        found._n_gpu = seen
        return found

    monkeypatch.setattr(module, "TrainingArguments", on_a_machine_with_gpus)
    found = module.training_arguments(parse_recipe(recipe_values), tmp_path, 0)
    assert found.n_gpu == used
    assert found.train_batch_size == recipe_values["train"]["batch_size"]
