"""A head owns forward, loss, decoding and temperature, so calibration lives in the checkpoint."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from emofuse.tasks import Task

SUBSETS = 8
"""Subsets of three modalities, by bit mask; entry 0 (nothing present) is never calibrated."""


class Head(nn.Module):
    """State → logits (classes) or a value (scalar) of one task, with a temperature for each subset of modalities.

    `taught` marks the subsets that had labels of the task in training: the others decode to NaN, never to a number
    that nothing stands behind.
    """

    temperature: Tensor
    taught: Tensor

    def __init__(self, task: Task, dim: int, dropout: float = 0.0, zero: bool = False) -> None:
        super().__init__()
        self.task = task
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, task.width)
        if zero:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        self.register_buffer("temperature", torch.ones(SUBSETS))
        self.register_buffer("taught", torch.ones(SUBSETS, dtype=torch.bool))

    def forward(self, state: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch width"]:
        return self.linear(self.dropout(state))

    def loss(self, logits: Float[Tensor, "batch width"], target: Float[Tensor, "batch width"]) -> Float[Tensor, ""]:
        """Mean over labelled rows; zero, with a gradient of zero, when there is none. See `task_loss`."""
        labelled = ~target.isnan().any(-1)
        per_row = task_loss(self.task, logits, torch.where(labelled[:, None], target, 0.0))
        return (per_row * labelled).sum() / labelled.sum().clamp(min=1)

    def decode(
        self, logits: Float[Tensor, "batch width"], subset: Int[Tensor, " batch"], untaught: bool = False
    ) -> Float[Tensor, "batch width"]:
        """Probabilities at the temperature of each row's subset; a scalar is clipped to the task's range.

        Rows whose subset was never taught this task are NaN, unless `untaught` asks for them (coalitions of an
        explanation need every subset).
        """
        if self.task.kind == "scalar":
            values = logits.clamp(self.task.low, self.task.high)
        else:
            scaled = logits / self.temperature[subset][:, None]
            values = scaled.softmax(-1) if self.task.kind == "categorical" else scaled.sigmoid()
        return values if untaught else values.masked_fill(~self.taught[subset][:, None], torch.nan)


def task_loss(
    task: Task, logits: Float[Tensor, "batch width"], target: Float[Tensor, "batch width"]
) -> Float[Tensor, " batch"]:
    """Loss a row: cross-entropy with a distribution, binary cross-entropy, or squared error in units of the range."""
    if task.kind == "categorical":
        return -(target * logits.log_softmax(-1)).sum(-1)
    if task.kind == "multilabel":
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(-1)
    return ((logits - target) / (task.high - task.low)).square().mean(-1)


class Pool(nn.Module):
    """Tokens → one vector by learned attention; with `statistics`, its weighted deviation too (Okabe et al. 2018)."""

    def __init__(self, dim: int, statistics: bool) -> None:
        super().__init__()
        self.statistics = statistics
        self.score = nn.Sequential(nn.Linear(dim, dim // 2), nn.Tanh(), nn.Linear(dim // 2, 1))
        self.dim = dim * (2 if statistics else 1)
        self.norm = nn.LayerNorm(self.dim)

    def forward(
        self, states: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch pooled"]:
        """A row without a real token pools to the mean of nothing: finite, and masked by presence further on."""
        scores = self.score(states).squeeze(-1)
        weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1)[..., None]
        mean = (weights * states).sum(1)
        if not self.statistics:
            return self.norm(mean)
        variance = (weights * (states - mean[:, None]).square()).sum(1)
        return self.norm(torch.cat([mean, (variance + 1e-5).sqrt()], -1))


class ModalityHead(nn.Module):
    """What one modality says of every task on its own: an auxiliary loss in training, a line of the timeline after."""

    def __init__(self, tasks: tuple[Task, ...], dim: int, statistics: bool, dropout: float) -> None:
        super().__init__()
        self.pool = Pool(dim, statistics)
        self.tasks = nn.ModuleDict({t.name: Head(t, self.pool.dim, dropout) for t in tasks})

    def forward(
        self, states: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]
    ) -> dict[str, Float[Tensor, "batch width"]]:
        pooled = self.pool(states, mask)
        return {name: head(pooled) for name, head in self.tasks.items()}
