"""Features that someone else extracted → tokens, so that published feature-based tables can be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor, nn

from emofuse.encoders.config import FeaturesConfig
from emofuse.errors import DataError
from emofuse.types import Modality, Segment, Tokens


class FeaturesEncoder(nn.Module):
    """A normalised linear map of given vectors; it reads no media."""

    def __init__(self, modality: Modality, config: FeaturesConfig, checkpoint: Path | None = None) -> None:
        super().__init__()
        self.modality: Modality = modality
        self.config = config
        self.dim = config.dim
        self.project = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, config.dim),
            nn.GELU(),
            nn.Dropout(config.dropout),
        )

    def prepare(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """Raises DataError: a model over features cannot read a clip."""
        raise DataError(
            f"this model takes ready-made {self.modality} features of width {self.config.width}, not media; "
            "use a model with a media encoder to analyse clips"
        )

    def forward(self, inputs: dict[str, Tensor]) -> Tokens:
        """`features` [batch, time, width], `mask` bool and `times` float32 [batch, time]."""
        return Tokens(self.project(inputs["features"]).float(), inputs["mask"], inputs["times"])


def prepare_features(features: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs of the features encoder from [width] or [time, width]; times count the rows."""
    rows = np.atleast_2d(np.asarray(features, np.float32))
    return {"features": rows, "times": np.arange(len(rows), dtype=np.float32), "mask": np.ones(len(rows), bool)}
