"""Late fusion: what the modalities say alone, pooled, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from emofuse.modalities import Modality
from emofuse.model.method import Method, Present
from emofuse.types import Tokens


class LateFusion(Method):
    """No weights of its own: the answer is the pool (`fusion.pool`) of the modalities' own heads."""

    role = "pools"

    def forward(self, tokens: Mapping[Modality, Tokens], present: Present) -> Float[Tensor, "batch q dim"]:
        """Zeros: there is no joint state."""
        there = next(iter(present.values()))
        return torch.zeros(len(there), len(self.tasks), self.dim, device=there.device)
