"""`train.compile` against plain training: steps of one model over the same batches, in turns.

uv run python -m benchmarks.compiled [--rounds 5] [--batch 16] [--layers 4]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.measure import alternate
from benchmarks.models import TOKENIZER, pieces
from emofuse.batch import Batch, collate
from emofuse.model.model import EmotionModel
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.schema import Recipe
from emofuse.training.tuning.compiled import compile_parts
from emofuse.training.tuning.init import build
from emofuse.training.tuning.optim import build_optimizer
from emofuse.types import Segment, Word

LENGTHS = (12, 24, 48, 96)
"""Words of the texts of a batch: every batch has another shape, as batches of like length have."""


@dataclass(frozen=True)
class Shape:
    """Of the text encoder, whose width and heads are MiniLM's."""

    layers: int = 4
    batch: int = 16


def recipe(shape: Shape, folder: Path) -> Recipe:
    """A text encoder with random weights under the fusion transformer."""
    bert = {"model_type": "bert", "vocab_size": pieces(), "hidden_size": 384, "num_hidden_layers": shape.layers}
    bert |= {"num_attention_heads": 12, "intermediate_size": 1536}
    values = {
        "name": "compiled",
        "root": str(folder),
        "data": {"sources": [{"corpus": "manifest", "root": "none.csv"}]},
        "model": {
            "tasks": ["emotion"],
            "encoders": {"text": {"tokenizer": str(TOKENIZER), "architecture": bert, "max_length": 128}},
            "fusion": {"dim": 128, "layers": 2, "heads": 4},
        },
    }
    return Recipe.model_validate(values)


def batches(model: EmotionModel, size: int) -> list[Batch]:
    """One of every length."""
    found = []
    for words in LENGTHS:
        said = tuple(Word("surprise", 0.3 * i, 0.3 * i + 0.2) for i in range(words))
        rows = []
        for row in range(size):
            target = torch.zeros(model.tasks[0].width)
            target[row % len(target)] = 1.0
            rows.append(model.prepare(Segment(str(row), 0.0, 0.3 * words, said), {"emotion": target.numpy()}))
        found.append(collate(rows))
    return found


def side(shape: Shape, folder: Path, compiles: bool) -> Callable[[], None]:
    """A pass over the batches, a step of AdamW each."""
    torch.manual_seed(0)
    values = recipe(shape, folder)
    model, _ = build(values)
    if compiles:
        compile_parts(model)
    counts = {task.name: np.ones(task.width) for task in model.tasks}
    objective = Objective(model, values.loss, counts).train()
    optimizer = build_optimizer(model, values.optim)
    given = batches(model, shape.batch)

    def steps() -> None:
        for batch in given:
            objective(batch)["loss"].backward()
            torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return steps


def main() -> None:
    """Print steps a second of both sides, their ratio, and what compiling took."""
    parser = argparse.ArgumentParser(description="Steps a second with and without train.compile.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--layers", type=int, default=4)
    given = parser.parse_args()
    shape = Shape(given.layers, given.batch)
    with TemporaryDirectory() as home:
        plain, compiled = (side(shape, Path(home), compiles) for compiles in (False, True))
        began = time.perf_counter()
        compiled()
        making = time.perf_counter() - began
        seconds = alternate({"plain": plain, "compiled": compiled}, given.rounds)
    rates = {name: len(LENGTHS) / took for name, took in seconds.items()}
    print(f"plain {rates['plain']:.2f} steps/s, compiled {rates['compiled']:.2f} steps/s")  # noqa: T201
    print(f"compiled / plain {rates['compiled'] / rates['plain']:.2f} ×; first pass {making:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
