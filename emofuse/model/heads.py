"""Task heads: forward, decoding and temperature, so that calibration lives in the checkpoint."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from emofuse.encoders.config import Pooling
from emofuse.modalities import MODALITIES, Modality, Subset, mask_of, subset_name, subsets_of, table_size
from emofuse.model.kinds import kind_of
from emofuse.tasks import Task

TABLES = ("temperature", "supported_subsets")
_FORMER = {"supported_subsets": "taught"}
"""Names of tables in checkpoints that hold them whole, one entry a mask of the standard three modalities."""


def is_table(name: str) -> bool:
    """Whether a tensor of a checkpoint is of a table of subsets, one entry or, in former checkpoints, all."""
    return not {*TABLES, *_FORMER.values()}.isdisjoint(name.split("."))


class SubsetTables(nn.Module):
    """A temperature for each subset of modalities, and whether the subset had labels of the task in training.

    In memory both are indexed by the mask of a subset (`emofuse.modalities.mask_of`); on disk each entry goes by the
    name of its subset, so that a checkpoint does not depend on which bit a modality has.
    """

    temperature: Tensor
    supported_subsets: Tensor

    def __init__(self, modalities: Collection[Modality], stored: Collection[Subset] | None = None) -> None:
        """`stored`: the subsets that this head ever answers for; None = all of them."""
        super().__init__()
        self.masks = {subset_name(s): mask_of(s, modalities) for s in stored or subsets_of(modalities)}
        size = table_size(modalities)
        self.register_buffer("temperature", torch.ones(size), persistent=False)
        self.register_buffer("supported_subsets", torch.ones(size, dtype=torch.bool), persistent=False)

    def own(self, table: str) -> Tensor:
        """The entry of a head that answers for one subset alone."""
        (mask,) = self.masks.values()
        return getattr(self, table)[mask]

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for table in TABLES:
            for name, mask in self.masks.items():
                destination[f"{prefix}{table}.{name}"] = getattr(self, table)[mask].clone()

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        missing: list[str] = rest[2]
        for table in TABLES:
            whole = state.pop(prefix + table, state.pop(prefix + _FORMER.get(table, table), None))
            if whole is not None:
                getattr(self, table)[: len(whole)].copy_(whole)
                continue
            for name, mask in self.masks.items():
                entry = state.pop(key := f"{prefix}{table}.{name}", None)
                missing += [key] if entry is None else []
                if entry is not None:
                    getattr(self, table)[mask] = entry
        super()._load_from_state_dict(state, prefix, *rest)


class Head(SubsetTables):
    """State → logits (classes) or a value (scalar) of one task, with a temperature for each subset of modalities.

    Subsets that are not supported decode to NaN, never to a number that nothing stands behind.
    """

    def __init__(
        self,
        task: Task,
        dim: int,
        dropout: float = 0.0,
        zero: bool = False,
        modalities: Collection[Modality] = MODALITIES,
        stored: Collection[Subset] | None = None,
    ) -> None:
        super().__init__(modalities, stored)
        self.task = task
        self.inherits = False
        """Whether its tables are those of the checkpoint it started from: what that learnt stays learnt."""
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, task.width)
        if zero:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, state: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch width"]:
        return self.linear(self.dropout(state))

    def decode(
        self, logits: Float[Tensor, "batch width"], subset: Int[Tensor, " batch"], unsupported: bool = False
    ) -> Float[Tensor, "batch width"]:
        """Probabilities at the temperature of each row's subset; a scalar is clipped to the task's range.

        Rows whose subset is not supported are NaN, unless `unsupported` asks for them (coalitions of an explanation
        need every subset).
        """
        kind = kind_of(self.task)
        values = kind.answer(self.task, kind.tempered(logits, self.temperature[subset][:, None]))
        if unsupported:
            return values
        return values.masked_fill(~self.supported_subsets[subset][:, None], torch.nan)


class Pool(nn.Module):
    """Tokens → one vector: weighted by learned attention, with `statistics` its weighted deviation too (Okabe et al.
    2018); their `mean`; or the `last` of them."""

    def __init__(self, dim: int, kind: Pooling = "attention") -> None:
        super().__init__()
        self.kind, self.statistics = kind, kind == "statistics"
        if kind in ("attention", "statistics"):
            self.score = nn.Sequential(nn.Linear(dim, dim // 2), nn.Tanh(), nn.Linear(dim // 2, 1))
        self.dim = dim * (2 if self.statistics else 1)
        self.norm = nn.LayerNorm(self.dim)

    def forward(
        self, states: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch pooled"]:
        """A row without a real token pools to the mean of nothing: finite, and masked by presence further on."""
        scores = self._scores(states, mask)
        weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1)[..., None]
        mean = (weights * states).sum(1)
        if not self.statistics:
            return self.norm(mean)
        variance = (weights * (states - mean[:, None]).square()).sum(1)
        return self.norm(torch.cat([mean, (variance + 1e-5).sqrt()], -1))

    def _scores(
        self, states: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time"]:
        """Logarithms of weights, up to a constant."""
        if self.kind == "mean":
            return torch.zeros_like(states[..., 0])
        if self.kind == "last":
            order = torch.arange(1, states.shape[1] + 1, device=mask.device) * mask
            last = order == order.amax(1, keepdim=True)
            return torch.zeros_like(states[..., 0]).masked_fill(~last, torch.finfo(states.dtype).min)
        return self.score(states).squeeze(-1)


class ModalityHead(nn.Module):
    """What one modality says of every task on its own: an auxiliary loss in training, a line of the timeline after."""

    def __init__(
        self,
        tasks: tuple[Task, ...],
        dim: int,
        pooling: Pooling,
        dropout: float,
        modality: Modality,
        modalities: Collection[Modality],
    ) -> None:
        super().__init__()
        self.pool = Pool(dim, pooling)
        own = (frozenset((modality,)),)
        self.tasks = nn.ModuleDict(
            {t.name: Head(t, self.pool.dim, dropout, modalities=modalities, stored=own) for t in tasks}
        )

    def forward(
        self, states: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]
    ) -> dict[str, Float[Tensor, "batch width"]]:
        return self.read(self.pool(states, mask))

    def read(self, pooled: Float[Tensor, "batch pooled"]) -> dict[str, Float[Tensor, "batch width"]]:
        """Raw outputs by task, from what `pool` gave."""
        return {name: head(pooled) for name, head in self.tasks.items()}
