"""The feature encoder: ready-made features to tokens, for feature-based tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from emofuse.encoders.config import FeaturesConfig
from emofuse.encoders.encoder import Encoder, Inputs
from emofuse.errors import DataError
from emofuse.modalities import Modality
from emofuse.types import Segment

LIMIT = 10.0
"""Deviations from the mean beyond which a feature is cut: extractors fail now and then."""


class FeaturesEncoder(Encoder):
    """A standardised linear map of given vectors; it reads no media.

    `mean` and `deviation` travel with the weights, so that features are given raw in training and after.
    """

    Config = FeaturesConfig
    continuous = ("features",)
    input_fields = ("width",)
    reads_media = False
    mean: Tensor
    deviation: Tensor

    def __init__(self, modality: Modality, config: FeaturesConfig, checkpoint: Path | None = None) -> None:
        super().__init__()
        self.modality: Modality = modality
        self.config = config
        self.dim = config.dim
        self.register_buffer("mean", torch.zeros(config.width))
        self.register_buffer("deviation", torch.ones(config.width))
        self.project = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.width, config.dim),
            nn.GELU(),
            nn.Dropout(config.dropout),
        )

    @classmethod
    def build(
        cls, modality: Modality, config: FeaturesConfig, checkpoint: Path | None = None, lean: bool = False
    ) -> FeaturesEncoder:
        """Of any modality."""
        return cls(modality, config, checkpoint)

    @torch.no_grad()
    def standardise(self, rows: Sequence[np.ndarray]) -> None:
        """Take mean and deviation from the training rows, each [width] or [time, width].

        A feature that never varies stays as it is.
        """
        count = sum(len(np.atleast_2d(r)) for r in rows)
        mean = sum(np.atleast_2d(r).sum(0, dtype=np.float64) for r in rows) / count
        deviation = np.sqrt(sum(np.square(np.atleast_2d(r) - mean).sum(0) for r in rows) / count)
        self.mean.copy_(torch.from_numpy(mean))
        self.deviation.copy_(torch.from_numpy(np.where(deviation > 1e-8, deviation, 1.0)))

    def prepare(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """The segment's ready-made features; raises DataError where it has media, which this model cannot read."""
        if segment.features is None:
            raise DataError(
                f"this model takes ready-made {self.modality} features of width {self.config.width}, not media; "
                "use a model with a media encoder to analyse clips"
            )
        given = segment.features.get(self.modality)
        return None if given is None else prepare_features(given)

    def states(self, fed: Inputs) -> Tensor:
        """Of `features` [batch, time, width]."""
        return self.project(((fed["features"] - self.mean) / self.deviation).clamp(-LIMIT, LIMIT))

    @property
    def embedding_site(self) -> nn.Module:
        """The dropout before the projection."""
        return self.project[0]


def prepare_features(features: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs of the features encoder from [width] or [time, width]; times count the rows."""
    rows = np.atleast_2d(np.asarray(features, np.float32))
    return {"features": rows, "times": np.arange(len(rows), dtype=np.float32), "mask": np.ones(len(rows), bool)}
