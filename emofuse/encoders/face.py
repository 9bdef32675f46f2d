"""The face encoder: crops or whole frames to one state each, with seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from emofuse.encoders import vision
from emofuse.encoders.backbones import vit
from emofuse.encoders.config import FaceConfig
from emofuse.encoders.encoder import Encoder, Inputs
from emofuse.encoders.hf import described as described_config
from emofuse.encoders.processors.face import FaceProcessor
from emofuse.encoders.sources import resolve_source
from emofuse.errors import CheckpointError, require_package
from emofuse.modalities import Modality
from emofuse.types import Segment, Tokens

GREY = 127.5
"""Of a picture that says nothing."""


def _convolution(in_chans: int, out: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(in_chans, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity (He et al. 2016, §3.3); the branch starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(*_convolution(channels, channels, 1), *_convolution(channels, channels, 1)[:-1])
        nn.init.zeros_(cast(nn.BatchNorm2d, self.branch[-1]).weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.branch(x))


class ConvStem(nn.Module):
    """Stride-2 3x3 convolutions in place of the patch projection (Xiao et al. 2021, "Early Convolutions Help…").

    [batch, 3, size, size] → [batch, (size / 2^n)^2, embed_dim] for n = len(channels). With `blocks`, a convolution at
    full size comes first and each stride is followed by so many residual blocks (He et al. 2016), as in hybrids of
    convolution and attention (Dai et al. 2021, CoAtNet): faces from scratch need the locality.
    """

    def __init__(
        self,
        img_size: int,
        patch_size: int,
        in_chans: int,
        embed_dim: int,
        channels: tuple[int, ...],
        blocks: tuple[int, ...] = (),
        **_: Any,
    ) -> None:
        super().__init__()
        if 2 ** len(channels) != patch_size:
            raise ValueError(
                f"a stem of {len(channels)} stride-2 layers makes patches of {2 ** len(channels)}, not {patch_size}"
            )
        if blocks and len(blocks) != len(channels):
            raise ValueError(f"a stem of {len(channels)} stages needs as many stem_blocks, not {len(blocks)}")
        layers: list[nn.Module] = []
        if blocks:
            layers += _convolution(in_chans, channels[0] // 2, 1)
            in_chans = channels[0] // 2
        for out, count in zip(channels, blocks or (0,) * len(channels), strict=True):
            layers += _convolution(in_chans, out, 2)
            layers += [ResidualBlock(out) for _ in range(count)]
            in_chans = out
        self.net = nn.Sequential(*layers, nn.Conv2d(in_chans, embed_dim, 1))
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        self.patch_size = (patch_size, patch_size)
        self.img_size = (img_size, img_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).flatten(2).transpose(1, 2)

    def feat_ratio(self, as_scalar: bool = True) -> int | tuple[int, int]:
        """Pixels a patch spans, as timm asks it of a patch embedding."""
        return max(self.patch_size) if as_scalar else self.patch_size


class FaceEncoder(Encoder):
    """An image backbone applied to each real frame; frames that are padding are never run."""

    Config = FaceConfig
    modality: Modality = "face"
    has_lean = True
    continuous = ("pixels",)
    depth_keys = ("depth", "num_hidden_layers")
    input_fields = ("image_size", "grayscale", "view", "whose", "crops", "crop_interval", "crop_size", "margin")
    mean: Tensor
    std: Tensor

    def __init__(self, config: FaceConfig, checkpoint: Path | None = None, lean: bool = False) -> None:
        super().__init__()
        self.backbone, self.config = _build(config, pretrained=checkpoint is None, lean=lean)
        self.through_transformers = vision.is_vision(self.config.architecture or {})
        self.dim = _width(self.backbone, self.through_transformers)
        self.processor = FaceProcessor(self.config)
        self.register_buffer("mean", torch.tensor(self.config.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.config.std).view(3, 1, 1), persistent=False)

    @classmethod
    def shape_in(cls, folder: Path, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """timm's name of the architecture, from the folder's config.json."""
        described = json.loads((folder / "config.json").read_text("utf-8"))
        if vision.is_vision(described):
            architecture = vision.tower_of(described)
            size = architecture.get("image_size", FaceConfig.model_fields["image_size"].default)
            return {"architecture": architecture, "image_size": values.get("image_size", size)}
        if "architecture" not in described:
            return None
        shaped = _plain_args(described.get("model_args", {}))
        return {"name": described["architecture"], "architecture": shaped | dict(values.get("architecture") or {})}

    def prepare(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """See FaceProcessor; None when the segment has no face."""
        return self.processor(segment)

    def feed(self, inputs: Inputs) -> dict[str, Tensor]:
        """`pixels` uint8 (or float, 0 to 255) [batch, frames, 3, size, size] → real frames at mean and deviation."""
        frames = (inputs["pixels"][inputs["mask"]].float() / 255 - self.mean) / self.std
        return {
            "pictures": frames.contiguous(memory_format=torch.channels_last)
        }  # a quarter faster convolutions on CPU

    def states(self, fed: Inputs) -> Tensor:
        """[real frames, dim]; with `mirror`, outside training, the mean of those of a picture and its mirror image."""
        pictures = fed["pictures"]
        if self.training or not self.config.mirror:
            return self._seen(pictures)
        return self._seen(torch.cat([pictures, pictures.flip(-1)])).unflatten(0, (2, -1)).mean(0)

    def _seen(self, pictures: Tensor) -> Tensor:
        if self.through_transformers:
            return vision.states(self.backbone, pictures)
        return self.backbone.forward_head(self.backbone.forward_features(pictures), pre_logits=True)

    def tokens(self, states: Tensor, fed: Inputs, inputs: Inputs) -> Tokens:
        """One token a frame, each in its place."""
        mask, features = inputs["mask"], states.float()
        placed = features.new_zeros(*mask.shape, self.dim)
        placed[mask] = features
        return Tokens(placed, mask, inputs["times"])

    def baseline(self, inputs: Inputs) -> dict[str, Tensor]:
        """Grey pictures."""
        return {name: torch.full_like(values, GREY) for name, values in self.continuous_inputs(inputs).items()}

    @property
    def embedding_site(self) -> nn.Module:
        """The projection of patches, of a transformer."""
        return self.front[0] if self.front else super().embedding_site

    @property
    def front(self) -> tuple[nn.Module, ...]:
        """The projection of patches, of a transformer."""
        if self.through_transformers:
            return (self.backbone.get_input_embeddings(),)
        return (self.backbone.patch_embed,) if hasattr(self.backbone, "patch_embed") else ()

    def _above(self, name: str) -> bool:
        """What image backbones name after their layers stands above them."""
        names = [n for n, _ in self.named_parameters()]
        inside = {id(p) for layer in self.layers for p in layer.parameters()}
        last = max((i for i, p in enumerate(self.parameters()) if id(p) in inside), default=-1)
        return names.index(name) > last >= 0 or not self.layers

    def filled(self, inputs: Inputs) -> Inputs:
        """Real frames repeated in the place of padding."""
        counts, longest = inputs["mask"].sum(1), inputs["mask"].shape[1]
        index = torch.arange(longest) % counts[:, None]
        pixels = torch.stack([row[i] for row, i in zip(inputs["pixels"], index, strict=True)])
        return {**inputs, "pixels": pixels, "mask": torch.ones_like(inputs["mask"])}


def _width(backbone: Any, through_transformers: bool) -> int:
    if through_transformers:
        return backbone.config.hidden_size
    return getattr(backbone, "head_hidden_size", None) or backbone.num_features


def _build(config: FaceConfig, pretrained: bool, lean: bool) -> tuple[nn.Module, FaceConfig]:
    if (found := _of_transformers(config, pretrained)) is not None:
        return found
    if lean and not pretrained and (backbone := _lean(config)) is not None:
        return backbone, config
    if config.name is None and config.source is None:
        return _from_scratch(config), config
    require_package("timm", extra="hub")
    import timm

    described = dict(config.architecture or {})
    if config.source is not None and pretrained:
        source = _timm_source(resolve_source(config.source), config.revision)
        described = _model_args(source) | described
        backbone = timm.create_model(source, pretrained=True, num_classes=0, **described)
        name = cast(dict[str, Any], backbone.pretrained_cfg)["architecture"]
    else:
        name = cast(str, config.name)
        backbone = timm.create_model(name, pretrained=False, num_classes=0, **described)
    cfg = cast(dict[str, Any], backbone.pretrained_cfg)
    kept = "image_size" in config.model_fields_set and not pretrained and not cfg.get("fixed_input_size")
    size = described.get("img_size", config.image_size if kept else cfg["input_size"][-1])
    update: dict[str, Any] = {"name": name, "image_size": size, "architecture": described}
    if pretrained and config.source is not None:
        update |= _colours(config, tuple(cfg["mean"]), tuple(cfg["std"]))
    return backbone, config.model_copy(update=update)


def _colours(config: FaceConfig, mean: Any, std: Any) -> dict[str, Any]:
    """The source's mean and deviation, unless the configuration gives its own."""
    return {k: v for k, v in (("mean", mean), ("std", std)) if k not in config.model_fields_set}


def _of_transformers(config: FaceConfig, pretrained: bool) -> tuple[nn.Module, FaceConfig] | None:
    """A backbone of transformers with its configuration; None for one of timm or from scratch."""
    if not pretrained or config.source is None:
        shape = config.architecture or {}
        if not vision.is_vision(shape):
            return None
        backbone: Any = vision.from_architecture(shape)
        update: dict[str, Any] = {}
    else:
        source = resolve_source(config.source)
        if not vision.source_config(source, config.revision):
            return None
        backbone = vision.pretrained(source, config.revision)
        own = {"mean", "std"} <= config.model_fields_set
        update = {} if own else _colours(config, *vision.colours(source, config.revision))
    size = config.image_size if "image_size" in config.model_fields_set else backbone.config.image_size
    update |= {"architecture": described_config(backbone.config), "image_size": size}
    return backbone, config.model_copy(update=update)


def _timm_source(source: str, revision: str | None) -> str:
    """The name that timm fetches a source under; raises CheckpointError for a revision of what has none."""
    import timm

    if not (source.startswith(("hf-hub:", "local-dir:")) or timm.is_model(source)):
        source = f"local-dir:{source}" if Path(source).is_dir() else f"hf-hub:{source}"
    if revision is not None and not source.startswith("hf-hub:"):
        raise CheckpointError(f"revision {revision!r} is of a hub id, and {source} is none; leave it out")
    return source if revision is None else f"{source.partition('@')[0]}@{revision}"


def _model_args(source: str) -> dict[str, Any]:
    """What changes the shape of the architecture that a source names, as its config.json says."""
    from timm.models import load_model_config_from_hf

    if source.startswith("local-dir:"):
        described = json.loads((Path(source.removeprefix("local-dir:")) / "config.json").read_text("utf-8"))
        found = described.get("model_args", {})
    else:
        found = load_model_config_from_hf(source.removeprefix("hf-hub:"))[2] if source.startswith("hf-hub:") else {}
    return _plain_args(found)


def _plain_args(model_args: Mapping[str, Any]) -> dict[str, Any]:
    """Without the head that is not used, a square picture by its one side."""
    kept = {name: value for name, value in model_args.items() if name != "num_classes"}
    size = kept.get("img_size")
    if isinstance(size, (list, tuple)):
        if len(set(size)) > 1:
            raise CheckpointError(f"the pictures of this source are {size[0]} x {size[1]}; only squares are read")
        kept["img_size"] = size[0]
    return kept


def _from_scratch(config: FaceConfig) -> nn.Module:
    require_package("timm", extra="hub")
    from timm.models.vision_transformer import VisionTransformer

    described = dict(config.architecture or {})
    channels, blocks = _stem(described)
    if channels:
        described["embed_layer"] = lambda **kwargs: ConvStem(channels=channels, blocks=blocks, **kwargs)
    return VisionTransformer(img_size=config.image_size, num_classes=0, **described)


def _lean(config: FaceConfig) -> nn.Module | None:
    """The same shape without timm, where it is a plain one."""
    described = dict(config.architecture or {})
    channels, blocks = _stem(described)
    named = vit.plain(config.name, described)
    if named is None or (config.name is None and config.source is not None):
        return None
    size = config.image_size
    if channels:
        stem = ConvStem(size, named["patch_size"], 3, named["embed_dim"], channels, blocks)
        return vit.VisionTransformer(**(named | {"img_size": size}), patch_embed=stem)
    arguments: dict[str, Any] = named | {"img_size": size}
    return vit.VisionTransformer(**arguments)


def _stem(described: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Taken out of an architecture: the stem's channels, and its residual blocks."""
    return tuple(described.pop("stem", None) or ()), tuple(described.pop("stem_blocks", ()))
