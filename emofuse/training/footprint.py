"""The footprint of a training step: peak memory by its allocations, time by a measured step.

The allocations of a step are the same in number whatever the batch, and each grows linearly with the rows: so two small
steps tell, allocation by allocation, what a large one would need, and the peak is that of their running sum.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch.profiler import ProfilerActivity, profile

from emofuse.batch import Batch, collate
from emofuse.encoders.four_bit import scales
from emofuse.model.model import EmotionModel
from emofuse.prepared import PreparedSample
from emofuse.training.dataset.budget import Within, padded
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.machine import Train
from emofuse.training.recipe.schema import Optim

PROBES = 4, 8
"""Rows of the two small steps."""


@dataclass(frozen=True)
class Footprint:
    """What a step of some rows takes, in bytes of tensors."""

    weights: int
    """Parameters and buffers."""
    optimizer: int
    """The optimiser's states, and copies of what learns (see `copies_of`)."""
    step: int
    """Activations, gradients and what computing them takes for a moment, at their peak."""
    rows: int
    """Of the largest part of a batch that runs at once."""

    @property
    def peak(self) -> int:
        """All of it."""
        return self.weights + self.optimizer + self.step


@dataclass(frozen=True)
class AtRest:
    """What is held between two steps, in bytes, known from shapes alone."""

    weights: int
    learning: int
    """Gradients and moments of what learns; what is frozen has none."""
    built: int
    """The weights before any are packed into 4 bits."""

    @property
    def all(self) -> int:
        """All of it."""
        return self.weights + self.learning


@dataclass(frozen=True)
class Pace:
    """Seconds of one optimiser step over a batch of middling length."""

    load: float
    learn: float

    def step(self, workers: int) -> float:
        """Of a step: workers load the next batch while one is learnt from."""
        return max(self.learn, self.load / workers) if workers else self.learn + self.load


class Step:
    """One training step after the other over batches of one objective, on its own device."""

    def __init__(self, objective: Objective, optimizer: torch.optim.Optimizer) -> None:
        self.objective, self.optimizer = objective.train(), optimizer
        self.device = objective.model.device

    def __call__(self, parts: Sequence[Batch]) -> None:
        """Forward, backward, step; gradients are gone after it, as in training."""
        for part in parts:
            self.objective(part.to(self.device))["loss"].backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def allocations(self, parts: Sequence[Batch]) -> Float[np.ndarray, " events"]:
        """Bytes taken (+) and given back (-) on the device by a step, in order."""
        kind = self.device.type
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (kind == "cuda")
        with profile(activities=activities, profile_memory=True, acc_events=True) as recorded:
            self(parts)
        results = recorded.profiler.kineto_results if recorded.profiler else None
        found = [
            (event.start_ns(), event.nbytes())
            for event in (results.events() if results else ())
            if event.name() == "[memory]" and event.device_type().name.lower() == kind
        ]
        return np.array([size for _, size in sorted(found, key=lambda pair: pair[0])], np.float64)

    def held(self) -> int:
        """Bytes of the optimiser's states."""
        states = [v for state in self.optimizer.state.values() for v in state.values()]
        return sum(v.nbytes for v in states if isinstance(v, torch.Tensor))


def peak_of(allocations: Float[np.ndarray, " events"]) -> int:
    """The most that was held at once above what was held before."""
    return int(max(0.0, np.cumsum(allocations).max(initial=0.0)))


def copies_of(train: Train, device: torch.device) -> int:
    """Copies of what learns that a run keeps on its device: the moving average, and its start, which a CPU holds."""
    return bool(train.ema) + (bool(train.keep_start) and device.type == "cpu")


def at_rest(model: EmotionModel, optim: Optim, copies: int = 0) -> AtRest:
    """Of a model, which may be a shape without weights. `copies`: see `copies_of`."""
    tensors = [*model.parameters(), *model.buffers()]
    learns = sum(p.numel() for p in model.parameters() if p.requires_grad)
    each = 4 + (2 if optim.kind == "adamw8bit" else 8) + 4 * copies
    built = sum(t.nbytes * (4 if t.dtype == torch.uint8 else 1) for t in tensors)
    return AtRest(sum(t.nbytes for t in tensors) + scales(model), each * learns, built)


def footprint(step: Step, samples: Sequence[PreparedSample], within: Within, copies: int = 0) -> Footprint:
    """Of the largest part of a batch of these samples, from two small steps over some of its rows; `copies`: see
    `copies_of`.

    Parts of no more rows than the larger small step are run as they are.
    """
    chosen = largest(within.parts(samples))
    rows = len(chosen)
    batches = [collate(_some(chosen, n)) for n in PROBES if n < rows] if rows > PROBES[-1] else [collate(chosen)]
    step([batches[0]])  # the optimiser's states are there from now on
    runs = [step.allocations([batch]) for batch in batches]
    needed = peak_of(runs[0]) if len(runs) == 1 else _extrapolated(runs[0], runs[1], rows)
    model = step.objective.model
    weights = sum(t.nbytes for t in (*model.parameters(), *model.buffers())) + scales(model)
    learns = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    return Footprint(weights, step.held() + copies * learns, needed, rows)


def _extrapolated(small: np.ndarray, large: np.ndarray, rows: int) -> int:
    """The peak of a step of so many rows; where the two runs differ in number of allocations, from their peaks."""
    few, more = PROBES
    share = (rows - few) / (more - few)
    if len(small) == len(large):
        return peak_of(small + share * (large - small))
    return round(peak_of(small) + share * (peak_of(large) - peak_of(small)))


def largest(parts: Sequence[Sequence[PreparedSample]]) -> list[PreparedSample]:
    """The part with the most padded input, its longest sample first."""

    def size(part: Sequence[PreparedSample]) -> int:
        return sum(padded(part, modality) for modality in part[0].inputs)

    return sorted(max(parts, key=size), key=lambda s: -s.length)


def _some(samples: Sequence[PreparedSample], number: int) -> list[PreparedSample]:
    """The first, which is the longest, and others spread over the rest, so that they stand for its mean."""
    rest = np.linspace(1, len(samples) - 1, 2 * (number - 1) + 1)[1::2].round().astype(int)
    return [samples[0], *(samples[i] for i in rest)]


def pace(step: Step, load: Callable[[], Sequence[Batch]]) -> Pace:
    """Seconds of loading a batch and of learning from it, once."""
    started = time.perf_counter()
    parts = load()
    loaded = time.perf_counter()
    step(parts)
    if step.device.type == "cuda":
        torch.cuda.synchronize(step.device)
    return Pace(loaded - started, time.perf_counter() - loaded)


def free_memory(device: torch.device) -> int:
    """Bytes that a program may still take on the device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        (line,) = (row for row in meminfo.read_text().splitlines() if row.startswith("MemAvailable:"))
        return int(line.split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
