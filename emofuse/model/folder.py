"""Checkpoint folders: found, their configuration read and checked, copied, uploaded; their weights are not touched."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from pydantic import ValidationError

from emofuse.errors import CheckpointError
from emofuse.files import PathOrName, bundled_folder, check_output_folder, home_path, replacing_folder
from emofuse.model.config import SCHEMA_VERSION, ModelConfig
from emofuse.model.conformal import FILE as CONFORMAL
from emofuse.model.conformal import ConformalTable, load_conformal
from emofuse.tasks import TASKS, Task

ACCEPTED = (
    "a name shipped with emofuse (for example 'emofuse-small'), a folder written by save_pretrained, "
    "or a hub id 'owner/name'"
)
WEIGHTS = "model.safetensors"
FAMILIARITY = "familiarity.safetensors"
"""Beside the weights of a checkpoint that knows what it was trained on."""
GRAPHS = ("onnx", "openvino", "torch")
"""Folders of exported graphs."""
DRIFT = "drift.json"
"""What the model's answers to development data are like: see `emofuse.pipeline.drift`."""
OF_WEIGHTS = (CONFORMAL, FAMILIARITY, DRIFT, *GRAPHS)
"""Files and folders that say something of weights, and nothing of others."""


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
    path = home_path(name)
    if _is_folder(path):
        return path
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _download(name, revision, token)
    known = ", ".join(shipped()) or "none"
    raise CheckpointError(f"no model {name!r}: give {ACCEPTED}; shipped here: {known}")


def _is_folder(path: Path) -> bool:
    """Whether it is one. Raises CheckpointError where this user may not look."""
    try:
        there = path.is_dir()
        allowed = not there or os.access(path, os.R_OK | os.X_OK)
    except PermissionError:
        there = allowed = False
    if not allowed:
        raise CheckpointError(f"{str(path)!r}: permission denied; let this user read the folder, and those above it")
    return there


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


def read_conformal(folder: Path, config: ModelConfig) -> ConformalTable:
    """Scores of prediction sets, {} where the folder has none.

    Raises CheckpointError where they are of other classes than the model's.
    """
    path = folder / CONFORMAL
    if not path.is_file():
        return {}
    table, classes = load_conformal(path), {task.name: task.classes for task in config.tasks}
    for subset, each in table.items():
        for task, scores in each.items():
            if scores.classes != classes.get(task):
                raise CheckpointError(
                    f"{path}: the scores of {subset} are of {task} {list(scores.classes)}, the model's classes are "
                    f"{list(classes.get(task, ()))}; write it with emofuse calibrate, or delete it"
                )
    return table


def upload(folder: Path, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a checkpoint folder as it is; see `push`."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload with emofuse"))


def copy_checkpoint(source: Path, folder: PathOrName) -> Path:
    """A checkpoint's files in another folder, which appears whole or not at all. Raises OutputError for its own."""
    check_output_folder(folder, [source])
    with replacing_folder(folder, keep=lambda old: old.name not in OF_WEIGHTS) as building:
        for file in source.iterdir():
            if file.is_file():
                shutil.copyfile(file, building / file.name)
            elif file.name in GRAPHS:
                shutil.copytree(file, building / file.name)
    return Path(folder)
