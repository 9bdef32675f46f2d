"""Tiny models in the formats that transformers and timm publish, for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import timm
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    Dinov2Config,
    Dinov2Model,
    HubertConfig,
    HubertModel,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTConfig,
    ViTModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
FRONT: dict[str, Any] = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
LARGE: dict[str, Any] = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
WHISPER: dict[str, Any] = {
    "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "num_mel_bins": 80,
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "vocab_size": 60, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
PICTURE: dict[str, Any] = SHAPE | {"image_size": 32, "patch_size": 8}
WORDS: dict[str, Any] = SHAPE | {"vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}

VOICES: dict[str, Any] = {
    "wavlm": lambda: WavLMModel(WavLMConfig(**SHAPE, **FRONT)),
    "wavlm-large": lambda: WavLMModel(WavLMConfig(**SHAPE, **FRONT, **LARGE)),
    "hubert": lambda: HubertModel(HubertConfig(**SHAPE, **FRONT)),
    "wav2vec2-large-robust": lambda: Wav2Vec2Model(Wav2Vec2Config(**SHAPE, **FRONT, **LARGE)),
    "data2vec": lambda: Data2VecAudioModel(
        Data2VecAudioConfig(**SHAPE, **FRONT | {"num_conv_pos_embeddings": 5, "conv_pos_kernel_size": 9})
    ),
    "whisper": lambda: WhisperModel(WhisperConfig(**WHISPER)),
}
TOWERS: dict[str, Any] = {
    "clip": lambda: CLIPModel(CLIPConfig(vision_config=PICTURE, text_config=WORDS)),
    "clip-vision": lambda: CLIPVisionModel(CLIPVisionConfig(**PICTURE)),
    "siglip": lambda: SiglipModel(SiglipConfig(vision_config=PICTURE, text_config=WORDS)),
    "siglip-vision": lambda: SiglipVisionModel(SiglipVisionConfig(**PICTURE)),
    "vit": lambda: ViTModel(ViTConfig(**PICTURE)),
    "dinov2": lambda: Dinov2Model(Dinov2Config(**PICTURE)),
}
MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)


def voice(name: str, folder: Path) -> Path:
    """A folder with a tiny voice encoder of this family and its feature extractor."""
    torch.manual_seed(0)
    VOICES[name]().save_pretrained(folder)
    (WhisperFeatureExtractor if name == "whisper" else Wav2Vec2FeatureExtractor)().save_pretrained(folder)
    return folder


def tower(name: str, folder: Path) -> Path:
    """A folder with a tiny image model of this family, and the mean and deviation of its colours."""
    torch.manual_seed(0)
    TOWERS[name]().save_pretrained(folder)
    colours = {"image_mean": MEAN, "image_std": STD, "image_processor_type": "CLIPImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(colours))
    return folder


def timm_model(name: str, folder: Path) -> Path:
    """A folder with a small model of timm in its own format, with a mean and deviation of its own."""
    shape: dict[str, Any] = {"vit_tiny_patch16_224": {"img_size": 32, "depth": 2, "embed_dim": 24, "num_heads": 2}}.get(
        name, {"depths": (1, 1, 2, 1)} | ({"dims": (4, 8, 12, 16)} if "convnext" in name else {})
    )
    if "swin" in name:
        shape = {"img_size": 64, "depths": (1, 1, 2, 1), "embed_dim": 8, "num_heads": (1, 1, 2, 2), "window_size": 2}
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3, **shape)
    model.pretrained_cfg |= {"mean": MEAN, "std": STD}
    if "convnext" in name:
        model.pretrained_cfg |= {"input_size": (3, 64, 64)}
    timm.models.save_for_hf(model, folder, model_args=shape)
    return folder


def published(name: str, folder: Path) -> Path:
    """A folder with a tiny model of this family, random, as its library publishes it."""
    make = voice if name in VOICES else tower if name in TOWERS else timm_model
    return make(name, folder)
