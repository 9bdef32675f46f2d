"""Vision backbones of transformers: CLIP's and SigLIP's image towers, ViT and DINOv2, with their mean and deviation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from emofuse.encoders import hf
from emofuse.errors import CheckpointError

KINDS = ("clip_vision_model", "siglip_vision_model", "vit", "dinov2")
"""Model types that are known here …"""
WHOLES = ("clip", "siglip")
"""… and those of text and pictures, of which the image tower is taken."""
INTERPOLATES = ("clip_vision_model", "siglip_vision_model", "vit")
"""Those that interpolate positions where they are asked to; DINOv2 does by itself."""
_PREPROCESSOR = "preprocessor_config.json"

Colours = tuple[float, float, float]


def is_vision(architecture: dict[str, Any]) -> bool:
    """Whether an architecture, or a source's config.json, is one of transformers, and not of timm."""
    return "model_type" in architecture and "architecture" not in architecture


def source_config(source: str, revision: str | None = None) -> dict[str, Any]:
    """A source's config.json; {} where it is none of transformers' (a name of timm, a folder in timm's format)."""
    if source.startswith(("hf-hub:", "local-dir:")):
        return {}
    if Path(source).is_dir():
        path = Path(source) / "config.json"
        values = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    elif source.count("/") == 1:
        hf.need_transformers()
        from transformers import PreTrainedConfig

        values = PreTrainedConfig.get_config_dict(source, revision=revision)[0]
    else:
        return {}
    return values if is_vision(values) else {}


def pretrained(source: str, revision: str | None) -> nn.Module:
    """The image tower with its weights, from a hub id or a folder, of a whole CLIP or SigLIP or of the tower alone."""
    hf.need_transformers()
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(source, revision=revision)
    tower = _checked(config.vision_config if config.model_type in WHOLES else config)
    cls = AutoModel._model_mapping[type(tower)]
    return _bare(cls.from_pretrained(source, config=tower, revision=revision or "main"))


def from_architecture(architecture: dict[str, Any]) -> nn.Module:
    """The tower in the shape that `hf.described` wrote, with random weights."""
    hf.need_transformers()
    from transformers import AutoModel

    return _bare(AutoModel.from_config(_checked(hf.rebuilt(architecture))))


def tower_of(config: dict[str, Any]) -> dict[str, Any]:
    """From the values of a config.json, those of the image tower."""
    if config.get("model_type") not in WHOLES:
        return config
    return {"model_type": f"{config['model_type']}_vision_model"} | config.get("vision_config", {})


def colours(source: str, revision: str | None) -> tuple[Colours, Colours]:
    """Mean and deviation of each colour, as the source's preprocessor says; raises CheckpointError without."""
    from transformers import ImageProcessingMixin

    try:
        values, _ = ImageProcessingMixin.get_image_processor_dict(source, revision=revision or "main")
        return _three(values["image_mean"]), _three(values["image_std"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{source} holds no {_PREPROCESSOR} with the mean and deviation of its colours; give "
            "model.encoders.face.mean and std, as [0.48145466, 0.4578275, 0.40821073] and "
            "[0.26862954, 0.26130258, 0.27577711] for CLIP"
        ) from error


def states(backbone: Any, pictures: Float[Tensor, "n 3 size size"]) -> Float[Tensor, "n dim"]:
    """Of each picture what the tower pools, else its first token; positions are interpolated at another size."""
    other = pictures.shape[-1] != backbone.config.image_size and backbone.config.model_type in INTERPOLATES
    output = backbone(pixel_values=pictures, **({"interpolate_pos_encoding": True} if other else {}))
    state = getattr(output, "pooler_output", None)
    return output.last_hidden_state[:, 0] if state is None else state


def _three(values: Any) -> Colours:
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def _checked(config: Any) -> Any:
    if config.model_type not in KINDS:
        raise CheckpointError(
            f"a face encoder of transformers is one of {', '.join((*KINDS, *WHOLES))}, not {config.model_type}; timm "
            "has the others: give its name or hf-hub:OWNER/NAME"
        )
    return config


def _bare(backbone: nn.Module) -> nn.Module:
    """ViT's pooler was never trained with most weights: without it, the first token is read."""
    if backbone.config.model_type == "vit":  # type: ignore[union-attr]
        backbone.register_module("pooler", None)
    return backbone
