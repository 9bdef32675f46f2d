"""Adapters after training: merged into the checkpoint, or saved apart over a public base."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emofuse.encoders.four_bit import is_quantised, restore
from emofuse.encoders.virtual import VirtualTokens, key_value_shape
from emofuse.errors import CheckpointError, require_package
from emofuse.files import replacing_folder
from emofuse.modalities import Modality
from emofuse.model.conformal import FILE as CONFORMAL
from emofuse.model.conformal import load_conformal, save_conformal
from emofuse.model.familiarity import load_familiarity, save_familiarity
from emofuse.model.folder import FAMILIARITY, read_config
from emofuse.model.model import EmotionModel
from emofuse.training.tuning.strategies import quiet_peft

WEIGHTS, OPTIONS, REST = "adapter_model.safetensors", "adapter_config.json", "rest.safetensors"
PROMPTS = "prompt_embeddings"
"""peft's name for virtual tokens on disk."""


class Adapter:
    """The added weights of one encoder in peft's format, apart from the model they were learnt in."""

    def __init__(self, options: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.options = options
        self.tensors = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}

    def write(self, folder: Path) -> None:
        """Write the two files that `peft.PeftModel.from_pretrained` reads."""
        folder.mkdir(parents=True)
        save_file(self.tensors, folder / WEIGHTS, metadata={"format": "pt"})
        (folder / OPTIONS).write_text(json.dumps(self.options, indent=2, sort_keys=True) + "\n", "utf-8")


def adapters_of(model: EmotionModel) -> dict[Modality, Adapter]:
    """The adapters of the encoders that have any."""
    found: dict[Modality, Adapter] = {}
    for modality in model.modalities:
        backbone = model.encoder(modality).backbone
        source = getattr(model.encoders[modality].config, "source", None)
        if isinstance(backbone, VirtualTokens):
            found[modality] = Adapter(_virtual_options(backbone, source), {PROMPTS: backbone.learned})
        elif hasattr(backbone, "peft_config"):
            found[modality] = _peft_adapter(cast(Any, backbone), source)
    return found


def _peft_adapter(backbone: Any, source: str | None) -> Adapter:
    from peft import get_peft_model_state_dict

    config = backbone.peft_config["default"]
    if hasattr(config, "rank_pattern") and hasattr(config, "target_r"):
        config.rank_pattern = None
    config.base_model_name_or_path = source
    tensors = get_peft_model_state_dict(backbone, save_embedding_layers=False)
    options = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    return Adapter(options | {"inference_mode": True}, tensors)


def _virtual_options(backbone: VirtualTokens, source: str | None) -> dict[str, Any]:
    prompt, (heads, width) = backbone.kind == "prompt", key_value_shape(backbone.config)
    return {
        "peft_type": "PROMPT_TUNING" if prompt else "PREFIX_TUNING",
        "task_type": "FEATURE_EXTRACTION",
        "base_model_name_or_path": source,
        "inference_mode": True,
        "num_virtual_tokens": len(backbone.learned),
        "token_dim": backbone.learned.shape[1] if prompt else heads * width,
        "num_layers": backbone.config.num_hidden_layers,
        "num_attention_heads": backbone.config.num_attention_heads if prompt else heads,
        "num_transformer_submodules": 1,
    }


def merge(model: EmotionModel) -> None:
    """Fold every adapter into the weights beside it; the outputs stay, and the model is plain again.

    Virtual tokens are inputs, not weights, and stay as they are. Weights of 4 bits become plain ones of bfloat16 first.
    """
    for modality in model.modalities:
        encoder = model.encoder(modality)
        if isinstance(encoder.backbone, nn.Module) and is_quantised(encoder.backbone):
            encoder.backbone = _unpacked(encoder.backbone)
        if hasattr(encoder.backbone, "peft_config"):
            encoder.backbone = encoder.backbone.merge_and_unload(safe_merge=True)
        if hasattr(encoder.config, "weights"):  # what is saved now is plain; adapters alone keep what they are over
            encoder.config = encoder.config.model_copy(update={"weights": "float32"})


def _unpacked(backbone: Any) -> nn.Module:
    """A backbone over plain weights in place of those of 4 bits, its adapters as they are."""
    if not hasattr(backbone, "peft_config"):
        restore(backbone)
        return backbone
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    options = backbone.peft_config["default"]
    if hasattr(options, "target_r"):
        options.rank_pattern = None
    tensors = get_peft_model_state_dict(backbone, save_embedding_layers=False)
    backbone.get_base_model().is_loaded_in_4bit = False  # or peft takes no IA3 off
    inner = backbone.unload()
    restore(inner)
    with quiet_peft():
        again = get_peft_model(inner, options)
    set_peft_model_state_dict(again, tensors)
    return again.to(next(iter(tensors.values())).device)


def save_adapters(model: EmotionModel, adapters: Mapping[Modality, Adapter], folder: Path) -> Path:
    """Write each adapter into `folder/<modality>`, and config.json and rest.safetensors beside them.

    The rest is all of the model that is not in an adapted backbone: fusion, heads, temperatures, other encoders; beside
    it lie prediction sets and familiarity. So the folder is a whole model over bases that are had elsewhere. It appears
    whole or not at all.
    """
    with replacing_folder(folder) as building:
        for modality, adapter in adapters.items():
            adapter.write(building / modality)
        save_file(_rest(model, adapters), building / REST, metadata={"format": "pt"})
        (building / "config.json").write_text(model.config.model_dump_json(indent=2) + "\n", "utf-8")
        if model.conformal:
            save_conformal(model.conformal, building / CONFORMAL)
        if model.familiarity:
            save_familiarity(model.familiarity, building / FAMILIARITY)
        for modality in model.modalities:
            model.encoder(modality).save_assets(building)
    return folder


def _rest(model: EmotionModel, adapters: Mapping[Modality, Adapter]) -> dict[str, Tensor]:
    inside = tuple(f"encoders.{m}.backbone." for m in adapters)
    moving = {n for n, _ in model.named_buffers()}
    kept = {n: t for n, t in model.state_dict().items() if n in moving or not n.startswith(inside)}
    return {n: t.detach().cpu().contiguous().clone() for n, t in kept.items()}


def load_adapters(folder: str | Path, base: EmotionModel | None = None) -> EmotionModel:
    """The model that `strategy.MODALITY.merge: false` left in `model/adapters`, in evaluation mode.

    The bases are the encoders' sources (fetched from the hub where they are not cached), or those of the model `base`,
    which is changed in place: for encoders that started from a checkpoint or from scratch. Raises CheckpointError when
    the folder does not hold adapters, or an encoder has neither a source nor a base.
    """
    folder = Path(folder)
    config = read_config(folder)
    if not (folder / REST).is_file():
        raise CheckpointError(f"{folder} holds no {REST}: it is not a folder of adapters; give MODEL/adapters")
    found: dict[Modality, Path] = {m: folder / m for m in config.encoders if (folder / m / OPTIONS).is_file()}
    if base is None:
        for modality in found:
            if getattr(config.encoders[modality], "source", None) is None:
                raise CheckpointError(
                    f"the {modality} encoder of {folder} was built from scratch, so its base has no name; "
                    "pass base=MODEL with its weights, for example the one training started from"
                )
        base = EmotionModel(config)
        for modality in found:
            base.encoder(modality).shrink()
    merge(base)
    for modality, path in found.items():
        encoder = base.encoder(modality)
        encoder.backbone = _over(encoder.backbone, path)
    missing, unexpected = base.load_state_dict(load_file(folder / REST), strict=False)
    inside = tuple(f"encoders.{m}.backbone." for m in found)
    lacking = [n for n in (*missing, *unexpected) if not n.startswith(inside)]
    if lacking:
        raise CheckpointError(f"{folder} does not fit its base: {', '.join(lacking[:3])}; pass the base it was over")
    merge(base)
    base.config = base.config.model_copy(update={"tasks": config.tasks})
    base.conformal = load_conformal(folder / CONFORMAL) if (folder / CONFORMAL).is_file() else {}
    known = load_familiarity(folder / FAMILIARITY) if (folder / FAMILIARITY).is_file() else nn.ModuleDict()
    base.familiarity = known.to(base.device)
    return base.float().eval()


def _over(backbone: nn.Module, folder: Path) -> nn.Module:
    options = json.loads((folder / OPTIONS).read_text("utf-8"))
    kind = {"PROMPT_TUNING": "prompt", "PREFIX_TUNING": "prefix"}.get(options["peft_type"])
    if kind is not None:
        virtual = VirtualTokens(backbone, cast(Any, kind), options["num_virtual_tokens"])
        virtual.learned.data.copy_(load_file(folder / WEIGHTS)[PROMPTS])
        return virtual
    require_package("peft", extra="train")
    from peft import PeftModel

    with quiet_peft():
        return PeftModel.from_pretrained(backbone, str(folder))  # type: ignore[arg-type]
