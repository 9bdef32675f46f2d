"""Familiarity: how far an input lies from those of training, in the pooled state of its modality.

The distance is that to the nearest training states, along their whitened principal components (a nearest-neighbour
detector, Sun et al. 2022). An input further off than development data are is answered at a higher temperature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emofuse.errors import CheckpointError

NEIGHBOURS = 5
FURTHEST = 6.0
"""Spreads beyond the median from which a distance raises the temperature no more."""
MEDIAN, UPPER = 50, 84
"""Percentiles whose difference is one spread: that of a normal distribution."""
TENSORS = ("components", "offset", "reference", "quantiles", "slope")


class Familiarity(nn.Module):
    """Whitened principal components of training states, a sample of those states, and what distances are usual."""

    components: Tensor
    """[state, component]"""
    offset: Tensor
    """[component]: the mean state's place along the components."""
    reference: Tensor
    """[n, component]: training states along the components."""
    quantiles: Tensor
    """[101]: percentiles of the distance over development data."""
    slope: Tensor
    """The logarithm of the temperature a spread of distance."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name in TENSORS:
            self.register_buffer(name, tensors[name].float(), persistent=False)

    def forward(self, states: Float[Tensor, "batch state"]) -> Float[Tensor, " batch"]:
        """Root of the mean squared distance to the nearest neighbours."""
        along = states.float() @ self.components - self.offset
        squares = along.square().sum(1)[:, None] + self.reference.square().sum(1) - 2 * along @ self.reference.T
        nearest = squares.topk(min(NEIGHBOURS, len(self.reference)), largest=False).values
        return nearest.clamp(min=0).mean(1).sqrt()

    def percentile(self, distance: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The share of development data that lies nearer, 0 to 1."""
        return (distance[:, None] > self.quantiles).sum(1).float().sub(1).clamp(min=0) / (len(self.quantiles) - 1)

    def spreads(self, distance: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """How far beyond the median of development data, in spreads, 0 to FURTHEST."""
        spread = (self.quantiles[UPPER] - self.quantiles[MEDIAN]).clamp(min=1e-6)
        return ((distance - self.quantiles[MEDIAN]) / spread).clamp(0, FURTHEST)

    def heat(self, distance: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """What the temperature is multiplied by."""
        return (self.slope * self.spreads(distance)).exp()


def fingerprint(weights: Mapping[str, Tensor], modality: str) -> str:
    """Of all that a modality's pooled states follow from, in a model's state: its encoder and its own head's pool.

    Where two models have the same one, what is familiar to the one is to the other.
    """
    parts = (f"encoders.{modality}.", f"modality_heads.{modality}.pool.")
    found = hashlib.sha256()
    for name in sorted(name for name in weights if name.startswith(parts)):
        tensor = weights[name].detach().cpu()
        tensor = tensor.float() if tensor.is_floating_point() else tensor
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def save_familiarity(each: nn.ModuleDict, path: Path) -> None:
    """Write what is known of each modality, in float16 but for the percentiles."""
    small = {"quantiles": torch.float32, "slope": torch.float32}
    save_file(
        {
            f"{modality}.{name}": _stored(getattr(known, name), small.get(name, torch.float16))
            for modality, known in each.items()
            for name in TENSORS
        },
        path,
        metadata={"format": "pt"},
    )
    path.chmod(0o644)


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().cpu().to(dtype).contiguous().clone()


def load_familiarity(path: Path) -> nn.ModuleDict:
    """The inverse of `save_familiarity`; raises CheckpointError when the file is not that."""
    try:
        tensors = load_file(path)
        modalities = dict.fromkeys(name.rpartition(".")[0] for name in tensors)
        return nn.ModuleDict({m: Familiarity({n: tensors[f"{m}.{n}"] for n in TENSORS}) for m in modalities})
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} does not say what is familiar ({error!r}); write it with emofuse calibrate, or delete it"
        ) from error
