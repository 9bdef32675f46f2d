"""Figure 8: training samples a second, and the engine against a plain PyTorch loop on the same model."""

from __future__ import annotations

import csv
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from benchmarks.clips import make_clip
from benchmarks.measure import Line, Setting
from benchmarks.models import TOKENIZER, pieces
from emofuse.modalities import MODALITIES
from emofuse.training.assemble import Data, assemble
from emofuse.training.dataset.budget import Within
from emofuse.training.dataset.sampler import Buckets
from emofuse.training.dataset.samples import Samples
from emofuse.training.objective.objective import Objective
from emofuse.training.outcome.report import RunLog
from emofuse.training.recipe.read import Recipe
from emofuse.training.single import Run
from emofuse.training.trainer import Loader
from emofuse.training.tuning.init import build
from emofuse.training.tuning.optim import build_optimizer
from emofuse.training.tuning.strategies import apply_strategies


class StepClock(TrainerCallback):
    """Seconds of each epoch's steps, without what is between epochs."""

    def __init__(self) -> None:
        self.epochs: list[list[float]] = []

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """A new epoch."""
        self.epochs.append([time.perf_counter()])

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """A step."""
        self.epochs[-1].append(time.perf_counter())


def measure(setting: Setting) -> list[Line]:
    """Raw, prepared and states of frozen encoders; then the engine over the plain loop, taking turns."""
    count, size = (4, 2) if setting.smoke else (48, 8)
    home = setting.work / "training"
    shutil.rmtree(home, ignore_errors=True)
    table = _manifest(setting, home, count)
    learnt = _recipe(home / "learnt", table, size, frozen=False, cache=True)
    frozen = _recipe(home / "frozen", table, size, frozen=True, cache=True)
    first, second = _trained(learnt, size)
    _, states = _trained(frozen, size)
    rates = {"raw": first, "prepared": second, "cached states": states}
    ours, plain = [], []
    for _ in range(min(3, setting.turns)):
        engine = _recipe(home / "engine", table, size, frozen=False, cache=True)
        ours.append(_trained(engine, size)[1])
        plain.append(_plain(engine, size))
        shutil.rmtree(home / "engine", ignore_errors=True)
    ratio = statistics.median(ours) / statistics.median(plain)
    lines = [Line(8, f"training from {name}", rate, unit="samples/s") for name, rate in rates.items()]
    details = {"engine": ours, "plain": plain}
    return [*lines, Line(8, "engine / plain PyTorch loop", ratio, goal=0.95, at_most=False, details=details)]


FREE_BOX = (12).to_bytes(4, "big") + b"free"
"""Header of an mp4 box of four bytes that players pass over."""


def _manifest(setting: Setting, home: Path, count: int) -> Path:
    """Short clips with words and made-up labels, no two of the same bytes: dev must hold nothing that trains."""
    home.mkdir(parents=True)
    clip = make_clip(setting.work / "training.mp4", 1.5, 320, 180)
    table = home / "clips.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "media", "text", "speaker", "split", "emotion"])
        for i in range(count + 2):
            copy = home / f"{i}.mp4"
            copy.write_bytes(clip.read_bytes() + FREE_BOX + i.to_bytes(4, "big"))
            split = "train" if i < count else "dev"
            writer.writerow([i, copy.name, "I can't believe it!", f"{split} {i}", split, ("joy", "fear")[i % 2]])
    return table


def _recipe(home: Path, table: Path, size: int, frozen: bool, cache: bool) -> Recipe:
    speech = {"model_type": "wav2vec2-bert", "hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    speech |= {"intermediate_size": 192, "feature_projection_input_dim": 320, "position_embeddings_type": "rotary"}
    face = {"patch_size": 8, "embed_dim": 96, "depth": 3, "num_heads": 4, "mlp_ratio": 2.0, "stem": [16, 32, 64]}
    bert = {"model_type": "bert", "vocab_size": pieces(), "hidden_size": 96, "num_hidden_layers": 2}
    bert |= {"num_attention_heads": 4, "intermediate_size": 192}
    values: dict[str, Any] = {
        "name": "throughput",
        "root": str(table.parent),
        "data": {"sources": [{"corpus": "manifest", "root": table.name}], "cache_mb": 0},
        "model": {
            "tasks": ["emotion"],
            "encoders": {
                "text": {"tokenizer": str(TOKENIZER), "architecture": bert},
                "speech": {"architecture": speech},
                "face": {"architecture": face, "image_size": 48},
            },
            "fusion": {"dim": 96, "layers": 1, "heads": 4},
        },
        "train": {"epochs": 2, "batch_size": size, "bf16": False, "workers": 0},
        "output": {"folder": str(home / "run"), "overwrite": True},
    }
    if cache:
        values["data"]["cache"] = {"folder": str(home / "cache"), "gb": 1.0}
    if frozen:
        values["strategy"] = {m: {"kind": "frozen"} for m in MODALITIES}
    return Recipe.model_validate(values)


def _trained(recipe: Recipe, size: int) -> tuple[float, float]:
    """Samples a second in the first epoch, and in the second, when what is kept is kept."""
    run = Run(recipe, 0, Path(recipe.folder), None, "")
    torch.manual_seed(0)
    model, _ = build(recipe)
    frozen = apply_strategies(model, recipe.strategy)
    data = assemble(recipe, 0, model, None)
    clock = StepClock()
    with RunLog(run.folder, False, True) as log:
        trainer = run._trainer(model, frozen, data, log)
        trainer.add_callback(clock)
        trainer.train()
    first, second = (size * (len(marks) - 1) / (marks[-1] - marks[0]) for marks in clock.epochs[:2])
    return first, second


def _plain(recipe: Recipe, size: int) -> float:
    """The loop anybody would write, over the same samples and batches, from what the run above has kept."""
    torch.manual_seed(0)
    model, _ = build(recipe)
    apply_strategies(model, recipe.strategy)
    data: Data = assemble(recipe, 0, model, None)
    objective = Objective(model, recipe.loss, data.counts, set(), recipe.train.bf16).train()
    optimizer = build_optimizer(model, recipe.optim)
    samples: Samples = data.samples
    loader = Loader(samples, Buckets(data.shares, samples.lengths, size), 0, Within(None, 0.0))
    loader.set_epoch(1)
    began, seen = time.perf_counter(), 0
    for (batch,) in loader:
        loss = objective(batch)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += len(batch)
    return seen / (time.perf_counter() - began)
