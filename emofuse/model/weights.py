"""Weights at rest: the precision that each tensor of a checkpoint is stored at, and how it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from torch import Tensor

Stored = Literal["float32", "float16", "compact"]
"""`compact`: float16, and large tables of word pieces in 8 bits with one scale a row."""
TABLE = 1 << 22
"""Weights from which a table of word pieces is large."""
SCALE = ".weight.scale"
"""Ending of the name of a table's scales, float16 [rows, 1]."""


def pack(state: Mapping[str, Tensor], stored: Stored) -> dict[str, Tensor]:
    """The tensors to write: contiguous, on the CPU, sharing no memory."""
    import torch

    packed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu()
        if stored == "compact" and name.endswith("embeddings.weight") and tensor.numel() >= TABLE:
            scale = (tensor.abs().amax(1, keepdim=True) / 127).clamp(min=1e-6).half()
            packed[name] = (tensor / scale.float()).round().clamp(-127, 127).to(torch.int8)
            packed[name.removesuffix(".weight") + SCALE] = scale
        elif tensor.is_floating_point():
            packed[name] = tensor.to(torch.float32 if stored == "float32" else torch.float16).contiguous().clone()
        else:
            packed[name] = tensor.contiguous().clone()
    return packed


def unpack(packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a model, floating ones as float32."""
    state = {
        name: array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array
        for name, array in packed.items()
        if not name.endswith(SCALE)
    }
    for name in packed:
        if name.endswith(SCALE):
            table = name.removesuffix(".scale")
            state[table] = packed[table].astype(np.float32) * packed[name].astype(np.float32)
    return state


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """What `pack` wrote; raises SafetensorError or OSError for a file that cannot be read."""
    return unpack(load_file(path))


def rounded(state: Mapping[str, Tensor], stored: Stored) -> dict[str, Tensor]:
    """The tensors of a model as they come back from a file."""
    return _tensors(unpack({name: tensor.numpy() for name, tensor in pack(state, stored).items()}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The same as `read_weights`, for a model of PyTorch."""
    return _tensors(read_weights(path))


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    import torch

    return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}


def stored_as(kinds: Mapping[str, str]) -> Stored:
    """The precision of a file, from each tensor's name and safetensors' name of its type."""
    if any(name.endswith(SCALE) for name in kinds):
        return "compact"
    return "float16" if "F16" in kinds.values() and "F32" not in kinds.values() else "float32"
