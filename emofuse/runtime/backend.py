"""The backend: which engine computes a model's answers, and the model in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from emofuse.errors import EmofuseError, MissingExtraError, installed, require_package
from emofuse.model.answering import Answering
from emofuse.model.folder import WEIGHTS
from emofuse.runtime.export.layout import MANIFEST

if TYPE_CHECKING:
    import torch

Backend = Literal["auto", "torch", "onnx", "openvino"]


def choose_backend(folder: Path, backend: str) -> str:
    """The engine meant by "auto", or the named one: PyTorch where it is installed and the folder has weights for it,
    else the graphs that the folder holds. Raises EmofuseError for one that is not there."""
    if backend not in ("auto", "torch", "onnx", "openvino"):
        raise EmofuseError(f"no backend {backend!r}; valid: auto, torch, onnx, openvino")
    if backend != "auto":
        return backend
    if installed("torch") and (folder / WEIGHTS).is_file():
        return "torch"
    return next((name for name in ("onnx", "openvino") if (folder / name / MANIFEST).is_file()), "torch")


def load_model(
    folder: Path, backend: str, device: str | torch.device | None, precision: str, threads: int | None
) -> Answering:
    """The model in a folder, in the engine that is asked for; see `emofuse.load`."""
    engine = choose_backend(folder, backend)
    return (
        _in_torch(folder, device, precision)
        if engine == "torch"
        else _exported(folder, engine, device, precision, threads)
    )


def _in_torch(folder: Path, device: str | torch.device | None, precision: str) -> Answering:
    if not installed("torch"):
        raise MissingExtraError(
            f"{folder} holds no graphs to predict with, and PyTorch, which reads its weights, is not installed; "
            "install it with: pip install 'emofuse[torch]', or export the model where it is: emofuse export MODEL OUT"
        )
    from emofuse.runtime.precision import loaded

    return loaded(folder, choose_device(device), precision)


def _exported(folder: Path, engine: str, device: object, precision: str, threads: int | None) -> Answering:
    from emofuse.runtime.export.run import load_exported

    if device is not None and str(device) not in ("auto", "cpu"):
        require_package("torch", extra="torch")
    if precision not in ("auto", "float32"):
        raise EmofuseError(f"graphs have the precision they were exported in, not {precision!r}; leave precision out")
    return load_exported(folder, engine, "auto" if device is None else str(device), threads)


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device meant by "auto" or None, or the named one if it is there. Raises `EmofuseError`."""
    from emofuse.model.device import find_device

    return find_device(device)
