"""The models that are measured: emofuse-small as it ships, and one of base size with random weights."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL = "emofuse-small"
TOKENIZER = Path(__file__).resolve().parents[1] / "checkpoints" / SMALL


def pieces() -> int:
    """Word pieces of the tokenizer that ships: the rows that a model of its own needs."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(TOKENIZER / "tokenizer.json")).get_vocab_size()


@dataclass(frozen=True)
class Sources:
    """Folders in the formats the libraries themselves write, and the emofuse checkpoint made of them."""

    text: Path
    speech: Path
    face: Path
    checkpoint: Path


def base_model(work: Path, tiny: bool = False) -> Sources:
    """BERT-base, wav2vec2-base and ViT-B/16 with random weights, saved locally; `tiny` keeps the shapes' kind alone.

    What an earlier run left in `work` is used again.
    """
    home = work / ("tiny" if tiny else "base")
    sources = Sources(home / "text", home / "speech", home / "face", home / "model")
    if not (sources.checkpoint / "config.json").is_file():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        _save_parts(sources, tiny)
        _save_whole(sources, tiny)
    return sources


def _save_parts(sources: Sources, tiny: bool) -> None:
    import timm
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        Wav2Vec2Config,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForSequenceClassification,
    )

    torch.manual_seed(0)
    small: dict[str, Any] = (
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64} if tiny else {}
    )
    conv: dict[str, Any] = {"conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16} if tiny else {}
    labels: dict[str, Any] = {"num_labels": 7}
    text = BertForSequenceClassification(BertConfig(vocab_size=pieces(), **small, **labels))
    text.save_pretrained(sources.text)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy2(TOKENIZER / name, sources.text / name)
    speech = Wav2Vec2ForSequenceClassification(Wav2Vec2Config(**small, **conv, **labels, classifier_proj_size=32))
    speech.save_pretrained(sources.speech)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False).save_pretrained(sources.speech)
    face = timm.create_model("vit_base_patch16_224", num_classes=7, **_face(tiny))
    timm.models.save_for_hf(face, str(sources.face), model_args=_face(tiny), safe_serialization=True)


def _face(tiny: bool) -> dict[str, Any]:
    return {"embed_dim": 32, "depth": 2, "num_heads": 2} if tiny else {}


def _save_whole(sources: Sources, tiny: bool) -> None:
    """The three under one fusion; heads are drawn wide, so that answers are decided ones and a drift can be seen."""
    import torch

    from emofuse.model.config import ModelConfig
    from emofuse.model.model import EmotionModel

    config = ModelConfig.model_validate(
        {
            "tasks": ["emotion", "polarity", "intensity"],
            "encoders": {
                "text": {"source": str(sources.text)},
                "speech": {"source": str(sources.speech)},
                "face": {"source": str(sources.face), "architecture": _face(tiny)},
            },
        }
    )
    torch.manual_seed(0)
    model = EmotionModel(config).eval()
    for head in model.modality_heads.values():
        for task in head.tasks.values():  # type: ignore[union-attr]
            torch.nn.init.normal_(task.linear.weight, std=task.linear.in_features**-0.5)
    model.save_pretrained(sources.checkpoint)
