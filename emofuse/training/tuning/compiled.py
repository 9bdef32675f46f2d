"""Compiled training: encoders and fusion through torch.compile, in place, so that no weight changes its name."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from emofuse.errors import first_line, installed
from emofuse.model.model import EmotionModel
from emofuse.training.errors import TrainingError

WAY_OUT = "or set train.compile=false, which learns the same"


def check_compiler(device: torch.device) -> None:
    """Raise TrainingError where torch.compile has nothing to compile with: C++ on a CPU, Triton on a GPU."""
    if device.type == "cuda" and not installed("triton"):
        raise TrainingError(f"train.compile on a GPU needs triton, which is not installed: install it, {WAY_OUT}")
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    compiler = os.environ.get("CXX") or usual
    if device.type != "cuda" and shutil.which(compiler) is None:
        raise TrainingError(
            f"train.compile on a CPU needs a C++ compiler, and there is no {compiler!r}: install one ({usual}), "
            f"name it by the environment variable CXX, {WAY_OUT}"
        )


def compile_parts(model: EmotionModel) -> list[str]:
    """Let every encoder and the fusion run as compiled code, for batches of any size; returns their names.

    Code is made at the first step that needs it. `Module.compile` wraps the call and not the module: the state dict,
    and whatever is saved, is that of the model as it was.
    """
    parts = {**{m: model.encoder(m) for m in model.modalities}, "fusion": model.fusion}
    for part in parts.values():
        part.compile(dynamic=True)
    return list(parts)


@contextmanager
def uncompiled(compiles: bool) -> Iterator[None]:
    """Compiled parts run as plain code inside the block: scores are those of the model as it will be loaded."""
    if not compiles:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def compiling(compiles: bool) -> Iterator[None]:
    """What torch.compile raises inside the block, as a TrainingError."""
    if not compiles:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        raise TrainingError(
            f"train.compile: {type(error).__name__}: {first_line(error)}; fix that, {WAY_OUT}"
        ) from error
