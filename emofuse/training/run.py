"""Training runs: from a recipe to a checkpoint folder, over its seeds, folds, stages and methods."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from emofuse.errors import require_package
from emofuse.files import check_output_folder
from emofuse.training.methods import compare_methods
from emofuse.training.outcome.ensemble import members, summarise
from emofuse.training.put_together import check_parts
from emofuse.training.recipe.schema import Recipe
from emofuse.training.single import OnEpoch, Run, later
from emofuse.training.staged import train_stages
from emofuse.training.trainer import is_first, refuse_shards
from emofuse.training.validate import check_metric


def fit(
    recipe: Recipe,
    *,
    resume: bool = False,
    limit: int | None = None,
    dry_run: bool = False,
    command: str = "",
    on_epoch: OnEpoch | None = None,
) -> Path:
    """Train as the recipe says; returns the checkpoint folder (with `dry_run`, where it would be).

    `limit`: at most so many utterances a source and split. `resume` goes on from the last complete state of a run that
    was interrupted or had fewer epochs. `on_epoch` is told each epoch's number and dev score, and ends the work by
    raising. With `seeds` or `folds`, each has a run of its own, `summary.json` holds mean ± standard deviation, and the
    checkpoint of the best dev score is returned. `stages` are trained one after the other (see `train_stages`), and
    several methods of fusion are compared (see `compare_methods`). Raises RecipeError, DataError, TrainingError, and
    OutputError before any work.
    """
    refuse_shards()
    check_output_folder(recipe.folder, [recipe.root])
    check_metric(recipe.train.metric, recipe.model.all_tasks())
    if not recipe.train.epochs:
        check_parts(recipe)
    if recipe.output.wandb:
        require_package("wandb", extra="wandb")
    if recipe.optim.kind == "adamw8bit":
        require_package("bitsandbytes", extra="bits")
    if recipe.augment.speech.pitch:
        require_package("librosa", extra="train")
    if dry_run:
        from emofuse.training.recipe.dry_run import show_plan

        show_plan(recipe, limit)
        return recipe.folder / "model"
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    if recipe.method:
        how = partial(fit, resume=resume, limit=limit, command=command)
        return compare_methods(recipe, how, on_epoch)
    if recipe.seeds is None and recipe.folds is None:
        return _train(recipe, recipe.seed, recipe.folder, resume, limit, command, on_epoch)
    folders = {
        label: _train(own, s, recipe.folder / label, resume, limit, command, later(on_epoch, i * recipe.train.epochs))
        for i, (label, own, s) in enumerate(members(recipe))
    }
    return summarise(recipe, folders) if is_first() else recipe.folder


def _train(
    recipe: Recipe,
    seed: int,
    folder: Path,
    resume: bool,
    limit: int | None,
    command: str,
    on_epoch: OnEpoch | None,
) -> Path:
    """One seed of one fold, at once or in stages."""
    if recipe.stages:
        return train_stages(recipe, seed, folder, resume, limit, command, on_epoch)
    return Run(recipe, seed, folder, limit, command, on_epoch).go(resume)
