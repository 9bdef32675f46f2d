"""Tuning strategies: full, top layers, frozen, or parameter-efficient through peft."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback

from emofuse.encoders.encoder import Encoder, transformer_layers
from emofuse.encoders.four_bit import is_linear
from emofuse.errors import RecipeError, nearest, require_package
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.training.recipe.schema import Strategy

if TYPE_CHECKING:
    from peft import PeftConfig

ANYWHERE = ("full", "top", "frozen", "lora", "adalora", "ia3")
"""Strategies for any transformer backbone; virtual tokens need one that reads words."""
_PAST_ADAPTERS = {"wavlm": "attention."}
"""Backbones whose attention hands the weights of its projections to a function, past any adapter around them."""
_KEYS_VALUES = re.compile(
    r"(?:^|\.)(?:key|value|[kv]_proj|linear_[kv]|[kv]_lin|qkv(?:_proj)?|Wqkv|query_key_value|c_attn)$"
)
_DOWN = re.compile(
    r"(?:^|\.)(?:output_dense|fc2|lin2|fc_out|w2|down_proj|dense_4h_to_h|mlp\.c_proj|(?<!attention\.)output\.dense)$"
)
ORTHOGONALITY = 0.5
"""Weight of the penalty that keeps AdaLoRA's singular vectors orthogonal (peft's default)."""


def apply_strategies(model: EmotionModel, strategies: Mapping[Modality, Strategy]) -> set[Modality]:
    """Freeze and add what each modality's strategy says; returns the encoders in which nothing learns.

    Raises RecipeError where a strategy does not fit an encoder, MissingExtraError where peft is not installed.
    """
    frozen: set[Modality] = set()
    for modality in model.modalities:
        encoder, strategy = cast(Encoder, model.encoders[modality]), strategies.get(modality, Strategy())
        if strategy.heads:
            _keep_heads(model, modality, strategy.heads)
        _shrink(modality, encoder, strategy)
        if strategy.freeze == "front":
            _freeze_front(modality, encoder)
        if strategy.kind == "full":
            continue
        if strategy.kind == "frozen":
            encoder.requires_grad_(False)
            frozen.add(modality)
        elif encoder.backbone is None:
            raise RecipeError(
                f"strategy.{modality}: {strategy.kind} needs a transformer, and this encoder takes ready-made "
                "features; valid: full, frozen"
            )
        elif strategy.kind == "probe":
            _probe(modality, encoder)
        elif strategy.kind == "top":
            _check_layers(modality, encoder, strategy)
            _freeze_below(encoder, strategy.layers)
        elif strategy.kind in ("prefix", "prompt"):
            _add_virtual(modality, encoder, strategy)
        else:
            _check_layers(modality, encoder, strategy)
            encoder.backbone = _adapted(modality, cast(nn.Module, encoder.backbone), strategy)
    for modality in model.modalities:
        _spare_gradients(cast(Encoder, model.encoders[modality]))
    return frozen


def _shrink(modality: Modality, encoder: Encoder, strategy: Strategy) -> None:
    weights = getattr(encoder.config, "weights", "float32")
    if weights != "float32" and strategy.kind in ("full", "top"):
        raise RecipeError(
            f"model.encoders.{modality}.weights is {weights}, in which a backbone does not learn itself, and "
            f"strategy.{modality} is {strategy.kind}; set weights to float32, or the strategy to lora, adalora, ia3, "
            "prompt, prefix or frozen"
        )
    encoder.shrink()


def _keep_heads(model: EmotionModel, modality: Modality, tasks: Sequence[str]) -> None:
    own: Any = model.modality_heads[modality]
    for part in (own.pool, *(own.tasks[task] for task in tasks)):
        part.requires_grad_(False)


def _freeze_front(modality: Modality, encoder: Encoder) -> None:
    if not encoder.front:
        raise RecipeError(f"strategy.{modality}.freeze: no front end is known in this encoder; leave it out")
    for part in encoder.front:
        part.requires_grad_(False)
    encoder.still = ("front",)


def _probe(modality: Modality, encoder: Encoder) -> None:
    """Of a frozen encoder, the weights of its layers' sum learn alone (Yang et al. 2021, SUPERB)."""
    weights = getattr(encoder, "layer_weights", None)
    if weights is None:
        raise RecipeError(
            f"strategy.{modality}: probe learns the weights of layer_sum, and this encoder has none; set "
            f"model.encoders.{modality}.layer_sum=true where it knows that, or take frozen"
        )
    encoder.requires_grad_(False)
    weights.requires_grad_(True)
    encoder.still = ("front", "backbone")


def _spare_gradients(encoder: Encoder) -> None:
    """Convolutions over sound that do not learn keep nothing for a backward pass, which transformers must be told."""
    for part in encoder.modules():
        if hasattr(part, "_freeze_parameters") and not any(p.requires_grad for p in part.parameters()):
            part._freeze_parameters()


def _freeze_below(encoder: Encoder, layers: int) -> None:
    count, depths = len(encoder.layers), encoder.depths()
    for name, parameter in encoder.named_parameters():
        if depths[name] <= count - layers:
            parameter.requires_grad_(False)


def _add_virtual(modality: Modality, encoder: Encoder, strategy: Strategy) -> None:
    kind: Any = strategy.kind
    if not encoder.takes_virtual_tokens(kind):
        raise RecipeError(
            f"strategy.{modality}: {kind} needs a transformers text backbone that takes it; valid here: "
            + ", ".join(ANYWHERE)
        )
    encoder.backbone.requires_grad_(False)
    try:
        encoder.add_virtual_tokens(kind, strategy.tokens)
    except RecipeError as error:
        raise RecipeError(f"strategy.{modality}: {error}") from error


def _adapted(modality: Modality, backbone: nn.Module, strategy: Strategy) -> nn.Module:
    require_package("peft", extra="train")
    from peft import get_peft_model

    with quiet_peft():
        adapted = get_peft_model(backbone, adapter_config(modality, backbone, strategy))  # type: ignore[arg-type]
    for layer in adapted.modules():
        if hasattr(layer, "ia3_l") and isinstance(layer, nn.Module):
            layer.register_forward_hook(_as_given)
    return adapted


def _as_given(layer: nn.Module, given: tuple[Any, ...], result: Tensor) -> Tensor:
    """In the type that came in: over weights of 4 bits, peft's IA3 answers in that of its factors."""
    return result.to(given[0].dtype)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Around building peft models: peft 0.21 still asks transformers for a property under its old name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to", UserWarning)  # which it finds by itself
        yield


def adapter_config(modality: Modality, backbone: nn.Module, strategy: Strategy) -> PeftConfig:
    """peft's configuration of a strategy over a backbone."""
    from peft import AdaLoraConfig, IA3Config, LoraConfig

    names = adaptable(backbone)
    if strategy.kind == "ia3":
        down = [n for n in names if _DOWN.search(n)]
        chosen = _chosen(modality, names, strategy.targets) if strategy.targets else []
        chosen = chosen or [n for n in names if _KEYS_VALUES.search(n) or n in down]
        return IA3Config(target_modules=chosen, feedforward_modules=[n for n in chosen if n in down])
    shared: dict[str, Any] = {
        "lora_alpha": strategy.alpha,
        "lora_dropout": strategy.dropout,
        "target_modules": _chosen(modality, names, strategy.targets) if strategy.targets else names,
    }
    if strategy.kind == "adalora":
        return AdaLoraConfig(init_r=-(-3 * strategy.rank // 2), target_r=strategy.rank, total_step=1, **shared)
    return LoraConfig(r=strategy.rank, **shared)


def adaptable(backbone: nn.Module) -> list[str]:
    """Linear layers inside transformer layers: the projections of attention and feed-forward."""
    past = _PAST_ADAPTERS.get(getattr(getattr(backbone, "config", None), "model_type", ""))
    layers = tuple(f"{name}." for name in transformer_layers(backbone))
    linear = [n for n, m in backbone.named_modules() if is_linear(m) and n.startswith(layers)]
    return [n for n in linear if past is None or past not in n]


def _check_layers(modality: Modality, encoder: Encoder, strategy: Strategy) -> None:
    if not encoder.layers:
        raise RecipeError(
            f"strategy.{modality}: {strategy.kind} needs transformer layers, and none are known in "
            f"{type(encoder.backbone).__name__}; valid here: full, frozen"
        )
    if strategy.kind != "top" and not adaptable(cast(nn.Module, encoder.backbone)):
        raise RecipeError(
            f"strategy.{modality}: {strategy.kind} changes linear layers, and those of "
            f"{type(encoder.backbone).__name__} are convolutions; valid here: full, top, frozen"
        )


def _chosen(modality: Modality, names: list[str], targets: list[str]) -> list[str]:
    """The layers whose names end in a target; raises RecipeError for a target that names none."""
    for target in targets:
        if not any(f".{n}".endswith(f".{target}") for n in names):
            inside = {re.split(r"\.\d+\.", n)[-1] for n in names}
            raise RecipeError(f"strategy.{modality}.targets: no layer {target!r}; {nearest(target, inside)}")
    return [n for n in names if any(f".{n}".endswith(f".{t}") for t in targets)]


def rank_tuners(model: EmotionModel) -> dict[Modality, Any]:
    """The encoders that AdaLoRA tunes."""
    tuners: dict[Modality, Any] = {m: getattr(model.encoder(m).backbone, "base_model", None) for m in model.modalities}
    return {m: t for m, t in tuners.items() if hasattr(t, "rankallocator")}


def singular_vectors(model: EmotionModel) -> list[Tensor]:
    """AdaLoRA's left [width, rank] and right [rank, width] singular vectors."""
    return [
        p
        for tuner in rank_tuners(model).values()
        for n, p in tuner.named_parameters()
        if ".lora_A." in n or ".lora_B." in n
    ]


def orthogonality(vectors: list[Tensor]) -> Tensor:
    """Mean Frobenius distance of Gram matrices from the identity (Zhang et al. 2023, AdaLoRA, eq. 4)."""
    distances = []
    for p in vectors:
        rows = p if p.shape[0] <= p.shape[1] else p.T
        distances.append(torch.linalg.matrix_norm(rows @ rows.T - torch.eye(len(rows), device=p.device)))
    return torch.stack(distances).mean()


class RankBudget(TrainerCallback):
    """Gives AdaLoRA's ranks to the matrices that need them: free for a tenth of the steps, settled in the last third.

    What it has measured is part of a resumable state.
    """

    STATISTICS = ("ipt", "exp_avg_ipt", "exp_avg_unc")

    def __init__(self, tuners: Mapping[Modality, Any]) -> None:
        self.tuners = dict(tuners)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Lay the schedule over the steps of this run."""
        for tuner in self.tuners.values():
            options = self._options(tuner)
            options.total_step = state.max_steps
            options.tinit, options.tfinal = state.max_steps // 10, state.max_steps // 3
            options.deltaT = max(1, state.max_steps // 100)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Weigh the ranks by the gradients of this step, and clear those over the budget."""
        for tuner in self.tuners.values():
            for name, parameter in tuner.named_parameters():
                if "lora_" in name and parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            tuner.update_and_allocate(state.global_step)

    def save(self, path: Path) -> None:
        """Write the statistics and the ranks that are settled."""
        found: dict[str, Tensor] = {}
        for modality, tuner in self.tuners.items():
            for kind in self.STATISTICS:
                found |= {f"{modality}/{kind}/{n}": t for n, t in getattr(tuner.rankallocator, kind).items()}
            pattern = self._options(tuner).rank_pattern or {}
            found |= {f"{modality}/pattern/{n}": torch.tensor(kept) for n, kept in pattern.items()}
        save_file({k: t.contiguous() for k, t in found.items()}, path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        for key, tensor in load_file(path).items():
            modality, kind, name = key.split("/", 2)
            tuner = self.tuners[modality]  # type: ignore[index]
            if kind == "pattern":
                options = self._options(tuner)
                options.rank_pattern = (options.rank_pattern or {}) | {name: tensor.tolist()}
            else:
                getattr(tuner.rankallocator, kind)[name] = tensor

    @staticmethod
    def _options(tuner: Any) -> Any:
        return tuner.peft_config[tuner.trainable_adapter_name]
