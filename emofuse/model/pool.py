"""The opinion pool: what several modalities say of one task, as one answer that is no surer than its parts.

Parts that are put together from different people are independent given the label, one person's are not: words, voice
and face of one moment miss together. So a pool starts as the mean of its parts in the logarithm (Genest and Zidek
1986), not as their sum, and only recordings of whole people may teach it more confidence than its surest part has.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from emofuse.model.kinds import kind_of
from emofuse.tasks import Task

_ONE = math.log(math.e - 1)
"""What softplus makes 1 of, so that a weight that is stored as 0 is that of a plain mean."""


class OpinionPool(nn.Module):
    """Weights and a class bias for each subset of modalities of one task; all zero = the mean of the parts.

    Weights go through softplus, so that none turns a modality against itself; the bias takes back a prior that every
    part has counted. Indexed by the mask of a subset (`emofuse.modalities.mask_of`).
    """

    recorded: Tensor
    """Subsets whose numbers were fitted on recordings that have all of their modalities."""
    corrected: Tensor
    """Subsets to which the fusion transformer's correction is added."""

    def __init__(self, task: Task, modalities: int, subsets: int, corrected: bool) -> None:
        super().__init__()
        self.task = task
        self.weights = nn.Parameter(torch.zeros(subsets, modalities))
        self.bias = nn.Parameter(torch.zeros(subsets, task.width))
        self.register_buffer("recorded", torch.zeros(subsets, dtype=torch.bool))
        self.register_buffer("corrected", torch.full((subsets,), corrected))

    def forward(
        self,
        parts: Float[Tensor, "batch m width"],
        has: Bool[Tensor, "batch m"],
        subset: Int[Tensor, " batch"],
        correction: Float[Tensor, "batch width"],
    ) -> Float[Tensor, "batch width"]:
        """Logits (values of a scalar) from `parts` at their own temperatures; `has`: which of them count."""
        several = (has.sum(1) > 1)[:, None].to(parts.dtype)
        weights = self.shares(has, subset)[..., None]
        kind = kind_of(self.task)
        total = kind.pooled((weights * kind.opinions(parts)).sum(1), weights.sum(1))
        total = total + several * self.bias[subset] + self.corrected[subset, None].to(parts.dtype) * correction
        if not self.task.exclusive:
            return total
        surest = kind.opinions(parts).exp().amax(-1).masked_fill(~has, 0).amax(1, keepdim=True)
        return torch.where(self.recorded[subset, None] | (several == 0), total, no_surer(total, surest))

    def shares(self, has: Bool[Tensor, "batch m"], subset: Int[Tensor, " batch"]) -> Float[Tensor, "batch m"]:
        """The weight of each part in each row: one over their number, times what was learnt; a part alone has 1."""
        number = has.sum(1, keepdim=True)
        learnt = torch.where(number > 1, F.softplus(self.weights[subset] + _ONE), 1.0)
        return learnt * has / number.clamp(min=1)

    @torch.no_grad()
    def lay(
        self, mask: int, places: list[int], weights: Float[np.ndarray, " m"], bias: Float[np.ndarray, " _"]
    ) -> None:
        """Store fitted weights of the parts at `places`, in units of the plain mean's, and the bias of a subset."""
        inverse = np.log(np.expm1(np.maximum(weights, 1e-3))) - _ONE
        self.weights[mask, places] = torch.from_numpy(inverse).to(self.weights)
        self.bias[mask] = torch.from_numpy(bias).to(self.bias)


def no_surer(
    logits: Float[Tensor, "batch classes"], surest: Float[Tensor, "batch 1"]
) -> Float[Tensor, "batch classes"]:
    """Logits whose largest probability is `surest` at most: what is above it is spread over all classes alike."""
    probs = logits.softmax(-1)
    top, even = probs.amax(-1, keepdim=True), 1 / logits.shape[-1]
    spread = ((top - surest) / (top - even).clamp(min=1e-6)).clamp(0, 1)
    mixed = ((1 - spread) * probs + spread * even).clamp(min=1e-12).log()
    return torch.where(spread > 0, mixed, logits)
