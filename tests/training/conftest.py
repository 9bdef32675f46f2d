"""A corpus of one's own small enough to train on in a second: two emotions, told by the words and by the pitch."""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SAID = {
    "joy": ["i am so happy!", "this is great", "so so happy"],
    "sadness": ["sad", "this is terrible", "i am so sad"],
}


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of manifest.csv (24 train, 8 dev; text and sound) and its sounds."""
    import soundfile

    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(32):
        emotion = ("joy", "sadness")[number % 2]
        seconds = float(rng.uniform(0.2, 0.4))
        pitch = {"joy": 600, "sadness": 150}[emotion] * rng.uniform(0.9, 1.1)
        time = np.arange(int(seconds * 16_000)) / 16_000
        wave = 0.3 * np.sin(2 * np.pi * pitch * time) + 0.01 * rng.standard_normal(len(time))
        soundfile.write(folder / f"{number}.wav", wave.astype(np.float32), 16_000)
        split = "train" if number < 24 else "dev"
        said = SAID[emotion][number // 2 % 3]
        rows.append(
            {"media": f"{number}.wav", "text": said, "speaker": f"{split}{number}", "split": split, "emotion": emotion}
        )
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def recipe_values(tiny_values: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A copy of tiny_values that writes into tmp_path / "run"."""
    values = copy.deepcopy(tiny_values)
    values["output"]["folder"] = str(tmp_path / "run")
    return values


@pytest.fixture
def tuning_from(recipe_values: dict[str, Any]) -> Callable[[Path], dict[str, Any]]:
    """A recipe that tunes all of a checkpoint of three modalities for an epoch, on rows of words and voices."""

    def values(base: Path) -> dict[str, Any]:
        model = {
            "tasks": ["emotion", "polarity", "intensity"],
            "encoders": {"text": {}, "speech": {}, "face": {}},
            "fusion": {"dim": 16, "layers": 2, "heads": 2},
            "init": {"all": str(base)},
        }
        return recipe_values | {"model": model, "train": recipe_values["train"] | {"epochs": 1}}

    return values


@pytest.fixture(scope="session")
def tiny_values(tiny_corpus: Path, tiny_tokenizer: Path) -> dict[str, Any]:
    """A recipe over tiny_corpus as plain values: text and speech from scratch, dropout, three batches an epoch."""
    text = {"model_type": "bert", "vocab_size": 120, "hidden_size": 16, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 256}
    speech = {"model_type": "wav2vec2-bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    speech |= {"intermediate_size": 32, "feature_projection_input_dim": 160, "conv_depthwise_kernel_size": 7}
    speech |= {"position_embeddings_type": "rotary", "layerdrop": 0.0}
    return {
        "name": "tiny",
        "root": str(tiny_corpus),
        "data": {"sources": [{"corpus": "manifest", "root": "manifest.csv"}]},
        "model": {
            "tasks": ["emotion"],
            "encoders": {
                "text": {"tokenizer": str(tiny_tokenizer), "architecture": text, "max_length": 32},
                "speech": {"architecture": speech},
            },
            "fusion": {"dim": 16, "layers": 1, "heads": 2},
        },
        "optim": {"lr": 0.003},
        "train": {"epochs": 2, "batch_size": 8, "device": "cpu", "metric": "emotion.accuracy"},
        "output": {"tensorboard": False},
    }
