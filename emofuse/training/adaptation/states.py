"""States: what the modalities' own heads read of some samples, small enough to keep in place of the samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from emofuse.batch import Batch
from emofuse.calibration.parts import read_parts
from emofuse.data.examples import Example
from emofuse.errors import DataError
from emofuse.files import replacing
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel, Outputs
from emofuse.model.predict import Table

ENDING = ".safetensors"


@dataclass(frozen=True, eq=False)
class States:
    """n samples of one source: the pooled states of each modality, their targets and whose they are."""

    source: str
    pooled: Mapping[Modality, Float[np.ndarray, "n state"]]
    """NaN where a sample lacks the modality."""
    targets: Table
    """NaN = unlabelled."""
    clusters: Sequence[str]

    def __len__(self) -> int:
        return len(self.clusters)

    def take(self, rows: Int[np.ndarray, " m"]) -> States:
        """These rows, in this order."""
        return States(
            self.source,
            {m: s[rows] for m, s in self.pooled.items()},
            {t: v[rows] for t, v in self.targets.items()},
            [self.clusters[int(i)] for i in rows],
        )

    def batch(self, device: torch.device) -> tuple[dict[Modality, Tensor], Batch]:
        """Pooled states with zeros for what is absent, and a batch without inputs that says what is there."""
        given = {m: torch.from_numpy(np.nan_to_num(s)).float().to(device) for m, s in self.pooled.items()}
        present: dict[Modality, Tensor] = {
            m: torch.from_numpy(~np.isnan(s[:, 0])).to(device) for m, s in self.pooled.items()
        }
        targets = {t: torch.from_numpy(np.asarray(v, np.float32)).to(device) for t, v in self.targets.items()}
        there = {m: s for m, s in given.items() if bool(present[m].any())}
        return there, Batch({}, present, targets)


def read_states(model: EmotionModel, source: str, examples: Sequence[Example]) -> States:
    """Run the examples through the encoders, once; raises ValueError when there are none."""
    parts = read_parts(model, source, examples)
    return States(source, dict(parts.states), parts.targets, parts.clusters)


def outputs_of(model: EmotionModel, pooled: Mapping[Modality, Tensor], batch: Batch) -> Outputs:
    """What a model that corrects no pool answers from pooled states."""
    nothing = {t.name: torch.zeros(len(batch), t.width, device=model.device) for t in model.tasks}
    return model.read(pooled, batch.present, nothing, torch.zeros(len(batch), 1, device=model.device))


@dataclass(frozen=True, eq=False)
class Kept:
    """What of one source must not be forgotten: rows to learn with, and rows to be measured on."""

    name: str
    train: States | None
    dev: States | None


def save_states(kept: Sequence[Kept], model: EmotionModel, path: Path) -> Path:
    """Write the states of several sources, whole or not at all; they fit models with these very encoders."""
    arrays: dict[str, np.ndarray] = {}
    clusters: dict[str, list[str]] = {}
    for number, each in enumerate(kept):
        for part in ("train", "dev"):
            if (states := getattr(each, part)) is not None:
                key = f"{number}/{part}"
                clusters[key] = list(states.clusters)
                arrays |= {f"{key}/states/{m}": s.astype(np.float16) for m, s in states.pooled.items()}
                arrays |= {f"{key}/targets/{t}": v.astype(np.float32) for t, v in states.targets.items()}
    about = {"sources": json.dumps([each.name for each in kept]), "clusters": json.dumps(clusters)}
    with replacing(path) as temporary:
        save_file(arrays, temporary, metadata={"encoders": fingerprint(model), **about})
    return path


def load_states(path: Path, model: EmotionModel) -> list[Kept]:
    """The inverse of `save_states`. Raises DataError for another file, or the states of other encoders."""
    try:
        with safe_open(path, "np") as file:
            about = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        names, clusters = json.loads(about["sources"]), json.loads(about["clusters"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} holds no states ({error}); write them with emofuse states MODEL {path} …") from error
    if about.get("encoders") != fingerprint(model):
        raise DataError(f"{path} holds states of other encoders than this model's; write them anew: emofuse states")
    found: dict[str, States] = {}
    for key, whose in clusters.items():
        name = names[int(key.partition("/")[0])]
        own = {n.removeprefix(f"{key}/"): a for n, a in arrays.items() if n.startswith(f"{key}/")}
        pooled = {n.partition("/")[2]: a.astype(np.float32) for n, a in own.items() if n.startswith("states/")}
        targets = {n.partition("/")[2]: a.astype(np.float64) for n, a in own.items() if n.startswith("targets/")}
        found[key] = States(name, pooled, targets, whose)
    return [Kept(name, found.get(f"{i}/train"), found.get(f"{i}/dev")) for i, name in enumerate(names)]


def fingerprint(model: EmotionModel) -> str:
    """SHA-256 of the weights that states follow from: the encoders' and their pooling's, in half precision."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if name.startswith("encoders.") or ".pool." in name:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()
