"""The encoders that are known, by the kind of their configuration: this package's, plugins' and those registered."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from emofuse.encoders.config import EncoderConfig
from emofuse.encoders.encoder import Encoder
from emofuse.errors import RecipeError, nearest
from emofuse.modalities import MODALITIES, Modality, ordered

GROUP = "emofuse.encoders"
"""The entry point group of packages that bring an encoder: its kind → module:Class."""
BUILT_IN = {
    kind: EntryPoint(kind, f"emofuse.encoders.{kind}:{kind.capitalize()}Encoder", GROUP)
    for kind in (*MODALITIES, "features")
}
"""Imported when asked for, so that a model of words loads nothing of sound or pictures."""
_registered: dict[str, type[Encoder]] = {}


def register(encoder: type[Encoder]) -> type[Encoder]:
    """Make an encoder known by its kind in this process; usable as a decorator of its class.

    Raises RecipeError when another encoder has the kind.
    """
    kind = kind_of(encoder)
    other = _registered.get(kind)
    if kind in BUILT_IN or (other is not None and other.__qualname__ != encoder.__qualname__):
        raise RecipeError(f"there is an encoder of kind {kind!r} already; give {encoder.__name__}.Config another kind")
    _registered[kind] = encoder
    return encoder


def kind_of(encoder: type[Encoder]) -> str:
    """The kind that its configuration declares."""
    return str(encoder.Config.model_fields["kind"].default)


def encoder_class(kind: str) -> type[Encoder]:
    """The encoder of a kind; raises RecipeError naming those there are."""
    if kind in _registered:
        return _registered[kind]
    if kind in BUILT_IN:
        return BUILT_IN[kind].load()
    plugins = {point.name: point for point in entry_points(group=GROUP)}
    if kind in plugins:
        return plugins[kind].load()
    raise RecipeError(f"no encoder of kind {kind!r}; {nearest(kind, (*BUILT_IN, *_registered, *plugins))}")


def known_modalities() -> tuple[Modality, ...]:
    """The standard three, and those of the encoders that plugins bring or this process has registered."""
    plugins = [point.load() for point in entry_points(group=GROUP)]
    further = [m for e in (*plugins, *_registered.values()) if (m := getattr(e, "modality", None))]
    return ordered((*MODALITIES, *further))


def described(values: Any) -> Any:
    """The configuration of an encoder from plain values, by their `kind`; pydantic's errors for a wrong field."""
    if not isinstance(values, dict):
        return values
    try:
        encoder = encoder_class(str(values.get("kind")))
    except RecipeError as error:
        raise ValueError(str(error)) from error
    return encoder.Config.model_validate(values)


def build_encoder(
    modality: Modality, config: EncoderConfig, checkpoint: Path | None = None, lean: bool = False
) -> Encoder:
    """The encoder that a configuration describes; see `Encoder.build`."""
    return encoder_class(config.kind).build(modality, config, checkpoint, lean)
