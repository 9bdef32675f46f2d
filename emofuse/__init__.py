"""Multimodal emotion recognition from text, speech and face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emofuse.version import __version__

if TYPE_CHECKING:
    from emofuse.client import Client
    from emofuse.errors import EmofuseError, MediaError
    from emofuse.media.clip import ClipInputs
    from emofuse.pipeline.analysis import Analysis
    from emofuse.pipeline.pipeline import Pipeline, load
    from emofuse.types import Prediction

__all__ = [
    "Analysis",
    "Client",
    "ClipInputs",
    "EmofuseError",
    "MediaError",
    "Pipeline",
    "Prediction",
    "__version__",
    "load",
]

_HOMES = {
    "load": "emofuse.pipeline.pipeline",
    "Pipeline": "emofuse.pipeline.pipeline",
    "Analysis": "emofuse.pipeline.analysis",
    "Client": "emofuse.client",
    "ClipInputs": "emofuse.media.clip",
    "Prediction": "emofuse.types",
    "EmofuseError": "emofuse.errors",
    "MediaError": "emofuse.errors",
}


def __getattr__(name: str) -> Any:
    """Fetch a public name on first use, so that `import emofuse` stays quick and loads no heavy package."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
