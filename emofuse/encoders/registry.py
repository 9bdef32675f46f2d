"""The encoders that are known, by the kind of their configuration: this package's, plugins' and those registered."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse.encoders.config import EncoderConfig, FaceConfig, FeaturesConfig, SpeechConfig, TextConfig
from emofuse.errors import RecipeError, nearest
from emofuse.modalities import MODALITIES, Modality, ordered

if TYPE_CHECKING:
    from emofuse.encoders.encoder import Encoder
    from emofuse.encoders.processors.processor import Processor

GROUP = "emofuse.encoders"
"""The entry point group of packages that bring an encoder: its kind → module:Class."""
BUILT_IN = {
    kind: EntryPoint(kind, f"emofuse.encoders.{kind}:{kind.capitalize()}Encoder", GROUP)
    for kind in (*MODALITIES, "features")
}
"""Imported when asked for, so that a model of words loads nothing of sound or pictures."""
_CONFIGS: dict[str, type[EncoderConfig]] = {
    "text": TextConfig,
    "speech": SpeechConfig,
    "face": FaceConfig,
    "features": FeaturesConfig,
}
"""Of the built-in ones, so that a configuration is read without PyTorch."""
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


def build_processor(modality: Modality, config: EncoderConfig, checkpoint: Path) -> Processor:
    """What stands before an encoder's network, from a checkpoint folder; of a built-in encoder, without PyTorch."""
    if isinstance(config, TextConfig):
        from emofuse.encoders.hf import tokenizer
        from emofuse.encoders.processors.text import TextProcessor

        return TextProcessor(config, tokenizer(checkpoint, lean=True))
    if isinstance(config, SpeechConfig):
        from emofuse.encoders.processors.speech import SpeechProcessor

        return SpeechProcessor(config)
    if isinstance(config, FaceConfig):
        from emofuse.encoders.processors.face import FaceProcessor

        return FaceProcessor(config)
    from emofuse.encoders.processors.whole import EncoderProcessor

    return EncoderProcessor(build_encoder(modality, config, checkpoint, lean=True))


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


def config_class(kind: str) -> type[EncoderConfig]:
    """The configuration of an encoder of this kind; raises RecipeError naming the kinds there are."""
    return _CONFIGS.get(kind) or encoder_class(kind).Config


def encodes(kind: str, modality: Modality) -> bool:
    """Whether an encoder of this kind can be this modality's."""
    return kind in ("features", modality) if kind in BUILT_IN else encoder_class(kind).encodes(modality)


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
        config = config_class(str(values.get("kind")))
    except RecipeError as error:
        raise ValueError(str(error)) from error
    return config.model_validate(values)


def build_encoder(
    modality: Modality, config: EncoderConfig, checkpoint: Path | None = None, lean: bool = False
) -> Encoder:
    """The encoder that a configuration describes; see `Encoder.build`."""
    return encoder_class(config.kind).build(modality, config, checkpoint, lean)
