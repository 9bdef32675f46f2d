"""The weights that a run starts from as a candidate of the choice by dev scores: they stay where no epoch is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from emofuse.training.average import moving


class StartWeights:
    """A copy, in the CPU's memory, of what training may change, before its first step, and what it scored."""

    def __init__(self, module: nn.Module, metrics: Mapping[str, float]) -> None:
        """`metrics`: dev metrics in Trainer's flat names, `eval_score` (more is better) among them."""
        self._copies = [(value, value.detach().to("cpu", copy=True)) for value in moving(module).values()]
        self.metrics = metrics

    def history(self, epochs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Trainer's log with the start before it, as epoch 0."""
        return [{"epoch": 0, "step": 0, **self.metrics}, *epochs]

    @torch.no_grad()
    def stay_unless_beaten(self, epochs: Sequence[Mapping[str, Any]]) -> bool:
        """Put the copy back where no epoch of Trainer's log scored more; whether that was so."""
        scores = [epoch["eval_score"] for epoch in epochs if "eval_score" in epoch]
        if any(score > self.metrics["eval_score"] for score in scores):
            return False
        for value, copy in self._copies:
            value.copy_(copy)
        return True
