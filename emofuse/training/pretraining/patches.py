"""Masked patches of a face, whose pixels a face encoder says from the rest (Xie et al. 2022, SimMIM)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emofuse.encoders.encoder import Encoder, Inputs
from emofuse.encoders.face import FaceEncoder
from emofuse.errors import RecipeError
from emofuse.training.pretraining.objective import MaskedObjective, drawn

SIDES = 7
"""Patches along a picture's side, about: SimMIM's 32 of 224 pixels."""


class MaskedPatches(MaskedObjective):
    """Square patches become the mean colour, and one linear layer on the states of patches says their pixels.

    Fits backbones that give states by place: vision transformers, and those that give maps. The loss is the absolute
    difference in units of the encoder's standard deviation of pixels.
    """

    modality = "face"
    rate = 0.6
    unit = "deviations of a hidden pixel"

    def __init__(self, encoder: Encoder, rate: float | None = None) -> None:
        """Raises RecipeError for a backbone that gives no square of states."""
        super().__init__(encoder, rate)
        if not isinstance(encoder, FaceEncoder):
            raise RecipeError(f"masked patches are of the kind face, not of {type(encoder).__name__}")
        self.size: int = encoder.config.image_size
        states = self._probe(encoder)
        self.cell = self.size // states.shape[2]
        """Pixels along the side of what one state stands for."""
        if self.cell * states.shape[2] != self.size or states.shape[2] != states.shape[3]:
            raise RecipeError(
                f"{self.size} pixels are not cut evenly into the {states.shape[2]} states of this backbone"
            )
        self.patch = self.cell * max(1, round(self.size / SIDES / self.cell))
        self.decoder = nn.Conv2d(states.shape[1], 3 * self.cell**2, 1)

    @torch.no_grad()
    def _probe(self, encoder: FaceEncoder) -> Tensor:
        before = encoder.training
        encoder.eval()
        states = self._states(torch.zeros(1, 3, self.size, self.size, device=encoder.mean.device))
        encoder.train(before)
        return states

    def forward(self, inputs: Inputs, rng: np.random.Generator) -> tuple[Tensor, int]:
        """See MaskedObjective; absolute error."""
        pictures = self.encoder.feed(inputs)["pictures"]
        hidden = self.hide(len(pictures), rng, pictures.device)
        said = F.pixel_shuffle(self.decoder(self._states(pictures.masked_fill(hidden, 0.0))), self.cell)
        error = (said - pictures).abs() * hidden
        count = 3 * int(hidden.sum())
        return error.sum() / count, count

    def hide(self, pictures: int, rng: np.random.Generator, device: torch.device) -> Bool[Tensor, "n 1 size size"]:
        """Pixels of the patches that are hidden; the middle one where chance hides none."""
        side = -(-self.size // self.patch)
        grid = drawn(rng, (pictures, side, side), self.share, device)
        grid[:, side // 2, side // 2] |= ~grid.flatten(1).any(1)
        wide = grid.repeat_interleave(self.patch, 1).repeat_interleave(self.patch, 2)
        return wide[:, None, : self.size, : self.size]

    def _states(self, pictures: Float[Tensor, "n 3 size size"]) -> Float[Tensor, "n dim side side"]:
        """The backbone's states by place; tokens that stand for no place (class, registers) are left out."""
        backbone = self.encoder.backbone
        states = backbone.forward_features(pictures)
        if states.ndim == 4:
            return states if states.shape[1] == backbone.num_features else states.permute(0, 3, 1, 2)
        if states.ndim != 3:
            raise RecipeError(f"the face encoder's backbone {type(backbone).__name__} gives no states by place")
        patches = states[:, getattr(backbone, "num_prefix_tokens", 0) :]
        side = round(patches.shape[1] ** 0.5)
        if side * side != patches.shape[1]:
            raise RecipeError(f"the {patches.shape[1]} states of this face encoder are no square of patches")
        return patches.transpose(1, 2).unflatten(2, (side, side))
