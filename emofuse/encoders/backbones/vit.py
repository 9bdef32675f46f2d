"""Vision transformer backbone (Dosovitskiy et al. 2021) with timm's parameter names."""

from __future__ import annotations

import re
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emofuse.encoders.backbones.layers import Linear

PLAIN: dict[str, dict[str, int]] = {
    "tiny": {"embed_dim": 192, "depth": 12, "num_heads": 3},
    "small": {"embed_dim": 384, "depth": 12, "num_heads": 6},
    "base": {"embed_dim": 768, "depth": 12, "num_heads": 12},
    "large": {"embed_dim": 1024, "depth": 24, "num_heads": 16},
}
"""timm's sizes of the plain architecture."""
_NAME = re.compile(r"vit_(tiny|small|base|large)_patch(8|14|16|32)_224(\.(augreg|orig)\w*)?")
_TAKES = {"img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "drop_path_rate"}


def plain(name: str | None, architecture: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments of `VisionTransformer` for a timm name (None = from scratch) with changes; None for another design."""
    if not architecture.keys() <= _TAKES:
        return None
    named: dict[str, Any] = {}
    if name is not None:
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        named = {"img_size": 224, "patch_size": int(match[2])} | PLAIN[match[1]]
    return named | {k: v for k, v in architecture.items() if k != "drop_path_rate"}


class VisionTransformer(nn.Module):
    """Pictures → the state of the class token; see timm's VisionTransformer."""

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        patch_embed: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.num_features = embed_dim
        self.patch_embed = patch_embed or _Patches(patch_size, embed_dim)
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.empty(1, (img_size // patch_size) ** 2 + 1, embed_dim))
        hidden = int(embed_dim * mlp_ratio)
        self.blocks = nn.Sequential(*(_Block(embed_dim, num_heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(embed_dim, 1e-6)

    def forward_features(self, pictures: Tensor) -> Tensor:
        """The class token [batch, 1, dim] of normalised pictures [batch, 3, size, size].

        Patches go no further than the keys and values of the last block: nobody reads what would become of them.
        """
        patches = self.patch_embed(pictures)
        states = torch.cat([self.cls_token.expand(patches.shape[0], -1, -1), patches], 1) + self.pos_embed
        last = len(self.blocks) - 1
        for index, block in enumerate(self.blocks):
            states = block(states, 1 if index == last else None)
        return self.norm(states[:, :1])

    def forward_head(self, states: Tensor, pre_logits: bool = True) -> Tensor:
        """The class token's state."""
        return states[:, 0]


class _Patches(nn.Module):
    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.proj(pictures).flatten(2).transpose(1, 2)


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, 1e-6), nn.LayerNorm(dim, 1e-6)
        self.attn = nn.ModuleDict({"qkv": Linear(dim, 3 * dim), "proj": Linear(dim, dim)})
        self.mlp = nn.ModuleDict({"fc1": Linear(dim, hidden), "fc2": Linear(hidden, dim)})

    def forward(self, states: Tensor, kept: int | None = None) -> Tensor:
        """The first `kept` tokens (None = all), which attend to all of them."""
        mixed = self.attn["qkv"](self.norm1(states)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(mixed[0][:, :, :kept], mixed[1], mixed[2]).transpose(1, 2).flatten(2)
        states = states[:, :kept] + self.attn["proj"](attended)
        return states + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(states))))
