"""Layer pruning: a checkpoint with fewer encoder layers, to be distilled from the whole one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emofuse.encoders.registry import encoder_class
from emofuse.errors import CheckpointError, EmofuseError
from emofuse.files import replacing_folder
from emofuse.modalities import Modality
from emofuse.model.conformal import FILE as CONFORMAL
from emofuse.model.familiarity import fingerprint, load_familiarity, save_familiarity
from emofuse.model.folder import DRIFT, FAMILIARITY, locate, read_config

_LAYER = re.compile(r"(?<=\.)((?:encoder\.|transformer\.)?layers?|blocks)\.(\d+)\.")
_LEFT_BEHIND = ("model.safetensors", "config.json", "report.json", "README.md", CONFORMAL, FAMILIARITY, DRIFT)
"""Of the whole model: measured quality, promises and distances do not hold for the pruned one."""


def prune(model: str | Path, folder: str | Path, keep: Mapping[Modality, int]) -> Path:
    """Write a checkpoint with `keep[m]` layers in the encoder of m, evenly spaced from the first to the last.

    Its answers are worse until it is trained, best on what the whole model answers (`loss.distil`; Sanh et al. 2019
    start DistilBERT so). Raises EmofuseError for an encoder that has no such layers, or fewer.
    """
    source, folder = locate(model), Path(folder)
    if folder.exists():
        raise EmofuseError(f"{folder} is there already; name a folder that is not")
    if not (source / "model.safetensors").is_file():
        raise CheckpointError(f"{source} holds no model.safetensors; fetch or save the model again")
    read_config(source)
    config = json.loads((source / "config.json").read_text("utf-8"))
    state = whole = load_file(source / "model.safetensors")
    for modality, count in keep.items():
        if modality not in config["encoders"]:
            raise EmofuseError(f"the model reads no {modality}; it has encoders for {', '.join(config['encoders'])}")
        state = _pruned(state, config, modality, count)
    with replacing_folder(folder) as building:
        save_file(state, building / "model.safetensors", metadata={"format": "pt"})
        (building / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        for path in source.iterdir():
            if path.is_file() and path.name not in _LEFT_BEHIND:
                shutil.copy2(path, building / path.name)
        if known := _familiar(source / FAMILIARITY, whole, state):
            save_familiarity(known, building / FAMILIARITY)
    return folder


def _familiar(path: Path, whole: dict[str, Tensor], pruned: dict[str, Tensor]) -> nn.ModuleDict:
    """What the modalities are familiar with that lost no layer."""
    known = load_familiarity(path) if path.is_file() else nn.ModuleDict()
    return nn.ModuleDict({m: k for m, k in known.items() if fingerprint(whole, m) == fingerprint(pruned, m)})


def spaced(layers: int, keep: int) -> list[int]:
    """Indices of the layers that stay: the first, the last, and evenly between; of one, the first."""
    return sorted({round(i * (layers - 1) / max(1, keep - 1)) for i in range(keep)})


def _pruned(state: dict[str, Tensor], config: dict[str, Any], modality: Modality, keep: int) -> dict[str, Tensor]:
    prefix = f"encoders.{modality}.backbone."
    found = [_LAYER.search(name) for name in state if name.startswith(prefix)]
    layers = 1 + max((int(match[2]) for match in found if match), default=-1)
    if not 1 <= keep <= layers:
        raise EmofuseError(f"the {modality} encoder has {layers} layers; keep 1 to {layers} of them, not {keep}")
    encoder = config["encoders"][modality]
    architecture = dict(encoder.get("architecture") or {})
    if "virtual_tokens" in architecture:
        raise EmofuseError(f"the {modality} encoder has virtual tokens for each of its layers: prune before tuning")
    architecture[encoder_class(encoder["kind"]).depth_key(architecture)] = keep
    encoder["architecture"] = architecture
    place = {old: new for new, old in enumerate(spaced(layers, keep))}
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        match = _LAYER.search(name) if name.startswith(prefix) else None
        if match is None:
            out[name] = tensor
        elif int(match[2]) in place:
            out[f"{name[: match.start()]}{match[1]}.{place[int(match[2])]}.{name[match.end() :]}"] = tensor
    weights = f"encoders.{modality}.layer_weights"
    if weights in out:
        out[weights] = out[weights][[0, *(old + 1 for old in place)]].contiguous()
    return out
