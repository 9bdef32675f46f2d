"""An encoder from its configuration."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from emofuse.encoders.config import EncoderConfig, FaceConfig, FeaturesConfig, SpeechConfig, TextConfig
from emofuse.types import Modality


def build_encoder(modality: Modality, config: EncoderConfig, checkpoint: Path | None = None) -> nn.Module:
    """Weights from the configured source, or, given a `checkpoint` folder, the shape alone (weights come after)."""
    match config:
        case TextConfig():
            from emofuse.encoders.text import TextEncoder

            return TextEncoder(config, checkpoint)
        case SpeechConfig():
            from emofuse.encoders.speech import SpeechEncoder

            return SpeechEncoder(config, checkpoint)
        case FaceConfig():
            from emofuse.encoders.face import FaceEncoder

            return FaceEncoder(config, checkpoint)
        case FeaturesConfig():
            from emofuse.encoders.features import FeaturesEncoder

            return FeaturesEncoder(modality, config, checkpoint)
