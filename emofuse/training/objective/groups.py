"""Shares of groups of people in the loss: the same for all, or larger for whom the model serves worse."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from emofuse.training.recipe.schema import Groups


class GroupShares(nn.Module):
    """How much the mean loss of each group counts.

    With `worst` the shares follow the losses by exponentiated gradient ascent, so that the loss nears that of the worst
    group (Sagawa et al. 2020, algorithm 1). They are part of a resumable state.
    """

    shares: Tensor

    def __init__(self, names: Sequence[str], options: Groups) -> None:
        """`names` of the groups by their numbers; the number after the last is of samples whose group is not known."""
        super().__init__()
        self.names, self.options = tuple(names), options
        self.register_buffer("shares", torch.full((len(names) + 1,), 1 / (len(names) + 1)))

    def rows(self, group: Int[Tensor, " batch"]) -> list[tuple[int, Bool[Tensor, " batch"]]]:
        """The groups that are in a batch, with their rows."""
        return [(int(g), group == g) for g in group.unique()]

    @torch.no_grad()
    def follow(self, losses: dict[int, Float[Tensor, ""]]) -> None:
        """Move the shares by the groups' losses in a batch; those of groups that are not in it stay in proportion."""
        if self.options.how == "balanced":
            return
        for number, loss in losses.items():
            self.shares[number] *= torch.exp(self.options.step * loss.detach())
        self.shares /= self.shares.sum()

    def of(self, numbers: Sequence[int]) -> Float[Tensor, " groups"]:
        """The shares of the groups in a batch, which sum to 1."""
        chosen = self.shares[list(numbers)]
        return chosen / chosen.sum()
