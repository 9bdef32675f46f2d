"""Moving average of the weights: kept during training, evaluated, saved beside each state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback


class Average:
    """Exponential moving average of the floating weights, its decay rising from 0.1 in the first steps."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights = {k: v.detach().clone() for k, v in moving(module).items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """One optimiser step has been taken."""
        self.updates += 1
        share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in moving(module).items():
            self.weights[name].lerp_(value, share)

    @torch.no_grad()
    def swap(self, module: nn.Module) -> None:
        """Exchange the module's weights and the average; a second call restores them."""
        for name, value in moving(module).items():
            held = value.clone()
            value.copy_(self.weights[name])
            self.weights[name].copy_(held)

    def save(self, path: Path) -> None:
        """Write the average beside a resumable state."""
        save_file({k: v.contiguous() for k, v in self.weights.items()} | {"updates": torch.tensor(self.updates)}, path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        tensors = load_file(path)
        self.updates = int(tensors.pop("updates"))
        for name, value in tensors.items():
            self.weights[name].copy_(value)


def moving(module: nn.Module) -> dict[str, Tensor]:
    """What an optimiser step may change: trainable parameters and floating buffers."""
    found = {n: p for n, p in module.named_parameters() if p.requires_grad}
    return found | {n: b for n, b in module.named_buffers() if b.is_floating_point()}


class Averaging(TrainerCallback):
    """Takes every optimiser step into the average."""

    def __init__(self, average: Average, module: nn.Module) -> None:
        self.average, self.module = average, module

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """The weights have just changed."""
        self.average.update(self.module)
        return control
