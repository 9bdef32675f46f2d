"""Decoders tuned: which layers, which projections, virtual tokens beside keys that queries share, 4-bit weights."""

from __future__ import annotations

import importlib.util
import re

import pytest
import torch
from peft.utils.constants import TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING as FEEDFORWARD

from emofuse.batch import collate
from emofuse.encoders.encoder import transformer_layers
from emofuse.encoders.four_bit import is_quantised, quantise, restore, weights_in
from emofuse.encoders.virtual import VirtualTokens, takes
from emofuse.errors import MissingExtraError, RecipeError
from emofuse.model.config import ModelConfig
from emofuse.model.model import EmotionModel
from emofuse.training.recipe.schema import Optim, Strategy
from emofuse.training.tuning.adapters import adapters_of, load_adapters, merge, save_adapters
from emofuse.training.tuning.init import parameter_counts
from emofuse.training.tuning.optim import parameter_groups
from emofuse.training.tuning.strategies import adaptable, adapter_config, apply_strategies, quiet_peft

PROJECTIONS = {
    "gpt2": {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"},
    "opt": {*(f"self_attn.{n}_proj" for n in ("q", "k", "v", "out")), "fc1", "fc2"},
}
LLAMA = {*(f"self_attn.{n}_proj" for n in "qkvo"), *(f"mlp.{n}_proj" for n in ("gate", "up", "down"))}
KINDS = ("gpt2", "opt", "llama", "qwen2", "qwen3", "gemma2", "gemma3_text")
ABOVE = {
    "gpt2": {"ln_f.weight", "ln_f.bias"},
    "opt": {"decoder.final_layer_norm.weight", "decoder.final_layer_norm.bias", "decoder.project_out.weight"},
}
HAS_BITS = importlib.util.find_spec("bitsandbytes") is not None
needs_bits = pytest.mark.skipif(not HAS_BITS, reason="needs bitsandbytes (extra bits)")


def model(folder, **fields) -> EmotionModel:
    text = {"source": str(folder), "max_length": 48} | fields
    values = {"tasks": ["emotion", "valence"], "encoders": {"text": text}, "fusion": {"dim": 16, "heads": 2}}
    torch.manual_seed(0)
    built = EmotionModel(ModelConfig.model_validate(values)).eval()
    for head in (*built.heads.values(), *built.modality_heads["text"].tasks.values()):
        torch.nn.init.normal_(head.linear.weight, std=0.5)
    return built


def shaken(built: EmotionModel) -> EmotionModel:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return built.eval()


@torch.no_grad()
def logits(built: EmotionModel, make_segment) -> torch.Tensor:
    return torch.cat(list(built(collate([built.prepare(make_segment(i)) for i in range(3)])).logits.values()), -1)


def close(found: torch.Tensor, expected: torch.Tensor, share: float = 0.05) -> bool:
    """Apart by no more than this share of what stands there, in the mean: the rounding of sixteen bits."""
    return bool((found - expected).abs().mean() < share * expected.abs().mean())


@pytest.mark.parametrize("kind", KINDS)
def test_layers_and_projections_are_those_of_the_model(decoder_folder, kind):
    encoder = model(decoder_folder(kind)).encoder("text")
    assert len(encoder.layers) == 2
    names = adaptable(encoder.backbone)
    assert {re.split(r"\.\d+\.", n)[-1] for n in names} == PROJECTIONS.get(kind, LLAMA)
    assert len(names) == 2 * len(PROJECTIONS.get(kind, LLAMA))
    depths = {n.removeprefix("backbone."): d for n, d in encoder.depths().items() if n.startswith("backbone.")}
    assert {n for n, d in depths.items() if d == 3} == ABOVE.get(kind, {"norm.weight"})
    lowest = {n for n, d in depths.items() if d == 0}
    assert lowest and all(re.search(r"embed|wte|wpe|project_in", n) for n in lowest)
    assert all(d == int(re.search(r"\.(\d+)\.", f".{n}")[1]) + 1 for n, d in depths.items() if 0 < d < 3)


@pytest.mark.parametrize("kind", KINDS)
def test_ia3_rescales_keys_values_and_what_peft_knows_as_feed_forward(decoder_folder, kind):
    backbone = model(decoder_folder(kind)).encoder("text").backbone
    config = adapter_config("text", backbone, Strategy(kind="ia3"))
    ends = {n.rpartition(".")[2] for n in config.target_modules}
    (down,) = (n.rpartition(".")[2] for n in FEEDFORWARD[kind])
    assert {n.rpartition(".")[2] for n in config.feedforward_modules} == {down}
    assert ends == ({"c_attn", down} if kind == "gpt2" else {"k_proj", "v_proj", down})


@pytest.mark.parametrize("kind", ["gpt2", "qwen2"])
def test_the_top_learns_at_the_full_rate_and_layers_below_more_slowly(decoder_folder, kind):
    built = model(decoder_folder(kind))
    groups = parameter_groups(built, Optim(lr=1.0, layer_decay=0.5, encoder_lr={"text": 0.1}))
    rates = {n.removeprefix("encoders.text.backbone."): g["lr"] for g in groups for n in g["names"]}
    layer = "h" if kind == "gpt2" else "layers"
    found = [next(r for n, r in rates.items() if n.startswith(f"{layer}.{i}.")) for i in (0, 1)]
    assert found == pytest.approx([0.025, 0.05])
    assert rates["ln_f.weight" if kind == "gpt2" else "norm.weight"] == pytest.approx(0.1)
    assert rates["wte.weight" if kind == "gpt2" else "embed_tokens.weight"] == pytest.approx(0.0125)
    apply_strategies(built, {"text": Strategy(kind="top", layers=1)})
    learns = {n for n, p in built.encoder("text").backbone.named_parameters() if p.requires_grad}
    assert learns == {n for n in rates if n.startswith(f"{layer}.1.") or n in ABOVE.get(kind, {"norm.weight"})}


VIRTUAL = [(kind, virtual) for kind in ("gpt2", "opt", "qwen2", "gemma3_text") for virtual in ("prefix", "prompt")]
VIRTUAL.remove(("opt", "prompt"))  # peft takes the embeddings of this OPT to be as wide as its states


@pytest.mark.parametrize(("kind", "virtual"), VIRTUAL)
def test_virtual_tokens_are_those_of_peft(decoder_folder, kind, virtual):
    from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model

    inner = model(decoder_folder(kind)).encoder("text").backbone
    own = VirtualTokens(inner, virtual, 3).eval()
    config = {"prefix": PrefixTuningConfig, "prompt": PromptTuningConfig}[virtual]
    with quiet_peft():
        other = get_peft_model(inner, config(task_type="FEATURE_EXTRACTION", num_virtual_tokens=3)).eval()
    other.prompt_encoder["default"].embedding.weight.data.copy_(own.learned.data)
    ids, mask = torch.randint(1, 300, (2, 7)), torch.ones(2, 7, dtype=torch.long)
    mask[1, 5:] = 0
    with torch.no_grad():
        ours = own(input_ids=ids, attention_mask=mask).last_hidden_state
        theirs = other(input_ids=ids, attention_mask=mask).last_hidden_state[:, -7:]
        told = own(input_ids=ids, attention_mask=mask, position_ids=torch.arange(7).expand(2, -1)).last_hidden_state
    assert torch.allclose(ours[0], theirs[0], atol=1e-5) and torch.allclose(ours[1, :5], theirs[1, :5], atol=1e-5)
    assert torch.allclose(ours[0], told[0], atol=1e-5) and torch.allclose(ours[1, :5], told[1, :5], atol=1e-5)
    assert len(transformer_layers(own)) == 2


def test_keys_of_an_unknown_shape_take_no_prefix(decoder_folder):
    inner = model(decoder_folder("gpt2")).encoder("text").backbone
    assert takes(inner, "prefix")
    inner.config.multi_query = True
    assert takes(inner, "prompt") and not takes(inner, "prefix")


@pytest.mark.parametrize("kind", ["gpt2", "opt", "qwen3"])
@pytest.mark.parametrize("strategy", ["lora", "adalora", "ia3", "prefix", "prompt"])
def test_adapters_alone_over_the_source_answer_as_the_tuned_model(
    decoder_folder, make_segment, tmp_path, kind, strategy
):
    built = model(decoder_folder(kind))
    apply_strategies(built, {"text": Strategy(kind=strategy, rank=2, tokens=3)})
    learns, total = parameter_counts(built)["text"]
    assert 0 < learns < 0.6 * total
    trained = logits(shaken(built), make_segment)
    found = adapters_of(built)
    merge(built)
    assert torch.allclose(logits(built, make_segment), trained, atol=1e-4)
    folder = save_adapters(built, found, tmp_path / "adapters")
    assert torch.allclose(logits(load_adapters(folder), make_segment), trained, atol=1e-4)
    whole = EmotionModel.from_pretrained(built.save_pretrained(tmp_path / "model"))
    assert torch.allclose(logits(whole, make_segment), trained, atol=1e-4)


@pytest.mark.parametrize("kind", ["full", "top"])
def test_weights_in_less_memory_do_not_learn_themselves(decoder_folder, kind):
    with pytest.raises(RecipeError, match=rf"weights is bfloat16.*strategy\.text is {kind}; set weights to float32"):
        apply_strategies(model(decoder_folder("qwen2"), weights="bfloat16"), {"text": Strategy(kind=kind)})


@pytest.mark.parametrize("strategy", ["lora", "ia3", "prefix", "frozen"])
def test_adapters_learn_over_weights_of_sixteen_bits(decoder_folder, make_segment, tmp_path, strategy):
    exact = logits(model(decoder_folder("qwen2")), make_segment)
    built = model(decoder_folder("qwen2"), weights="bfloat16")
    apply_strategies(built, {"text": Strategy(kind=strategy, rank=2, tokens=3)})
    inner = [p for n, p in built.encoder("text").backbone.named_parameters() if not p.requires_grad]
    assert {p.dtype for p in inner} == {torch.bfloat16}
    assert {p.dtype for p in built.parameters() if p.requires_grad} == {torch.float32}
    if strategy != "prefix":
        assert close(logits(built, make_segment), exact)
    trained = logits(shaken(built), make_segment)
    merge(built)
    again = EmotionModel.from_pretrained(built.save_pretrained(tmp_path / "model"))
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    assert again.encoder("text").config.weights == "float32" and built.config.encoders["text"].weights == "bfloat16"
    assert close(logits(again, make_segment), trained)


@pytest.mark.skipif(HAS_BITS, reason="bitsandbytes is installed")
def test_four_bits_ask_for_their_package(decoder_folder):
    with pytest.raises(MissingExtraError, match=r"bitsandbytes.*emofuse\[bits\]"):
        apply_strategies(model(decoder_folder("qwen2-wide"), weights="4bit"), {"text": Strategy(kind="lora")})


def test_layers_that_cannot_be_packed_are_refused(decoder_folder):
    plain = model(decoder_folder("qwen2")).encoder("text").backbone
    with torch.device("meta"):
        shape = type(plain)(plain.config)
    with pytest.raises(RecipeError, match=r"multiple of 64 weights.*set weights to bfloat16"):
        quantise(shape)


@pytest.mark.parametrize("kind", ["gpt2", "qwen2"])
def test_the_shape_of_four_bits_counts_every_weight_and_half_the_bytes(decoder_folder, kind):
    plain = model(decoder_folder(f"{kind}-wide")).encoder("text").backbone
    with torch.device("meta"):
        shape = type(plain)(plain.config)
    quantise(shape)
    assert sum(map(weights_in, shape.parameters())) == sum(p.numel() for p in plain.parameters())
    packed = {n: p for n, p in shape.named_parameters() if p.dtype == torch.uint8}
    assert {n.removesuffix(".weight") for n in packed} == set(adaptable(plain))
    assert all(2 * p.nbytes == plain.get_parameter(n).numel() for n, p in packed.items())


@needs_bits
@pytest.mark.parametrize("kind", ["gpt2", "qwen2"])
def test_four_bits_there_and_back_are_the_weights_that_were_multiplied(decoder_folder, kind):
    built = model(decoder_folder(f"{kind}-wide"))
    backbone = built.encoder("text").backbone
    before = {n: p.clone() for n, p in backbone.named_parameters()}
    ids = torch.randint(1, 300, (2, 9))
    quantise(backbone.bfloat16())
    assert is_quantised(backbone)
    assert not any(".weight." in n for n in backbone.state_dict())
    with torch.no_grad():
        four = backbone(input_ids=ids).last_hidden_state.float()
    restore(backbone)
    assert not is_quantised(backbone)
    after = dict(backbone.named_parameters())
    assert {n: p.shape for n, p in after.items()} == {n: p.shape for n, p in before.items()}
    for name in (f"{n}.weight" for n in adaptable(backbone)):
        assert not torch.equal(after[name].float(), before[name])
        assert (after[name].float() - before[name]).abs().max() < 0.16 * before[name].abs().max()
    with torch.no_grad():
        assert close(backbone(input_ids=ids).last_hidden_state.float(), four)


@needs_bits
@pytest.mark.parametrize("kind", ["gpt2", "qwen2"])
@pytest.mark.parametrize("strategy", ["lora", "adalora", "ia3", "prefix", "prompt", "frozen"])
def test_adapters_over_four_bits_are_merged_into_the_weights_they_learnt_over(
    decoder_folder, make_segment, tmp_path, kind, strategy
):
    built = model(decoder_folder(f"{kind}-wide"), weights="4bit")
    apply_strategies(built, {"text": Strategy(kind=strategy, rank=2, tokens=3)})
    built.train()
    loss = sum(v.square().sum() for v in built(collate([built.prepare(make_segment(0))])).logits.values())
    loss.backward()
    assert all(p.grad is None for p in built.parameters() if p.dtype == torch.uint8)
    learns = {n: p for n, p in built.encoder("text").backbone.named_parameters() if p.requires_grad}
    assert (strategy == "frozen") == (not learns)
    assert not learns or any(p.grad is not None for p in learns.values())
    trained = logits(shaken(built), make_segment)
    found = adapters_of(built)
    merge(built)
    assert close(logits(built, make_segment), trained)
    again = EmotionModel.from_pretrained(built.save_pretrained(tmp_path / "model"))
    assert close(logits(again, make_segment), trained)
    if found:
        over = load_adapters(save_adapters(built, found, tmp_path / "adapters"))
        assert torch.allclose(logits(over, make_segment), logits(again, make_segment), atol=1e-3)
