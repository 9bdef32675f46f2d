"""Recipes of one tiny encoder each, in the libraries' true formats, and faces to pretrain on."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml


@pytest.fixture
def recipe_file(tiny_values: dict[str, Any], tmp_path: Path):
    """Writes a recipe whose only encoder is given, and returns its path."""

    def write(modality: str, encoder: dict[str, Any] | None = None) -> Path:
        own = encoder or tiny_values["model"]["encoders"][modality]
        values = tiny_values | {"model": tiny_values["model"] | {"encoders": {modality: own}}}
        path = tmp_path / f"{modality}.yaml"
        path.write_text(yaml.safe_dump(values), "utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 20 pictures: smooth shades, in which a hidden patch can be told from what is round it."""
    import cv2

    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    rows = []
    across, down = np.meshgrid(np.linspace(-1, 1, 32), np.linspace(-1, 1, 32))
    for number in range(20):
        a, b = rng.uniform(-60, 60, 2)
        grey = np.clip(128 + a * across + b * down, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), grey)
        rows.append({"media": f"{number}.png", "speaker": f"p{number}", "split": "train", "face_crop": "true"})
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "manifest.csv"
