"""Adversarial training: steps on embeddings along the gradient of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel

STRIDE = 2.5
"""PGD steps are STRIDE · ε / steps long: the edge of the ball is within reach from anywhere in it."""


class Neighbourhood:
    """Adds a perturbation of its own to every embedding while it is entered, zero until `ascend` is called.

    A row's perturbation is one vector over all its embeddings, as long as `epsilon` at most in the Euclidean norm.
    """

    def __init__(self, model: EmotionModel, epsilon: float) -> None:
        self.sites: dict[Modality, nn.Module] = {m: model.encoder(m).embedding_site for m in model.modalities}
        self.epsilon = epsilon
        self.offsets: dict[Modality, Tensor] = {}
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> Neighbourhood:
        self._hooks = [site.register_forward_hook(self._adder(m)) for m, site in self.sites.items()]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
        self.offsets = {}

    def _adder(self, modality: Modality) -> Callable[[nn.Module, Any, Any], Any]:
        def add(module: nn.Module, arguments: Any, output: Any) -> Any:
            first = output[0] if isinstance(output, tuple) else output
            if modality not in self.offsets:
                self.offsets[modality] = torch.zeros_like(first, requires_grad=True)
            moved = first + self.offsets[modality]
            return (moved, *output[1:]) if isinstance(output, tuple) else moved

        return add

    def ascend(self, loss: Tensor, step: float, keep_graph: bool = False) -> None:
        """Move every row by `step` along its own gradient of `loss`, then back into the ball."""
        names = list(self.offsets)
        found = torch.autograd.grad(loss, [self.offsets[m] for m in names], retain_graph=keep_graph, allow_unused=True)
        for modality, gradient in zip(names, found, strict=True):
            if gradient is not None:
                moved = self.offsets[modality].detach() + step * gradient / _norm(gradient).clamp(min=1e-12)
                inside = moved * (self.epsilon / _norm(moved).clamp(min=1e-12)).clamp(max=1)
                self.offsets[modality] = inside.requires_grad_()


def _norm(rows: Tensor) -> Tensor:
    """Euclidean norm of each row over all other axes, broadcast over them."""
    return torch.linalg.vector_norm(rows.flatten(1), dim=1).view(-1, *[1] * (rows.ndim - 1))


def adversarial_loss(
    near: Neighbourhood, clean: Tensor, again: Callable[[], Tensor], kind: Literal["fgm", "pgd"], steps: int
) -> Tensor:
    """The loss at the worst embeddings found near those that gave `clean`; `again` runs the batch once more.

    `fgm`: one step of length ε along the gradient (Miyato et al. 2017, eq. 5-6). `pgd`: `steps` shorter ones, each
    projected onto the ball of radius ε (Madry et al. 2018, eq. 2.1, in the Euclidean norm). `clean` keeps its graph.
    """
    if not near.offsets or not clean.requires_grad:
        return clean.detach() * 0
    count = 1 if kind == "fgm" else steps
    stride = near.epsilon if kind == "fgm" else STRIDE * near.epsilon / count
    near.ascend(clean, stride, keep_graph=True)
    for _ in range(count - 1):
        near.ascend(again(), stride)
    return again()
