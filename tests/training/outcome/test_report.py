"""What a run leaves to read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerState

from emofuse.training.outcome.report import Progress, RunLog
from emofuse.training.recipe.read import parse_recipe


@pytest.mark.parametrize(("score", "star"), [(0.4, False), (0.6, True)])
def test_a_resumed_run_stars_what_is_better_than_before_it_stopped(
    recipe_values: dict[str, Any], tmp_path: Path, score: float, star: bool
):
    state = TrainerState(epoch=2.0, num_train_epochs=3, log_history=[{"eval_score": 0.5}, {"loss": 1.0}])
    state.is_world_process_zero = True
    with RunLog(tmp_path, resume=True) as log:
        progress = Progress(log, parse_recipe(recipe_values))
        progress.trainer = SimpleNamespace(mean_parts=lambda: {"loss": 1.0})
        progress.on_train_begin(None, state, None)
        progress.on_evaluate(None, state, None, {"eval_score": score})
    line = (tmp_path / "log.txt").read_text("utf-8")
    assert f"score {score:.4f}" in line and (" * (" in line) == star
