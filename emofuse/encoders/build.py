"""An encoder from its configuration."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from emofuse.encoders.config import EncoderConfig, FaceConfig, FeaturesConfig, SpeechConfig, TextConfig
from emofuse.types import Modality


def build_encoder(
    modality: Modality, config: EncoderConfig, checkpoint: Path | None = None, lean: bool = False
) -> nn.Module:
    """Weights from the configured source, or, given a `checkpoint` folder, the shape alone (weights come after).

    `lean`: without transformers and timm where a `checkpoint` holds a plain architecture; see `backbones.layers`.
    """
    match config:
        case TextConfig():
            from emofuse.encoders.text import TextEncoder

            return TextEncoder(config, checkpoint, lean)
        case SpeechConfig():
            from emofuse.encoders.speech import SpeechEncoder

            return SpeechEncoder(config, checkpoint, lean)
        case FaceConfig():
            from emofuse.encoders.face import FaceEncoder

            return FaceEncoder(config, checkpoint, lean)
        case FeaturesConfig():
            from emofuse.encoders.features import FeaturesEncoder

            return FeaturesEncoder(modality, config, checkpoint)
