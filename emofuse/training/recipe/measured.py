"""The measured part of a plan: peak memory and time, from a few steps of the model in its shape, from scratch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from emofuse.errors import installed
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.training.arguments import device_of
from emofuse.training.assemble import Data, assemble
from emofuse.training.dataset.budget import Within, seconds_a_step
from emofuse.training.dataset.sampler import Buckets, Key
from emofuse.training.dataset.sources import SourceExamples
from emofuse.training.footprint import AtRest, Footprint, Step, copies_of, footprint, free_memory, pace
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.schema import Recipe
from emofuse.training.tuning.init import describing_model, model_config
from emofuse.training.tuning.optim import build_optimizer
from emofuse.training.tuning.recompute import recompute
from emofuse.training.tuning.strategies import apply_strategies

ROOM = 0.5
"""Share of the free memory that the plan itself may take."""
BITS = "bitsandbytes"
"""What packs weights into 4 bits."""


def measured(
    recipe: Recipe,
    encoders: Mapping[Modality, Mapping[str, Any]],
    gathered: list[SourceExamples],
    rest: AtRest,
    limit: int | None = None,
) -> list[str]:
    """The lines of memory and time; no weights are read, nothing is written, and no random state is changed.

    `rest`: what is known of the memory before that.
    """
    unmeasured = _unmeasured(recipe, rest)
    if unmeasured:
        free, device = free_memory(device_of(recipe)), "GPU" if device_of(recipe).type == "cuda" else "CPU"
        fits = f"{'more than' if rest.all > free else 'of'} the {_gb(free)} free on this {device}"
        return [
            f"memory: {_gb(rest.all)} for weights ({_gb(rest.weights)}), and for gradients and moments of what learns "
            f"({_gb(rest.learning)}) alone, {fits}: {unmeasured}"
        ]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(recipe.train.threads or threads)
        with torch.random.fork_rng():
            return list(_told(recipe, *_step(recipe, encoders, gathered, limit)))
    finally:
        torch.set_num_threads(threads)


def _unmeasured(recipe: Recipe, rest: AtRest) -> str:
    """Why no step is taken here; "" where one is."""
    if max(rest.all, rest.built) > ROOM * free_memory(torch.device("cpu")):
        return "too much to measure here"
    packed = any(values.get("weights") == "4bit" for values in recipe.model.encoders.values())
    if packed and not installed(BITS):
        return (
            f"not measured, since {BITS} is not installed, nor can this be trained without: pip install 'emofuse[bits]'"
        )
    return ""


def _step(
    recipe: Recipe,
    encoders: Mapping[Modality, Mapping[str, Any]],
    gathered: list[SourceExamples],
    limit: int | None,
) -> tuple[Data, Step]:
    model, frozen = _model(recipe, encoders)
    words = recipe.augment.text.model_copy(update={"rewrite": 0.0})  # asks no model before a run that is only planned
    augment = recipe.augment.model_copy(update={"text": words})
    bare = recipe.model_copy(update={"data": recipe.data.model_copy(update={"cache": None}), "augment": augment})
    data = assemble(bare, recipe.seed, model.to(device_of(recipe)), limit, gathered)
    loss = recipe.loss.model_copy(update={"distil": None})
    groups = data.samples.group_names
    objective = Objective(model, loss, data.counts, frozen, recipe.train.bf16, groups).to(model.device)
    return data, Step(objective, build_optimizer(model, recipe.optim))


def _model(recipe: Recipe, encoders: Mapping[Modality, Mapping[str, Any]]) -> tuple[EmotionModel, set[Modality]]:
    """From scratch, with everything that decides what a step keeps."""
    section = recipe.model.model_copy(update={"encoders": {m: dict(v) for m, v in encoders.items()}, "init": {}})
    with describing_model():
        model = EmotionModel(model_config(recipe.model_copy(update={"model": section})))
    frozen = apply_strategies(model, recipe.strategy)
    if recipe.train.checkpointing:
        recompute(model, frozen)
    return model, frozen


def _told(recipe: Recipe, data: Data, step: Step) -> Iterator[str]:
    within = Within(recipe.train.budget, seconds_a_step(step.objective.model))
    batches = Buckets(data.shares, data.samples.lengths, recipe.train.batch_size)
    longest, middling = _chosen(list(batches), data)
    found = footprint(step, [data.samples[key] for key in longest], within, copies_of(recipe.train, step.device))
    free = free_memory(step.device)
    yield _memory(found, free, step.device.type) + (", without the teacher" if recipe.loss.distil else "")
    if found.peak > free:
        yield "time: not measured, since a step does not fit"
        return
    taken = pace(step, lambda: within([data.samples[key] for key in middling]))
    once = taken.step(recipe.train.workers)
    epoch = once * len(batches)
    yield (
        f"time: {once * recipe.train.accumulation:.2f} s a step ({taken.learn:.2f} s to learn from "
        f"{len(middling)} samples, {taken.load:.2f} s to load them), {_clock(epoch)} an epoch, "
        f"{_clock(epoch * recipe.train.epochs)} in all without development passes"
    )


def _chosen(batches: list[list[Key]], data: Data) -> tuple[list[Key], list[Key]]:
    """The batch of the most padded tokens, and one of the median."""
    lengths = [data.samples.lengths(np.array([index for _, index in b]), b[0][0]) for b in batches]
    order = np.argsort([float(own.max()) * len(own) for own in lengths])
    return batches[order[-1]], batches[order[len(order) // 2]]


def _memory(found: Footprint, free: int, device: str) -> str:
    fits = f"fits in the {_gb(free)} free" if found.peak <= free else f"does not fit in the {_gb(free)} free"
    return (
        f"memory: about {_gb(found.peak)} of tensors at the peak of the largest batch ({found.rows} rows at once): "
        f"weights {_gb(found.weights)}, optimiser {_gb(found.optimizer)}, activations and gradients "
        f"{_gb(found.step)}; {fits} on this {'GPU' if device == 'cuda' else 'CPU'}"
    )


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
