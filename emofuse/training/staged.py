"""Staged training: parts first, then what joins them, each stage a run whose report the last one keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emofuse.training.outcome.report import stage_report
from emofuse.training.recipe.read import stage_list
from emofuse.training.recipe.schema import Recipe
from emofuse.training.single import OnEpoch, Run


def train_stages(
    recipe: Recipe, seed: int, folder: Path, resume: bool, limit: int | None, command: str, on_epoch: OnEpoch | None
) -> Path:
    """Train the stages of a recipe one after the other; returns the checkpoint folder of the last.

    Each writes a whole run (log, curves, report, checkpoint) into `folder/stages/NAME`, the last one into `folder`.
    `resume` leaves finished stages as they are. `on_epoch` is told of the last stage alone: scores of parts are no
    scores of the whole.
    """
    before: list[dict[str, Any]] = []
    *parts, last = stage_list(recipe, folder)
    for stage, own in zip(recipe.stages, parts, strict=False):
        model = Run(own, seed, Path(own.output.folder), limit, command).go(resume)
        before.append(stage_report(stage.name, json.loads((model / "report.json").read_text("utf-8"))))
    return Run(last, seed, folder, limit, command, on_epoch, whole=recipe, before=before).go(resume)
