"""Parameter groups: each trainable parameter in exactly one, lower encoder layers learning more slowly."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from emofuse.model.model import EmotionModel
from emofuse.training.recipe.schema import Optim

LAYERS = re.compile(r"(?:^|\.)(?:encoder\.layers?|transformer\.layers?|blocks|layers?)\.(\d+)\.")
_TOP = re.compile(r"(?:^|\.)(?:norm|fc_norm|final_layer_norm|head|adapter|pooler)(?:\.|$)")


def layer_count(encoder: nn.Module) -> int:
    """Transformer layers of an encoder's backbone; 0 for one without."""
    found = [LAYERS.search(name) for name, _ in encoder.named_parameters() if name.startswith("backbone.")]
    return 1 + max((int(m.group(1)) for m in found if m), default=-1)


def depth(name: str, layers: int) -> int:
    """Place of an encoder's parameter: 0 for embeddings and front ends, i + 1 for layer i, layers + 1 above them.

    Virtual tokens (`learned`) act in every layer and learn as the top does.
    """
    match = LAYERS.search(name)
    if not name.startswith("backbone.") or layers == 0 or name == "backbone.learned":
        return layers + 1
    if match:
        return int(match.group(1)) + 1
    return layers + 1 if _TOP.search(name.removeprefix("backbone.").removeprefix("encoder.")) else 0


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: not to norms, biases, single vectors (IA3's too), positions or queries."""
    plain = ("queries", "pos_embed", "cls_token", "reg_token", "pool_weights", "ia3_", "backbone.learned")
    return parameter.ndim > 1 and not any(part in name for part in plain)


def parameter_groups(model: EmotionModel, options: Optim, prefix: str = "") -> list[dict[str, Any]]:
    """AdamW groups of the trainable parameters, by learning rate and decay; `names` lists what is in each.

    An encoder's layer i of n learns at encoder_lr · layer_decay^(n - i), counted from the top.
    """
    layers = {m: layer_count(e) for m, e in model.encoders.items()}
    rates: dict[str, float] = {m: options.encoder_lr.get(m, options.lr) for m in model.modalities}
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        lr = options.lr
        if name.startswith("encoders."):
            _, modality, rest = name.split(".", 2)
            below = layers[modality] + 1 - depth(rest, layers[modality])
            lr = rates[modality] * options.layer_decay**below
        key = (lr, decays(name, parameter))
        group = groups.setdefault(
            key, {"params": [], "names": [], "lr": lr, "weight_decay": options.weight_decay if key[1] else 0.0}
        )
        group["params"].append(parameter)
        group["names"].append(prefix + name)
    return list(groups.values())


def build_optimizer(model: EmotionModel, options: Optim) -> torch.optim.AdamW:
    """AdamW over `parameter_groups`, fused."""
    groups = [{k: v for k, v in g.items() if k != "names"} for g in parameter_groups(model, options)]
    return torch.optim.AdamW(groups, betas=options.betas, fused=True)
