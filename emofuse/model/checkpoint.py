"""Checkpoint folders: self-describing, without pickle, checked before they are used."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from emofuse.encoders.encoder import Encoder
from emofuse.errors import CheckpointError, EmofuseError, first_line
from emofuse.files import replacing_folder
from emofuse.modalities import Modality
from emofuse.model.config import ModelConfig
from emofuse.model.conformal import FILE as CONFORMAL
from emofuse.model.conformal import ConformalTable, save_conformal
from emofuse.model.device import find_device
from emofuse.model.familiarity import load_familiarity, save_familiarity
from emofuse.model.folder import FAMILIARITY, OF_WEIGHTS, WEIGHTS, locate, read_config, read_conformal, upload
from emofuse.model.weights import Stored, pack, read_tensors
from emofuse.torch_state import plain_torch


@runtime_checkable
class Savable(Protocol):
    """What saving needs of a model: weights, a configuration, calibration, and encoders with assets of their own."""

    config: ModelConfig
    encoders: Any
    conformal: ConformalTable
    familiarity: Any

    @property
    def modalities(self) -> tuple[Modality, ...]: ...

    def encoder(self, modality: Modality) -> Encoder: ...

    def state_dict(self) -> dict[str, Any]: ...


Model = TypeVar("Model")


class CheckpointMixin:
    """`save_pretrained`, `from_pretrained` and `push_to_hub` for a model that is built from a ModelConfig."""

    def save_pretrained(self, folder: str | Path, **contents: Any) -> Path:
        """Write a folder that describes itself; see `save`."""
        return save(cast(Savable, self), folder, **contents)

    @classmethod
    def from_pretrained(cls: type[Model], name_or_path: str | Path, **options: Any) -> Model:
        """A model in evaluation mode by name, folder or hub id; see `load`."""
        return load(cls, name_or_path, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the folder `save_pretrained` would write; see `push`."""
        return push(cast(Savable, self), repo_id, **options)


@plain_torch()
def load(
    kind: type[Model],
    name_or_path: str | Path,
    *,
    device: str | torch.device = "cpu",
    revision: str | None = None,
    token: str | None = None,
    lean: bool = False,
) -> Model:
    """A model of a kind in evaluation mode, float32, from a name, a folder or a hub id; `lean` as in `EmotionModel`.

    Raises CheckpointError: see `locate` and `read_config`; also when the weights are missing, damaged, or do not fit;
    EmofuseError for a device that is not there.
    """
    where, folder = find_device(device), locate(name_or_path, revision=revision, token=token)
    config = read_config(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise CheckpointError(f"{folder} holds no model.safetensors; fetch or save the model again")
    try:
        state = read_tensors(weights)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{weights} cannot be read ({error}); the file is damaged: fetch or save it again"
        ) from error
    with torch.random.fork_rng(devices=[]):  # weights are drawn before they are read, and no draw is the caller's
        model = _built(kind, config, folder, lean)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{weights} does not fit {folder / 'config.json'}: {error}") from error
    model.conformal = read_conformal(folder, config)
    if (folder / FAMILIARITY).is_file():
        model.familiarity = load_familiarity(folder / FAMILIARITY)
    return model.to(where, torch.float32).eval()


def _built(kind: Any, config: ModelConfig, folder: Path, lean: bool) -> Any:
    """The model without its weights; whatever a damaged tokenizer or architecture raises is a CheckpointError."""
    try:
        return kind(config, checkpoint=folder, lean=lean)
    except (EmofuseError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # tokenizers raises Exception itself
        raise CheckpointError(
            f"{folder} cannot be built into a model ({type(error).__name__}: {first_line(error)}): its config.json or "
            "its tokenizer is damaged or was edited by hand; fetch or save it again"
        ) from error


def save(
    model: Savable,
    folder: str | Path,
    *,
    dtype: Stored = "float32",
    recipe: str | None = None,
    report: Mapping[str, Any] | None = None,
    card: str | None = None,
) -> Path:
    """Write config.json, model.safetensors, the tokenizer, conformal.json and familiarity.safetensors of a calibrated
    model, and recipe.yaml, report.json, README.md where given.

    The folder appears whole or not at all, and replaces an earlier one; files in it that this does not write (plots)
    are kept. `dtype` "float16" halves the size, "compact" a little more (see `emofuse.model.weights`): weights are
    rounded, and read back as float32.
    """
    from emofuse.version import __version__

    with replacing_folder(folder, keep=lambda old: old.name not in OF_WEIGHTS) as building:
        encoders = {m: e.config for m, e in model.encoders.items()}
        config = model.config.model_copy(update={"emofuse_version": __version__, "encoders": encoders})
        _write(building / "config.json", config.model_dump_json(indent=2))
        save_file(pack(model.state_dict(), dtype), building / WEIGHTS, metadata={"format": "pt"})
        (building / WEIGHTS).chmod(0o644)
        if model.conformal:
            save_conformal(model.conformal, building / CONFORMAL)
        if model.familiarity:
            save_familiarity(model.familiarity, building / FAMILIARITY)
        for modality in model.modalities:
            model.encoder(modality).save_assets(building)
        if recipe is not None:
            _write(building / "recipe.yaml", recipe)
        if report is not None:
            _write(building / "report.json", json.dumps(report, indent=2, ensure_ascii=False))
        if card is not None:
            _write(building / "README.md", card)
    return Path(folder)


def push(model: Savable, repo_id: str, *, private: bool = False, token: str | None = None, **contents: Any) -> str:
    """Upload to the hub, creating the repository when it is not there; returns its address."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = save(model, Path(scratch) / repo_id.split("/")[-1], **contents)
        return upload(folder, repo_id, private=private, token=token)


def _write(path: Path, text: str) -> None:
    path.write_text(text + "\n" if not text.endswith("\n") else text, "utf-8")
