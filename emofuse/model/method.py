"""`Method`: how the tokens of several modalities become one state a task.

Legend of shapes: B batch, T tokens of one modality, Q tasks, D fusion width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

from jaxtyping import Bool, Float
from torch import Tensor, nn

from emofuse.modalities import Modality
from emofuse.model.config import FusionConfig
from emofuse.types import Tokens

Present = Mapping[Modality, Bool[Tensor, " batch"]]


class Method(nn.Module, ABC):
    """One way to fuse, built from the fusion's configuration, the widths of the modalities' tokens and the task names.

    `role` says what the model makes of the states: `corrects` the pool of what the modalities say alone, `answers` in
    place of it, or `pools`, which leaves the pool as it is.
    """

    role: ClassVar[Literal["corrects", "answers", "pools"]] = "answers"

    def __init__(self, config: FusionConfig, dims: Mapping[Modality, int], tasks: tuple[str, ...]) -> None:
        super().__init__()
        self.dim = config.dim
        self.modalities: tuple[Modality, ...] = tuple(dims)
        self.tasks = tasks

    @abstractmethod
    def forward(self, tokens: Mapping[Modality, Tokens], present: Present) -> Float[Tensor, "batch q dim"]:
        """One state a task, in the order of `tasks`; `tokens` may lack modalities that no row has."""

    def learn(
        self, tokens: Mapping[Modality, Tokens], present: Present
    ) -> tuple[Float[Tensor, "batch q dim"], dict[str, Tensor]]:
        """The states, with the weighted losses of the method's own that training adds to those of the tasks."""
        return self(tokens, present), {}


def real(tokens: Tokens, there: Bool[Tensor, " batch"]) -> Bool[Tensor, "batch time"]:
    """The tokens that are read: those that are no padding, of the rows that have the modality."""
    return tokens.mask & there[:, None]


def mean_state(states: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch dim"]:
    """The mean of the real tokens of each row; zero where there are none."""
    return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def for_each_task(state: Float[Tensor, "batch dim"], tasks: int) -> Float[Tensor, "batch q dim"]:
    """The same state for every task."""
    return state[:, None].expand(-1, tasks, -1)
