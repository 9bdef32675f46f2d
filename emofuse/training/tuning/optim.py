"""Parameter groups: each trainable parameter in exactly one, with layer-wise learning-rate decay."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from emofuse.errors import require_package
from emofuse.model.model import EmotionModel
from emofuse.training.recipe.schema import Optim

POOLS = ("pools.", "pool_weights.")
"""Names of the parameters that weigh what modalities say alone begin so."""

WEIGHTS = ("layer_weights",)
"""Parameters of encoders that are new beside pretrained ones: at an encoder's rate they would hardly move."""


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: not to norms, biases, single vectors (IA3's too), positions or queries.

    An opinion pool decays towards the plain mean of its parts, which is all zeros.
    """
    plain = ("queries", "pos_embed", "cls_token", "reg_token", "pool_weights", "ia3_", "backbone.learned")
    return parameter.ndim > 1 and not any(part in name for part in plain)


def parameter_groups(model: EmotionModel, options: Optim, prefix: str = "") -> list[dict[str, Any]]:
    """AdamW groups of the trainable parameters, by learning rate and decay; `names` lists what is in each.

    An encoder's layer i of n learns at encoder_lr · layer_decay^(n - i), counted from the top; the weights of a sum of
    layers learn at lr.
    """
    layers = {m: len(model.encoder(m).layers) for m in model.modalities}
    depths = {m: model.encoder(m).depths() for m in model.modalities}
    rates: dict[str, float] = {m: options.encoder_lr.get(m, options.lr) for m in model.modalities}
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        lr = options.lr
        if name.startswith("encoders."):
            _, modality, rest = name.split(".", 2)
            below = layers[modality] + 1 - depths[modality][rest]
            lr = options.lr if rest in WEIGHTS else rates[modality] * options.layer_decay**below
        if name.startswith(POOLS):
            lr = options.pool_lr or options.lr
        key = (lr, decays(name, parameter))
        group = groups.setdefault(
            key, {"params": [], "names": [], "lr": lr, "weight_decay": options.weight_decay if key[1] else 0.0}
        )
        group["params"].append(parameter)
        group["names"].append(prefix + name)
    return list(groups.values())


def build_optimizer(model: EmotionModel, options: Optim) -> torch.optim.Optimizer:
    """AdamW over `parameter_groups`, fused, or with its moments in 8 bits.

    Raises MissingExtraError where bitsandbytes is asked for and not installed.
    """
    groups = [{k: v for k, v in g.items() if k != "names"} for g in parameter_groups(model, options)]
    if options.kind == "adamw8bit":
        require_package("bitsandbytes", extra="bits")
        from bitsandbytes.optim import AdamW8bit  # type: ignore[import-not-found]

        return AdamW8bit(groups, betas=options.betas)
    return torch.optim.AdamW(groups, betas=options.betas, fused=True)
