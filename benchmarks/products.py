"""Whose matrix products: this project's wav2vec2 and 8 bits against transformers' model and torchao's, in one run.

    uv run python -m benchmarks.products [--rounds 5] [--seconds 10] [--tiny]

Of a speech encoder of base size with random weights, one row of sound: the median seconds of each side, taking turns,
and how far its states are from transformers' in float32. torchao is measured where it is installed.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from benchmarks.measure import alternate
from emofuse.encoders import hf
from emofuse.encoders.hf import described
from emofuse.runtime.int8 import quantise

RATE = 16_000


def sides(config: Wav2Vec2Config) -> Iterator[tuple[str, nn.Module]]:
    """Modules of the same weights, transformers' own in float32 first."""
    torch.manual_seed(0)
    library = Wav2Vec2Model(config).eval()
    own = hf.loadable(described(config), True).eval()
    own.load_state_dict(library.state_dict(), strict=False)
    yield "transformers, float32", library
    yield "own, float32", own
    for name, module in (("transformers", library), ("own", own)):
        eight = copy.deepcopy(module)
        quantise(eight)
        yield f"{name}, own 8 bits", eight
        if importlib.util.find_spec("torchao") is not None:
            yield f"{name}, torchao 8 bits", _by_torchao(copy.deepcopy(module))


def _by_torchao(module: nn.Module) -> nn.Module:
    from torchao import quantization  # pyright: ignore[reportMissingImports]

    quantization.quantize_(module, quantization.Int8DynamicActivationInt8WeightConfig())
    return module


def states(module: nn.Module, sound: Tensor) -> Tensor:
    """[1, frames, dim]"""
    with torch.inference_mode():
        return module(sound, attention_mask=torch.ones(sound.shape, dtype=torch.long)).last_hidden_state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--tiny", action="store_true", help="a model of a few thousand weights")
    given = parser.parse_args()
    tiny: dict[str, Any] = {
        "hidden_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 512,
    }
    config = Wav2Vec2Config(**(tiny if given.tiny else {}))
    sound = torch.randn(1, round(given.seconds * RATE), generator=torch.Generator().manual_seed(0))
    modules = dict(sides(config))
    exact = states(modules["transformers, float32"], sound)
    works: dict[str, Callable[[], object]] = {n: lambda m=m: states(m, sound) for n, m in modules.items()}
    took = alternate(works, given.rounds)
    first = next(iter(took.values()))
    sys.stdout.write("| side | seconds | × of the first | mean change of a state |\n|---|---|---|---|\n")
    for name, seconds in took.items():
        off = float((states(modules[name], sound) - exact).abs().mean() / exact.abs().mean())
        sys.stdout.write(f"| {name} | {seconds:.3f} | {seconds / first:.2f} | {off:.4f} |\n")


if __name__ == "__main__":
    main()
