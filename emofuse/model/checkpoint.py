"""Checkpoint folders: self-describing, without pickle, checked before they are used."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file

from emofuse.encoders.encoder import Encoder
from emofuse.errors import CheckpointError, EmofuseError, first_line
from emofuse.files import PathOrName, bundled_folder, check_output_folder, replacing_folder
from emofuse.modalities import Modality
from emofuse.model.config import SCHEMA_VERSION, ModelConfig
from emofuse.model.conformal import FILE as CONFORMAL
from emofuse.model.conformal import ConformalTable, load_conformal, save_conformal
from emofuse.model.familiarity import FILE as FAMILIARITY
from emofuse.model.familiarity import load_familiarity, save_familiarity
from emofuse.model.weights import Stored, pack, read_weights
from emofuse.tasks import TASKS, Task
from emofuse.torch_state import plain_torch

ACCEPTED = (
    "a name shipped with emofuse (for example 'emofuse-small'), a folder written by save_pretrained, "
    "or a hub id 'owner/name'"
)
DRIFT = "drift.json"
"""What the model's answers to development data are like: see `emofuse.pipeline.drift`."""
_OF_WEIGHTS = (CONFORMAL, FAMILIARITY, DRIFT)
"""Files that say something of weights and temperatures, and nothing of others."""


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


def shipped() -> dict[str, Path]:
    """Checkpoints that came with this installation, by name: in a clone from checkpoints/, else from the wheel."""
    return {p.parent.name: p.parent for p in sorted(bundled_folder().glob("*/config.json"))}


def locate(name_or_path: str | Path, *, revision: str | None = None, token: str | None = None) -> Path:
    """The folder of a checkpoint; a hub id is downloaded into the hub's own cache.

    Raises CheckpointError when there is no such folder, name or repository, or it cannot be reached.
    """
    name = str(name_or_path)
    if name in shipped():
        return shipped()[name]
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _download(name, revision, token)
    known = ", ".join(shipped()) or "none"
    raise CheckpointError(f"no model {name!r}: give {ACCEPTED}; shipped here: {known}")


def _download(repo_id: str, revision: str | None, token: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo_id, revision=revision, token=token))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"no folder {repo_id!r} here, and the hub repository of that name could not be read "
            f"({type(error).__name__}); check the id, the network, or your token, or give {ACCEPTED}"
        ) from error


def read_config(folder: Path) -> ModelConfig:
    """The checked configuration of a checkpoint folder.

    Raises CheckpointError when it is not one of ours, of another schema version, or of another label space.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no config.json: it is not a model folder; give {ACCEPTED}")
    try:
        raw = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); save the model again, or fetch it again") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version is None:
        raise CheckpointError(f"{path} is not an emofuse configuration (it has no schema_version); give {ACCEPTED}")
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        raise CheckpointError(
            f"{path} has schema_version {version}, this emofuse reads {SCHEMA_VERSION}; "
            f"{'upgrade emofuse' if newer else 'save it again with this version'}"
        )
    try:
        config = ModelConfig.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"{path}: {where}: {first['msg']}; the folder is damaged or was edited by hand"
        ) from error
    _check_labels(path, config)
    return config


def _check_labels(path: Path, config: ModelConfig) -> None:
    for task in config.tasks:
        known = TASKS.get(task.name)
        if known is not None and task.task() != known:
            raise CheckpointError(
                f"{path}: the label space of task {task.name!r} is {_space(task.task())}, this emofuse has "
                f"{_space(known)}; retrain, or load it with the version that wrote it ({config.emofuse_version})"
            )


def _space(task: Task) -> list[str] | tuple[float, float]:
    return list(task.classes) or (task.low, task.high)


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

    Raises CheckpointError: see `locate` and `read_config`; also when the weights are missing, damaged, or do not fit.
    """
    folder = locate(name_or_path, revision=revision, token=token)
    config = read_config(folder)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise CheckpointError(f"{folder} holds no model.safetensors; fetch or save the model again")
    try:
        state = read_weights(weights)
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
    if (folder / CONFORMAL).is_file():
        model.conformal = _fitting(load_conformal(folder / CONFORMAL), config, folder / CONFORMAL)
    if (folder / FAMILIARITY).is_file():
        model.familiarity = load_familiarity(folder / FAMILIARITY)
    return model.to(device, torch.float32).eval()


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


def _fitting(table: ConformalTable, config: ModelConfig, path: Path) -> ConformalTable:
    """Scores of prediction sets; raises CheckpointError where they are of other classes than the model's."""
    classes = {task.name: task.classes for task in config.tasks}
    for subset, each in table.items():
        for task, scores in each.items():
            if scores.classes != classes.get(task):
                raise CheckpointError(
                    f"{path}: the scores of {subset} are of {task} {list(scores.classes)}, the model's classes are "
                    f"{list(classes.get(task, ()))}; write it with emofuse calibrate, or delete it"
                )
    return table


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

    with replacing_folder(folder, keep=lambda old: old.name not in _OF_WEIGHTS) as building:
        encoders = {m: e.config for m, e in model.encoders.items()}
        config = model.config.model_copy(update={"emofuse_version": __version__, "encoders": encoders})
        _write(building / "config.json", config.model_dump_json(indent=2))
        save_file(pack(model.state_dict(), dtype), building / "model.safetensors", metadata={"format": "pt"})
        (building / "model.safetensors").chmod(0o644)
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


def upload(folder: Path, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a checkpoint folder as it is; see `push`."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload with emofuse"))


def copy_checkpoint(source: Path, folder: PathOrName) -> Path:
    """A checkpoint's files in another folder, which appears whole or not at all. Raises OutputError for its own."""
    check_output_folder(folder, [source])
    with replacing_folder(folder, keep=lambda old: old.name not in _OF_WEIGHTS) as building:
        for file in source.iterdir():
            if file.is_file():
                shutil.copyfile(file, building / file.name)
    return Path(folder)


def _write(path: Path, text: str) -> None:
    path.write_text(text + "\n" if not text.endswith("\n") else text, "utf-8")
