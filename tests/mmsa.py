"""Feature files as MMSA writes them, small: its keys, its shapes, and the names of numpy 1 that its files hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

KEPT = {"text": 6, "audio": 12, "vision": 9}
"""Rows that an utterance has room for."""


class Numpy1(pickle._Pickler):  # type: ignore[name-defined]
    """Writes the module names of numpy 1, by which published files were made; from protocol 4 on."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = getattr(obj, "__module__", "") or ""
        if not module.startswith("numpy._core"):
            super().save_global(obj, name)
            return
        self.save(module.replace("numpy._core", "numpy.core"))
        self.save(name or obj.__name__)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)


Rows = Sequence[tuple[str, float]]
"""(id, sentiment) each."""


def part(rows: Rows, widths: Sequence[int], seed: int, *, aligned: bool = False) -> dict[str, Any]:
    """One part; what it hears, sees and reads tells the sentiment through noise.

    Text is padded at the end, as its attention mask says; so are sound and picture, unless they are aligned.
    """
    rng, n = np.random.default_rng(seed), len(rows)
    values = np.array([value for _, value in rows])
    lengths = {name: rng.integers(2, room + 1, n) for name, room in KEPT.items()}
    fields: dict[str, Any] = {}
    for (name, room), width in zip(KEPT.items(), widths, strict=True):
        states = 3 + values[:, None, None] + rng.normal(0, 0.5, (n, room, width))
        states[np.arange(room)[None] >= lengths[name][:, None]] = 0
        fields[name] = states.astype(np.float32)
    mask = (np.arange(KEPT["text"])[None] < lengths["text"][:, None]).astype(np.int64)
    fields |= {
        "raw_text": np.array([f"SAID {i}" for i in range(n)]),
        "id": [name for name, _ in rows],
        "text_bert": np.stack([mask * 101, mask, mask * 0], axis=1),
        "annotations": [("Negative", "Neutral", "Positive")[int(np.sign(v)) + 1] for v in values],
        "classification_labels": np.sign(values) + 1,
        "regression_labels": values.astype(np.float32),
    }
    if not aligned:
        fields |= {f"{name}_lengths": lengths[name].tolist() for name in ("audio", "vision")}
    return fields


def write(path: Path, parts: Mapping[str, Any], protocol: int = 4, numpy: int = 1) -> Path:
    """The file, with the module names of numpy 1 or 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        (Numpy1 if numpy == 1 else pickle.Pickler)(file, protocol).dump(dict(parts))
    return path
