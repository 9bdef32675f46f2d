from __future__ import annotations

from pathlib import Path

import pytest
import torch

from emofuse.batch import collate
from emofuse.encoders.text import TextEncoder
from emofuse.encoders.virtual import VirtualTokens
from emofuse.errors import CheckpointError, RecipeError
from emofuse.modalities import MODALITIES
from emofuse.model.config import ModelConfig
from emofuse.model.conformal import ConformalScores
from emofuse.model.familiarity import Familiarity
from emofuse.model.model import EmotionModel
from emofuse.tasks import EMOTIONS
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.recipe.schema import Optim, Strategy
from emofuse.training.tuning.adapters import adapters_of, load_adapters, merge, save_adapters
from emofuse.training.tuning.init import parameter_counts
from emofuse.training.tuning.optim import parameter_groups
from emofuse.training.tuning.strategies import (
    RankBudget,
    apply_strategies,
    orthogonality,
    rank_tuners,
    singular_vectors,
)

KINDS = ("full", "top", "frozen", "lora", "adalora", "ia3")


def shaken(model: EmotionModel) -> EmotionModel:
    """Random values in every trainable weight, as if it had learnt."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def logits(model: EmotionModel, make_segment) -> torch.Tensor:
    batch = collate([model.prepare(make_segment(i)) for i in range(3)])
    with torch.no_grad():
        return torch.cat(list(model(batch).logits.values()), -1)


@pytest.mark.parametrize("kind", KINDS)
def test_each_trainable_parameter_is_in_exactly_one_group(tiny_model, kind):
    apply_strategies(tiny_model, {m: Strategy(kind=kind, layers=1) for m in MODALITIES})
    groups = parameter_groups(tiny_model, Optim(layer_decay=0.5))
    held = [id(p) for g in groups for p in g["params"]]
    learns = [id(p) for p in tiny_model.parameters() if p.requires_grad]
    assert len(held) == len(set(held))
    assert set(held) == set(learns)


@pytest.mark.parametrize("kind", ["prefix", "prompt"])
def test_virtual_tokens_are_in_one_group_at_the_top_rate_without_decay(tiny_model, kind):
    apply_strategies(tiny_model, {"text": Strategy(kind=kind, tokens=4)})
    groups = parameter_groups(tiny_model, Optim(layer_decay=0.5, encoder_lr={"text": 0.1}))
    (own,) = [g for g in groups if any(n.endswith("backbone.learned") for n in g["names"])]
    assert own["lr"] == 0.1
    assert own["weight_decay"] == 0
    assert not any("backbone.inner" in n for g in groups for n in g["names"])


def test_layers_below_learn_more_slowly(tiny_model):
    groups = parameter_groups(tiny_model, Optim(lr=1.0, layer_decay=0.5, encoder_lr={"text": 0.1}))
    rate = {n: g["lr"] for g in groups for n in g["names"]}
    layers = [rate[f"encoders.text.backbone.encoder.layer.{i}.output.dense.weight"] for i in (0, 1)]
    assert layers == pytest.approx([0.025, 0.05])
    assert rate["encoders.text.backbone.embeddings.word_embeddings.weight"] == pytest.approx(0.0125)
    assert rate["encoders.text.lexicon.weight"] == pytest.approx(0.1)
    assert rate["fusion.queries"] == 1.0


def test_top_leaves_only_the_last_layer_to_learn(tiny_model):
    apply_strategies(tiny_model, {"text": Strategy(kind="top", layers=1)})
    learns = {n for n, p in tiny_model.encoders["text"].backbone.named_parameters() if p.requires_grad}
    assert learns
    assert all(n.startswith("encoder.layer.1.") for n in learns)


def test_heads_of_a_modality_may_stay_as_they_start(tiny_model):
    apply_strategies(tiny_model, {"speech": Strategy(heads=["emotion"])})
    learns = {n for n, p in tiny_model.named_parameters() if p.requires_grad}
    fixed = {n for n, p in tiny_model.named_parameters() if not p.requires_grad}
    assert fixed and all(
        n.startswith(("modality_heads.speech.pool.", "modality_heads.speech.tasks.emotion.")) for n in fixed
    )
    other = next(t.name for t in tiny_model.tasks if t.name != "emotion")
    assert {
        f"modality_heads.speech.tasks.{other}.linear.weight",
        "modality_heads.text.tasks.emotion.linear.weight",
    } <= learns
    with pytest.raises(RecipeError, match=r"strategy\.speech\.heads: the model has no task 'emotoin'; did you mean"):
        parse_recipe(
            {
                "name": "typo",
                "data": {"sources": [{"corpus": "ravdess"}]},
                "model": {"encoders": {"speech": {}}},
                "strategy": {"speech": {"kind": "frozen", "heads": ["emotoin"]}},
            }
        )


def test_frozen_learns_nothing_and_says_so(tiny_model):
    assert apply_strategies(tiny_model, {"face": Strategy(kind="frozen")}) == {"face"}
    assert parameter_counts(tiny_model)["face"][0] == 0


def test_lora_trains_under_two_percent_of_bert_base(tiny_tokenizer: Path):
    from emofuse.encoders.config import TextConfig

    with torch.device("meta"):
        encoder = TextEncoder(TextConfig(tokenizer=str(tiny_tokenizer), architecture={"model_type": "bert"}))
        model = torch.nn.Module()
        model.modalities, model.encoders = ("text",), torch.nn.ModuleDict({"text": encoder})
        apply_strategies(model, {"text": Strategy(kind="lora")})  # type: ignore[arg-type]
    total = sum(p.numel() for p in encoder.parameters())
    learns = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    assert total > 108_000_000
    assert 0.005 < learns / total < 0.02


@pytest.mark.parametrize("kind", ["lora", "adalora", "ia3"])
def test_merged_adapters_give_the_same_output(tiny_model, make_segment, kind):
    plain = logits(tiny_model, make_segment)
    names = set(tiny_model.state_dict())
    apply_strategies(tiny_model, {m: Strategy(kind=kind) for m in MODALITIES})
    adapted = logits(shaken(tiny_model), make_segment)
    merge(tiny_model)
    assert (adapted - plain).abs().max() > 1e-2
    assert torch.allclose(logits(tiny_model, make_segment), adapted, atol=1e-4)
    assert set(tiny_model.state_dict()) == names


@pytest.mark.parametrize("kind", ["lora", "adalora", "ia3", "prefix", "prompt"])
def test_adapters_alone_over_the_base_are_the_trained_model(tiny_model, tiny_config, make_segment, tmp_path, kind):
    base = EmotionModel(tiny_config)
    base.load_state_dict(tiny_model.state_dict())
    apply_strategies(tiny_model, {"text": Strategy(kind=kind, tokens=4)})
    trained = logits(shaken(tiny_model), make_segment)
    adapters = adapters_of(tiny_model)
    merge(tiny_model)
    folder = save_adapters(tiny_model, adapters, tmp_path / "adapters")
    assert {p.name for p in (folder / "text").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert not torch.allclose(logits(base.eval(), make_segment), trained, atol=1e-2)
    assert torch.allclose(logits(load_adapters(folder, base), make_segment), trained, atol=1e-4)


def test_adapters_bring_what_was_measured_with_them_and_nothing_of_the_base(tiny_model, tiny_config, tmp_path):
    """Familiarity, prediction sets, priors: those of the base are of other weights."""
    scores = ConformalScores("lac", tuple(EMOTIONS), {"mine": (0.1, 0.4)})
    tensors = {"components": torch.eye(16)[:, :4], "offset": torch.zeros(4), "reference": torch.randn(60, 4)}
    tensors |= {"quantiles": torch.linspace(0, 1, 101), "slope": torch.tensor(0.25)}
    base = EmotionModel(tiny_config.with_priors({"intensity": [0.9]}))
    base.load_state_dict(tiny_model.state_dict())
    base.conformal = {"face": {"emotion": scores}}
    base.familiarity = torch.nn.ModuleDict({"text": Familiarity(tensors)})
    apply_strategies(tiny_model, {"text": Strategy(kind="lora")})
    shaken(tiny_model)
    tiny_model.conformal = {"text": {"emotion": scores}}
    tiny_model.familiarity = torch.nn.ModuleDict({"speech": Familiarity(tensors)})
    tiny_model.config = tiny_model.config.with_priors({"intensity": [0.5]})
    adapters = adapters_of(tiny_model)
    merge(tiny_model)
    loaded = load_adapters(save_adapters(tiny_model, adapters, tmp_path / "adapters"), base)
    assert loaded.conformal == {"text": {"emotion": scores}}
    assert set(loaded.familiarity) == {"speech"} and float(loaded.familiarity["speech"].slope) == 0.25
    assert loaded.prior("intensity") == (0.5,)


@pytest.mark.parametrize("kind", ["prefix", "prompt"])
def test_a_checkpoint_with_virtual_tokens_loads_like_any_other(tiny_model, make_segment, tmp_path, kind):
    apply_strategies(tiny_model, {"text": Strategy(kind=kind, tokens=4)})
    trained = logits(shaken(tiny_model), make_segment)
    merge(tiny_model)
    folder = tiny_model.save_pretrained(tmp_path / "model")
    loaded = EmotionModel.from_pretrained(folder)
    assert torch.equal(logits(loaded, make_segment), trained)
    again = loaded.save_pretrained(tmp_path / "again")
    assert torch.equal(logits(EmotionModel.from_pretrained(again), make_segment), trained)
    with pytest.raises(RecipeError, match=r"strategy\.text: prompt"):
        apply_strategies(loaded, {"text": Strategy(kind="prompt")})


def test_an_encoder_from_scratch_needs_its_base(tiny_model, tmp_path):
    apply_strategies(tiny_model, {"text": Strategy(kind="lora")})
    folder = save_adapters(tiny_model, adapters_of(tiny_model), tmp_path / "adapters")
    with pytest.raises(CheckpointError, match="pass base=MODEL"):
        load_adapters(folder)


@pytest.mark.parametrize("kind", ["prefix", "prompt"])
def test_virtual_tokens_equal_those_of_peft(tiny_model, kind):
    from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model

    from emofuse.training.tuning.strategies import quiet_peft

    inner = tiny_model.encoders["text"].backbone
    own = VirtualTokens(inner, kind, 3).eval()
    config = {"prefix": PrefixTuningConfig, "prompt": PromptTuningConfig}[kind]
    with quiet_peft():
        other = get_peft_model(inner, config(task_type="FEATURE_EXTRACTION", num_virtual_tokens=3)).eval()
    other.prompt_encoder["default"].embedding.weight.data.copy_(own.learned.data)
    ids, mask = torch.randint(1, 120, (2, 7)), torch.ones(2, 7, dtype=torch.long)
    mask[1, 5:] = 0
    ours = own(input_ids=ids, attention_mask=mask).last_hidden_state
    assert torch.allclose(ours, other(input_ids=ids, attention_mask=mask).last_hidden_state[:, -7:], atol=1e-6)
    alone = own(input_ids=ids[1:, :5], attention_mask=mask[1:, :5]).last_hidden_state
    assert torch.allclose(ours[1:, :5], alone, atol=1e-5)


def test_a_strategy_that_does_not_fit_names_those_that_do(tiny_model, tiny_config):
    with pytest.raises(RecipeError, match=r"strategy\.speech: prefix.*lora, adalora, ia3"):
        apply_strategies(tiny_model, {"speech": Strategy(kind="prefix")})
    with pytest.raises(RecipeError, match="max_length="):
        apply_strategies(tiny_model, {"text": Strategy(kind="prompt", tokens=200)})
    with pytest.raises(RecipeError, match=r"no layer .*did you mean .attention.self.query"):
        apply_strategies(tiny_model, {"text": Strategy(kind="lora", targets=["attention.self.qeury"])})
    features = {"tasks": ["emotion"], "encoders": {"text": {"kind": "features", "width": 4}}}
    with pytest.raises(RecipeError, match="valid: full, frozen"):
        apply_strategies(EmotionModel(ModelConfig.model_validate(features)), {"text": Strategy(kind="lora")})


@pytest.fixture
def gpt(tiny_config, tiny_tokenizer: Path) -> EmotionModel:
    """A model whose words are read by a GPT-2, whose layers and projections have names of their own."""
    shape = {"model_type": "gpt2", "vocab_size": 120, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128}
    values = tiny_config.model_dump() | {
        "encoders": {"text": {"tokenizer": str(tiny_tokenizer), "architecture": shape}}
    }
    return EmotionModel(ModelConfig.model_validate(values)).eval()


@pytest.mark.parametrize("kind", ["top", "lora", "adalora", "ia3"])
def test_a_gpt_is_tuned_in_its_layers_and_nowhere_else(gpt, make_segment, kind):
    assert len(gpt.encoders["text"].layers) == 2
    apply_strategies(gpt, {"text": Strategy(kind=kind, layers=1)})
    backbone = gpt.encoders["text"].backbone
    learns = {n for n, p in backbone.named_parameters() if p.requires_grad}
    if kind == "top":
        assert learns == {n for n, _ in backbone.named_parameters() if n.startswith(("h.1.", "ln_f."))}
        return
    assert learns and all("lora" in n or "ia3" in n for n in learns)
    before = logits(shaken(gpt), make_segment)
    merge(gpt)
    torch.testing.assert_close(logits(gpt, make_segment), before, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["top", "lora", "ia3"])
def test_a_backbone_without_known_layers_is_refused_and_not_trained_whole(tiny_model, kind):
    tiny_model.encoders["text"].backbone = torch.nn.Sequential(torch.nn.Linear(4, 4))
    with pytest.raises(
        RecipeError, match=rf"strategy\.text: {kind} needs transformer layers.*valid here: full, frozen"
    ):
        apply_strategies(tiny_model, {"text": Strategy(kind=kind)})


def test_adapters_only_where_targets_say(tiny_model):
    apply_strategies(tiny_model, {"face": Strategy(kind="lora", targets=["attn.qkv"])})
    learns = [n for n, p in tiny_model.encoders["face"].backbone.named_parameters() if p.requires_grad]
    assert learns
    assert all("attn.qkv" in n for n in learns)


def test_rank_budget_clears_ranks_and_comes_back_from_disk(tiny_model, tmp_path):
    from types import SimpleNamespace

    apply_strategies(tiny_model, {"text": Strategy(kind="adalora", rank=2)})
    shaken(tiny_model)
    tuners = rank_tuners(tiny_model)
    budget = RankBudget(tuners)
    state = SimpleNamespace(max_steps=6, global_step=0)
    budget.on_train_begin(None, state, None)
    for step in range(5):
        state.global_step = step
        for n, p in tuners["text"].named_parameters():
            p.grad = torch.randn_like(p) if "lora_" in n and p.requires_grad else None
        budget.on_optimizer_step(None, state, None)
    pattern = tuners["text"].peft_config["default"].rank_pattern
    singular = {n: p.flatten() for n, p in tuners["text"].named_parameters() if ".lora_E." in n}
    kept = {n: torch.tensor(pattern[n.removeprefix("model.")]) for n in singular}
    assert sum(int(k.sum()) for k in kept.values()) == 2 * len(singular)
    assert all((singular[n][~k] == 0).all() for n, k in kept.items())
    budget.save(tmp_path / "ranks.safetensors")
    tuners["text"].peft_config["default"].rank_pattern = None
    budget.load(tmp_path / "ranks.safetensors")
    assert tuners["text"].peft_config["default"].rank_pattern == pattern


def test_orthogonality_is_zero_for_orthonormal_vectors(tiny_model):
    apply_strategies(tiny_model, {"text": Strategy(kind="adalora", rank=2)})
    assert len(singular_vectors(tiny_model)) == 2 * 12
    eye = torch.eye(2, 5)
    assert orthogonality([eye, eye.T]) == 0
    assert orthogonality([2 * eye]) == pytest.approx(3 * 2**0.5)
