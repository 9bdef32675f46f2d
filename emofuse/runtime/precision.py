"""Precision of the encoders' products, chosen by measuring the processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from emofuse.batch import collate
from emofuse.errors import EmofuseError
from emofuse.model.answering import Decoded
from emofuse.model.model import EmotionModel
from emofuse.runtime.bfloat16 import halve
from emofuse.runtime.export.examples import spoken
from emofuse.runtime.int8 import Int8Linear, packs, quantise
from emofuse.runtime.swap import hold, restore
from emofuse.torch_state import plain_torch

Precision = Literal["auto", "float32", "bfloat16", "int8"]
Chosen = Literal["float32", "bfloat16", "int8"]
CHANGE = 0.02
"""Largest change of a probability that "auto" accepts for speed …"""
MARGIN = 0.5
"""… of which examples, being few, may use up so much."""
PARTS = (1.0, 0.75, 0.5)
"""Shares of an encoder's layers, its last, that are tried in 8 bits: an early layer's error grows in those after it."""
WORTH = 1.25
"""Times faster than float32 from which fewer bits are taken: what is around the products gains nothing."""
LARGE = 30_000_000
"""Weights from which a model's time goes into its products, so that 8 bits are tried; below, reading counts …"""
LARGE_ENCODER = 15_000_000
"""… and of one encoder, from which 16 bits are."""


@plain_torch()
def loaded(folder: Path, device: torch.device, precision: str) -> EmotionModel:
    """The model in a folder, for prediction in this precision; see `choose`, `apply` and `apply_within`."""
    model = EmotionModel.from_pretrained(folder, device=device, lean=True)
    chosen = choose(model, precision)
    guarded = precision == "auto" and device.type == "cpu" and chosen != "float32"
    return apply_within(model, chosen) if guarded else apply(model, chosen)


def check_precision(precision: str) -> None:
    """Raise EmofuseError for a precision that there is none of."""
    if precision not in get_args(Precision):
        raise EmofuseError(f"no precision {precision!r}; valid: {', '.join(get_args(Precision))}")


def choose(model: EmotionModel, precision: str) -> Chosen:
    """The precision meant by "auto", or the named one. Raises EmofuseError for one that is not there.

    On a GPU "auto" is bfloat16 where the GPU has it; on a CPU it is float32 where no encoder is large, else the fastest
    of float32, bfloat16 and, in a large model, 8 bits in a probe of a few milliseconds.
    """
    check_precision(precision)
    if precision == "int8" and model.device.type != "cpu":
        raise EmofuseError(f"int8 runs on a cpu, not on {model.device.type!r}; take bfloat16, or device='cpu'")
    if precision != "auto":
        return precision  # type: ignore[return-value]
    if model.device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    weights = [hold(encoder) for encoder in model.encoders.values()]
    if model.device.type != "cpu" or max(weights) < LARGE_ENCODER:
        return "float32"
    return _fastest(eight=sum(weights) >= LARGE)


def apply(model: EmotionModel, chosen: Chosen) -> EmotionModel:
    """The model with encoders that multiply so; weights stay as they are, and so does what is computed with gradients.

    8 bits swap the encoders' large linear layers; 16 bits are an autocast around the encoders, and layers that keep
    16-bit weights for it. Fusion and heads keep all their bits: they take no time.
    """
    for encoder in model.encoders.values():
        if chosen == "int8":
            quantise(encoder)
        elif chosen == "bfloat16":
            halve(encoder, model.device.type)
    return model


def apply_within(model: EmotionModel, chosen: Chosen, most: float = CHANGE) -> EmotionModel:
    """8 or 16 bits in as much of each encoder, the slowest first, as changes no probability by more than `most`.

    See `MARGIN`, and `PARTS` for how much is tried in 8 bits; 16 are for all of a large encoder or for none of it.
    """
    tried = [m for m in model.modalities if chosen != "bfloat16" or hold(model.encoders[m]) >= LARGE_ENCODER]
    batch = collate([model.prepare(spoken(seconds).only(*tried)) for seconds in (1, 2)])
    before = model.predict(batch)
    took: list[tuple[float, nn.Module]] = []
    with torch.inference_mode():
        for modality in tried:
            encoder: nn.Module = model.encoders[modality]
            took.append((_least(partial(encoder, batch.inputs[modality]), 1), encoder))
    for _, encoder in sorted(took, key=itemgetter(0), reverse=True):
        for _ in _less_and_less(encoder, chosen, model.device.type):
            if change(before, model.predict(batch)) <= MARGIN * most:
                break
    return model


def _less_and_less(encoder: nn.Module, chosen: Chosen, device: str) -> Iterator[None]:
    """After each step, less of the encoder is in fewer bits; after the last, none of it."""
    if chosen == "bfloat16":
        swaps = halve(encoder, device)
        yield
        del encoder.forward
        restore(swaps)
        return
    swaps = quantise(encoder)
    for part in PARTS:
        restore(swaps[: round(len(swaps) * (1 - part))])
        yield
    restore(swaps)


def change(one: Decoded, other: Decoded) -> float:
    """The largest difference of any answer, fused or of a modality alone."""
    pairs = [(one.tasks[task], other.tasks[task]) for task in one.tasks]
    pairs += [(v, other.by_modality[m][t]) for m, each in one.by_modality.items() for t, v in each.items()]
    return max((float(np.abs(a - b).max()) for a, b in pairs if np.isfinite(a).all()), default=0.0)


@lru_cache(maxsize=2)
def _fastest(eight: bool) -> Chosen:
    """The quickest way to multiply in this process, by a margin of WORTH over float32; `eight`: 8 bits may be it.

    Measured on one thread: several, on a busy machine, wait for each other longer than they multiply.
    """
    layer = nn.Linear(768, 1536).eval().requires_grad_(False)
    given = torch.randn(256, 768, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            seconds: dict[Chosen, float] = {"float32": _least(lambda: layer(given))}
            half, halved = nn.Linear(768, 1536, dtype=torch.bfloat16).requires_grad_(False), given.bfloat16()
            seconds["bfloat16"] = _least(lambda: half(halved)) * WORTH
            if eight and packs():
                packed = Int8Linear(layer)
                seconds["int8"] = _least(lambda: packed(given)) * WORTH
    finally:
        torch.set_num_threads(threads)
    return min(seconds, key=lambda name: seconds[name])


def _least(work: Callable[[], object], rounds: int = 5) -> float:
    """Seconds of the quickest of a few rounds, after one that warms up."""
    work()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)
