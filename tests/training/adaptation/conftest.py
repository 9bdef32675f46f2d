"""A model that pools its parts, and rows whose labels its heads can be taught."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from emofuse.model.config import ModelConfig
from emofuse.model.model import EmotionModel
from emofuse.training.adaptation import gate

SAID = {"joy": ["i am so happy!", "this is great", "so so happy"], "sadness": ["sad", "terrible", "i am so sad"]}
Rows = Callable[..., Path]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are not what is tested here."""
    monkeypatch.setattr(gate, "RESAMPLES", 50)


@pytest.fixture(scope="session")
def pooling(tiny_config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model of random weights whose fused answers are pools of its parts."""
    import torch

    values = tiny_config.model_dump()
    values["fusion"] |= {"pool": "mean", "correction": "never"}
    torch.manual_seed(0)
    model = EmotionModel(ModelConfig.model_validate(values))
    model.modality_heads["speech"].tasks["intensity"].supported_subsets[:] = False  # type: ignore[union-attr,index]
    return model.save_pretrained(tmp_path_factory.mktemp("pooling") / "tiny", card="# tiny\n")


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Writes a manifest of what is said in joy and in sadness, in turns, each row by one of so many speakers."""

    def write(
        n: int = 24, speakers: int = 6, said: Sequence[str] = ("joy", "sadness"), split: str | None = None
    ) -> Path:
        path = tmp_path_factory.mktemp("rows") / "rows.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "speaker", "emotion", *(["split"] if split else [])])
            for i in range(n):
                mood = list(SAID)[i % 2]
                text = f"{SAID[mood][i // 2 % 3]} {i}"
                writer.writerow([f"r{i}", text, f"p{i // 2 % speakers}", said[i % 2], *([split] if split else [])])
        return path

    return write
