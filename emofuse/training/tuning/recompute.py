"""Gradient checkpointing: activations of layers computed again in place of being kept (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from emofuse.errors import RecipeError
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel

NON_REENTRANT = {"use_reentrant": False}
"""The way that also works where the inputs need no gradient, as below adapters and frozen layers."""


def recompute(model: EmotionModel, frozen: Collection[Modality] = ()) -> list[Modality]:
    """Let the encoders that learn compute their layers' activations again; returns their modalities.

    Raises RecipeError where a backbone cannot.
    """
    chosen: list[Modality] = [m for m in model.modalities if m not in frozen and model.encoder(m).layers]
    for modality in chosen:
        _turn_on(modality, model.encoder(modality).backbone)
    return chosen


def _turn_on(modality: Modality, backbone: Any) -> None:
    if getattr(backbone, "kind", None) == "prefix":
        raise RecipeError(
            f"train.checkpointing: the prefix of strategy.{modality} stands in a cache that recomputing leaves out; "
            "set train.checkpointing=false, or use prompt or lora"
        )
    inner = getattr(backbone, "inner", backbone)
    try:
        if hasattr(inner, "activation_checkpointing_enable"):
            inner.activation_checkpointing_enable(NON_REENTRANT)
        elif hasattr(inner, "gradient_checkpointing_enable"):
            inner.gradient_checkpointing_enable(NON_REENTRANT)
        else:
            inner.set_grad_checkpointing(True)
    except (AttributeError, ValueError, NotImplementedError) as error:
        raise RecipeError(
            f"train.checkpointing: the {modality} encoder ({type(inner).__name__}) cannot recompute its activations; "
            "set it to false"
        ) from error
