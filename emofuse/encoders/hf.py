"""Backbones and tokenizers of transformers: described as plain values, rebuilt, fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse.encoders.config import WHISPER
from emofuse.errors import require_package

if TYPE_CHECKING:
    from torch import nn

_WHISPER_ENCODER = {
    "model_type",
    "d_model",
    "encoder_layers",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "encoder_layerdrop",
    "num_mel_bins",
    "max_source_positions",
    "activation_function",
    "dropout",
    "attention_dropout",
    "activation_dropout",
}


def need_transformers() -> None:
    """Raise MissingExtraError where transformers is not installed."""
    require_package("transformers", extra="hub")


def described(config: Any) -> dict[str, Any]:
    """A configuration as plain values, without the folder it was read from, or, of Whisper, what decodes words."""
    values = {k: v for k, v in config.to_dict().items() if k != "_name_or_path"}
    if values.get("model_type") == WHISPER:
        return {k: v for k, v in values.items() if k in _WHISPER_ENCODER}
    return values


def rebuilt(architecture: dict[str, Any] | None) -> Any:
    """The configuration that `described` wrote."""
    need_transformers()
    from transformers import AutoConfig

    values = dict(architecture or {})
    return AutoConfig.for_model(values.pop("model_type"), **values)


def backbone(architecture: dict[str, Any] | None, dtype: str = "float32") -> nn.Module:
    """A transformers backbone from scratch in the shape that `described` wrote, of weights of a type."""
    need_transformers()
    from transformers import AutoModel

    config = rebuilt(architecture)
    if config.model_type == WHISPER:
        from emofuse.encoders.trimmed_whisper import trimmed_whisper

        return trimmed_whisper()(config)
    return AutoModel.from_config(config, dtype=dtype)


def loadable(architecture: dict[str, Any] | None, lean: bool = False) -> nn.Module:
    """The same for weights that are about to be loaded: lean where that is asked for and the architecture is plain."""
    from emofuse.encoders.backbones import bert, conformer, wav2vec2, whisper

    known = (
        (bert, bert.Bert),
        (conformer, conformer.Conformer),
        (wav2vec2, wav2vec2.Wav2Vec2),
        (whisper, whisper.Whisper),
    )
    for module, build in known:
        if lean and module.supports(architecture or {}):
            return build(architecture or {})
    return backbone(architecture)


def pretrained(source: str, revision: str | None, dtype: str = "float32") -> nn.Module:
    """A transformers backbone with its weights, from a hub id or a folder, in a type, whichever they are stored in."""
    need_transformers()
    from transformers import AutoConfig, AutoModel

    if AutoConfig.from_pretrained(source, revision=revision).model_type == WHISPER:
        from emofuse.encoders.trimmed_whisper import pretrained_whisper

        return pretrained_whisper(source, revision)
    return AutoModel.from_pretrained(source, revision=revision, dtype=dtype)


def tokenizer(source: str | Path, revision: str | None = None, lean: bool = False) -> Any:
    """A tokenizer from a hub id or a folder; lean where that is asked for and the folder holds no more."""
    from emofuse.encoders.backbones.tokenizer import FastTokenizer

    if lean and FastTokenizer.fits(Path(source)):
        return FastTokenizer(Path(source))
    need_transformers()
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source, revision=revision)
