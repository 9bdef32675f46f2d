"""`MaskedObjective`: hide part of what an encoder reads, and have it say from the rest what was there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from emofuse.encoders.encoder import Encoder, Inputs
from emofuse.errors import RecipeError
from emofuse.media.faces.track import FaceOptions
from emofuse.modalities import Modality
from emofuse.model.answering import face_options_of
from emofuse.prepared import PreparedSample
from emofuse.types import Segment


class MaskedObjective(nn.Module, ABC):
    """An encoder with a decoder for what is hidden from it; only the encoder is kept.

    `loss` is the mean over what is hidden, in the unit that `unit` names.
    """

    modality: ClassVar[Modality]
    rate: ClassVar[float]
    """Share that is hidden where the caller names none."""
    unit: ClassVar[str]

    def __init__(self, encoder: Encoder, rate: float | None = None) -> None:
        """Raises RecipeError for a rate that is no share."""
        super().__init__()
        self.encoder = encoder
        self.share = type(self).rate if rate is None else rate
        if not 0 < self.share < 1:
            raise RecipeError(f"the share that is hidden is above 0 and below 1, not {self.share:g}")

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Of the encoder alone."""
        return (self.modality,)

    @property
    def face_options(self) -> FaceOptions:
        """As the encoder sees faces."""
        return face_options_of(self.encoder.config)

    def prepare(self, segment: Segment, targets: Mapping[str, np.ndarray] | None = None) -> PreparedSample:
        """Arrays of a segment, as `Encoder.prepare`, with what masking needs to know beside them."""
        return PreparedSample({self.modality: self.arrays(segment)}, dict(targets or {}))

    def arrays(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """What the encoder prepares."""
        return self.encoder.prepare(segment)

    @abstractmethod
    def forward(self, inputs: Inputs, rng: np.random.Generator) -> tuple[Tensor, int]:
        """Mean loss over what was hidden, and how many pieces, values or pixels that is; `rng` draws the masks."""


def drawn(rng: np.random.Generator, shape: tuple[int, ...], share: float, device: torch.device) -> Tensor:
    """bool of a shape: a share of it, drawn one by one, on a device."""
    return torch.from_numpy(rng.random(shape) < share).to(device)
