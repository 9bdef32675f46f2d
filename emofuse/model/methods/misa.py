"""MISA: what modalities share and what is each one's own, in two spaces (Hazarika et al. 2020, ACM Multimedia).

Legend of shapes: B batch, M modalities, D fusion width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emofuse.modalities import Modality
from emofuse.model.config import FusionConfig
from emofuse.model.method import Method, Present, for_each_task, mean_state, real
from emofuse.types import Tokens

SIMILARITY, DIFFERENCE, RECONSTRUCTION = 1.0, 0.3, 1.0
"""Weights of the three losses: the defaults of the authors' code."""
MOMENTS = 5
"""K of the central moment discrepancy."""
HEADS = 2
"""Of the one transformer layer over the six vectors."""
Vectors = dict[Modality, Float[Tensor, "batch dim"]]


class SharedPrivateFusion(Method):
    """Each modality's vector is projected, encoded in a shared and in a private space, and all are attended together.

    The modality's vector is the mean of its tokens. An absent modality's vectors are zero, and no loss reads them.
    """

    def __init__(self, config: FusionConfig, dims: Mapping[Modality, int], tasks: tuple[str, ...]) -> None:
        super().__init__(config, dims, tasks)
        dim, number = config.dim, len(dims)
        self.project = nn.ModuleDict(
            {m: nn.Sequential(nn.Linear(d, dim), nn.ReLU(), nn.LayerNorm(dim)) for m, d in dims.items()}
        )
        self.private = nn.ModuleDict({m: nn.Sequential(nn.Linear(dim, dim), nn.Sigmoid()) for m in dims})
        self.shared = nn.Sequential(nn.Linear(dim, dim), nn.Sigmoid())
        self.reconstruct = nn.ModuleDict({m: nn.Linear(dim, dim) for m in dims})
        hidden = dim * config.feedforward
        self.attend = nn.TransformerEncoderLayer(dim, HEADS, hidden, config.dropout, batch_first=True)
        self.fuse = nn.Sequential(
            nn.Linear(2 * number * dim, number * dim), nn.Dropout(config.dropout), nn.ReLU(),
            nn.Linear(number * dim, dim),
        )  # fmt: skip

    def forward(self, tokens: Mapping[Modality, Tokens], present: Present) -> Float[Tensor, "batch q dim"]:
        return self._states(*self._spaces(tokens, present)[1:])

    def learn(
        self, tokens: Mapping[Modality, Tokens], present: Present
    ) -> tuple[Float[Tensor, "batch q dim"], dict[str, Tensor]]:
        """With the weighted losses `similarity`, `difference` and `reconstruction` (§3.4, eq. 8-13)."""
        given, private, shared = self._spaces(tokens, present)
        there = {m: present[m] for m in tokens}
        losses = {
            "similarity": SIMILARITY * similarity(shared, there),
            "difference": DIFFERENCE * difference(private, shared, there),
            "reconstruction": RECONSTRUCTION * self._reconstruction(given, private, shared, there),
        }
        return self._states(private, shared), losses

    def _spaces(self, tokens: Mapping[Modality, Tokens], present: Present) -> tuple[Vectors, Vectors, Vectors]:
        """Of each modality: its projected vector, and that in its private and in the shared space."""
        given, private, shared = Vectors(), Vectors(), Vectors()
        for modality in self.modalities:
            absent = ~present[modality][:, None]
            if modality not in tokens:
                nothing = torch.zeros(len(absent), self.dim, device=absent.device)
                given[modality] = private[modality] = shared[modality] = nothing
                continue
            pooled = mean_state(tokens[modality].states, real(tokens[modality], present[modality]))
            given[modality] = self.project[modality](pooled)
            private[modality] = self.private[modality](given[modality]).masked_fill(absent, 0.0)
            shared[modality] = self.shared(given[modality]).masked_fill(absent, 0.0)
        return given, private, shared

    def _states(self, private: Vectors, shared: Vectors) -> Float[Tensor, "batch q dim"]:
        together = torch.stack([*private.values(), *shared.values()], 1)
        return for_each_task(self.fuse(self.attend(together).flatten(1)), len(self.tasks))

    def _reconstruction(
        self, given: Vectors, private: Vectors, shared: Vectors, there: Mapping[Modality, Tensor]
    ) -> Float[Tensor, ""]:
        """Mean squared error of the projected vectors from the sum of both spaces (eq. 12)."""
        terms = []
        for modality, rows in there.items():
            made = self.reconstruct[modality](private[modality] + shared[modality])
            terms.append(_mean((made - given[modality]).square().mean(-1), rows))
        return torch.stack(terms).mean()


def similarity(shared: Vectors, there: Mapping[Modality, Bool[Tensor, " batch"]]) -> Float[Tensor, ""]:
    """Mean central moment discrepancy of pairs in the shared space, over the rows that have both (eq. 8-9)."""
    terms = [cmd(shared[a][rows], shared[b][rows]) for a, b, rows in _pairs(there)]
    return _average(terms, shared)


def difference(
    private: Vectors, shared: Vectors, there: Mapping[Modality, Bool[Tensor, " batch"]]
) -> Float[Tensor, ""]:
    """Overlap of each modality's two vectors, and of the private ones of pairs (eq. 10)."""
    within = [overlap(private[m][rows], shared[m][rows]) for m, rows in there.items()]
    across = [overlap(private[a][rows], private[b][rows]) for a, b, rows in _pairs(there)]
    terms = torch.stack(within + across) if within else next(iter(private.values())).new_zeros(1)
    return terms.sum()


def cmd(x: Float[Tensor, "n dim"], y: Float[Tensor, "m dim"], moments: int = MOMENTS) -> Float[Tensor, ""]:
    """Central moment discrepancy of samples in [0, 1] (Zellinger et al. 2017, eq. 8); 0 of fewer than two."""
    if min(len(x), len(y)) < 2:
        return (x.sum() + y.sum()) * 0
    mean_x, mean_y = x.mean(0), y.mean(0)
    total = _length(mean_x - mean_y)
    for k in range(2, moments + 1):
        total = total + _length((x - mean_x).pow(k).mean(0) - (y - mean_y).pow(k).mean(0))
    return total


def overlap(x: Float[Tensor, "n dim"], y: Float[Tensor, "n dim"]) -> Float[Tensor, ""]:
    """Mean squared product of the features of two sets of centred rows of length one; the paper has their sum, the
    weights of the authors' code go with the mean."""
    if not len(x):
        return (x.sum() + y.sum()) * 0
    first, second = (nn.functional.normalize(v - v.mean(0), dim=1, eps=1e-6) for v in (x, y))
    return (first.T @ second).square().mean()


def _pairs(there: Mapping[Modality, Tensor]) -> list[tuple[Modality, Modality, Tensor]]:
    return [(a, b, there[a] & there[b]) for a, b in combinations(there, 2)]


def _average(terms: Sequence[Tensor], shared: Vectors) -> Float[Tensor, ""]:
    return torch.stack(list(terms)).mean() if terms else next(iter(shared.values())).sum() * 0


def _mean(values: Float[Tensor, " batch"], rows: Bool[Tensor, " batch"]) -> Float[Tensor, ""]:
    return values[rows].mean() if bool(rows.any()) else values.sum() * 0


def _length(vector: Float[Tensor, " dim"]) -> Float[Tensor, ""]:
    """Euclidean, with a gradient at zero."""
    return (vector.square().sum() + 1e-12).sqrt()
