"""Arguments of transformers' Trainer, from a recipe."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from transformers import TrainingArguments

from emofuse.training.recipe.schema import Optim, Recipe

KEPT = 2
"""Resumable states that stay."""


def training_arguments(recipe: Recipe, folder: Path, seed: int) -> TrainingArguments:
    """The recipe in Trainer's terms; a process has one GPU at most, several are for torchrun.

    Trainer would spread a batch over all that it sees by `nn.DataParallel`, which cannot part a Batch.
    """
    train, optim = recipe.train, recipe.optim
    cpu = train.device == "cpu" or (train.device == "auto" and not torch.cuda.is_available())
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=train.epochs,
        per_device_train_batch_size=train.batch_size,
        per_device_eval_batch_size=train.eval_batch_size,
        gradient_accumulation_steps=train.accumulation,
        learning_rate=optim.lr,
        lr_scheduler_type=_schedule(optim),
        warmup_steps=_warmup(optim),
        max_grad_norm=optim.clip,
        use_cpu=cpu,
        seed=seed,
        data_seed=seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=KEPT,
        load_best_model_at_end=True,
        metric_for_best_model="score",
        greater_is_better=True,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to=["wandb"] if recipe.output.wandb else [],
        run_name=recipe.name,
        ddp_find_unused_parameters=True,
        ddp_timeout=24 * 3600,
        ddp_backend="gloo" if cpu and int(os.environ.get("WORLD_SIZE", "1")) > 1 else None,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def device_of(recipe: Recipe) -> torch.device:
    """Where the recipe trains; the CPU where there is no GPU."""
    cuda = recipe.train.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if cuda else "cpu")


def _schedule(optim: Optim) -> str:
    return "constant_with_warmup" if optim.schedule == "constant" else optim.schedule


def _warmup(optim: Optim) -> float:
    """Trainer reads a number below 1 as a share of all steps."""
    return min(optim.warmup, 0.999)
