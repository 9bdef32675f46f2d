"""Recipes over decoders: trained, saved, loaded, explained, exported, and planned."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import emofuse
from emofuse.batch import collate
from emofuse.errors import MissingExtraError
from emofuse.explain.attribution import integrated_gradients
from emofuse.explain.explanation import explain
from emofuse.model.model import EmotionModel
from emofuse.runtime.export.write import export
from emofuse.training.recipe.read import load_recipe, parse_recipe
from emofuse.training.run import fit
from emofuse.training.tuning.adapters import load_adapters
from emofuse.training.tuning.init import build

pytestmark = pytest.mark.slow
HAS_BITS = importlib.util.find_spec("bitsandbytes") is not None


@pytest.fixture
def decoder_values(recipe_values, decoder_folder):
    """A recipe of three steps over words that a decoder of a kind reads."""

    def values(kind: str, strategy="lora", **fields):
        text = {"source": str(decoder_folder(kind)), "layout": "dialogue", "prompt": True, "max_length": 60}
        recipe_values["model"]["encoders"] = {"text": text | fields}
        recipe_values["strategy"] = {"text": strategy}
        recipe_values["train"] |= {"epochs": 1}
        return recipe_values

    return values


def untrained(values) -> EmotionModel:
    torch.manual_seed(0)
    model = build(parse_recipe(values))[0].eval()
    for head in (*model.heads.values(), *model.modality_heads["text"].tasks.values()):
        torch.nn.init.normal_(head.linear.weight, std=0.5)
    return model


def answers(model: EmotionModel, make_segment) -> np.ndarray:
    batch = collate([model.prepare(make_segment(i).without("speech", "face")) for i in range(3)])
    return model.predict(batch).tasks["emotion"]


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [
        ("qwen2", {"kind": "lora", "merge": False}),
        ("llama", "full"),
        ("gpt2", {"kind": "prefix", "tokens": 2}),
        ("qwen2", {"kind": "prompt", "tokens": 2}),
        ("llama", {"kind": "adalora", "rank": 2}),
        ("gpt2", "ia3"),
    ],
)
def test_three_steps_are_trained_saved_and_answered_the_same(decoder_values, make_segment, kind, strategy):
    folder = fit(parse_recipe(decoder_values(kind, strategy)))
    report = json.loads((folder / "report.json").read_text())
    assert report["curves"]["loss"] and np.isfinite(report["curves"]["loss"]).all()
    model = EmotionModel.from_pretrained(folder)
    text = model.encoder("text").config
    assert (text.pool, text.layout, text.prompt) == ("last", "dialogue", True)
    found = answers(model, make_segment)
    assert np.allclose(found, answers(EmotionModel.from_pretrained(folder, lean=True), make_segment), atol=1e-6)
    said = emofuse.load(folder)(transcript="this is terrible, i am so so sad")
    assert sum(said.segments[0].emotions.values()) == pytest.approx(1, abs=1e-5)
    if (folder / "adapters").is_dir():
        assert np.allclose(found, answers(load_adapters(folder / "adapters"), make_segment), atol=1e-4)


def test_the_recipe_of_a_language_model_trains(decoder_folder, tiny_corpus, repository, make_segment, tmp_path):
    changes = [f"root={tiny_corpus}", "data.sources=[{corpus: manifest, root: manifest.csv}]"]
    changes += [f"model.encoders.text.source={decoder_folder('qwen3')}", "model.encoders.text.max_length=64"]
    changes += ["train.epochs=1", "train.device=cpu", "output.tensorboard=false", f"output.folder={tmp_path / 'run'}"]
    recipe = load_recipe(repository / "recipes" / "meld" / "llm-lora.yaml", changes)
    folder = fit(recipe)
    model = EmotionModel.from_pretrained(folder)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    report = json.loads((folder / "report.json").read_text())
    assert 0 < report["parameters"]["text"]["trainable"] < report["parameters"]["text"]["all"] / 3
    expected = answers(load_adapters(folder / "adapters"), make_segment)
    assert np.allclose(answers(model, make_segment), expected, atol=1e-2)


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_words_are_explained_by_gradients_that_add_up(decoder_values, make_segment, kind):
    model = untrained(decoder_values(kind))
    segment = make_segment(0).without("speech", "face")
    batch = collate([model.prepare(segment)])
    found = integrated_gradients(model, batch, model.tasks[0], 3)
    assert found.answer != found.baseline
    assert abs(found.error) <= 0.02 * abs(found.answer - found.baseline) + 1e-3
    by_piece = np.abs(found.scores["text", "inputs_embeds"].reshape(batch.inputs["text"]["mask"].shape[1], -1)).sum(-1)
    words = batch.inputs["text"]["word"][0].numpy()
    assert (by_piece[words >= 0] > 0).all()
    told = explain(model, segment)
    assert [word.text for word in told.words] == [word.text for word in segment.words]
    assert abs(told.error) <= 0.02 * abs(told.answer - found.baseline) + 1e-3


@pytest.mark.parametrize("kind", ["qwen2", "gpt2", "gemma3_text"])
def test_an_exported_graph_answers_as_the_model(decoder_values, make_segment, tmp_path, kind):
    model = untrained(decoder_values(kind))
    loaded = emofuse.load(export(model, tmp_path / "out", "onnx"), backend="onnx").model
    samples = [model.prepare(make_segment(i).without("speech", "face")) for i in range(4)]
    for batch in (samples, samples[3:], samples[2:3]):
        found, expected = (m.answer(batch)[0].tasks["emotion"] for m in (loaded, model))
        assert np.allclose(found, expected, atol=1e-4)


def planned(values, capsys) -> dict[str, float]:
    """Bytes at rest of a recipe, and its weights, as the plan prints them."""
    fit(parse_recipe(values), dry_run=True)
    (line,) = (said for said in capsys.readouterr().out.splitlines() if said.startswith("memory"))
    sizes = [float(n) * {"GB": 1e9, "MB": 1e6}[unit] for n, unit in re.findall(r"([\d.]+) (GB|MB)", line)]
    return dict(zip(("all", "weights", "learning"), sizes, strict=False))


def test_the_plan_counts_frozen_weights_without_moments(decoder_values, tiny_tokenizer, capsys, monkeypatch):
    monkeypatch.setattr("emofuse.training.recipe.measured.free_memory", lambda device: 1000)
    shape = {"model_type": "qwen2", "vocab_size": 1000, "hidden_size": 1024, "intermediate_size": 4096}
    shape |= {"num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 128}
    held = {}
    for kind, weights in (("full", "float32"), ("lora", "float32"), ("lora", "bfloat16"), ("lora", "4bit")):
        values = decoder_values("qwen2", kind, weights=weights, architecture=shape, tokenizer=str(tiny_tokenizer))
        del values["model"]["encoders"]["text"]["source"]
        held[kind, weights] = planned(values, capsys)
    full, lora = held["full", "float32"], held["lora", "float32"]
    assert full["learning"] == pytest.approx(3 * full["weights"], rel=0.03)
    assert lora["weights"] == pytest.approx(full["weights"], rel=0.03)
    assert lora["learning"] < 0.05 * full["learning"]
    inside = 4 * (2 * 1024 * 1024 + 2 * 1024 * 256 + 3 * 1024 * 4096)
    rest = lora["weights"] - 4 * inside
    two, four = held["lora", "bfloat16"]["weights"], held["lora", "4bit"]["weights"]
    rest -= 2 * 1000 * 1024  # word embeddings are of sixteen bits in either
    assert two == pytest.approx(2 * inside + rest, rel=0.03)
    assert four == pytest.approx((0.5 + 1 / 64) * inside + rest, rel=0.03)
    assert lora["all"] == pytest.approx(lora["weights"] + lora["learning"], rel=0.03)


@pytest.mark.skipif(HAS_BITS, reason="bitsandbytes is installed")
def test_four_bits_are_planned_without_their_package_and_refused_before_the_work(decoder_values, capsys):
    values = decoder_values("qwen2-wide", weights="4bit")
    fit(parse_recipe(values), dry_run=True)
    assert "since bitsandbytes is not installed" in capsys.readouterr().out
    with pytest.raises(MissingExtraError, match=r"emofuse\[bits\]"):
        fit(parse_recipe(values))
    assert not (Path(values["output"]["folder"]) / "model").exists()


@pytest.mark.skipif(not HAS_BITS, reason="needs bitsandbytes (extra bits)")
@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_three_steps_over_four_bits_are_saved_and_answered_the_same(decoder_values, make_segment, kind):
    values = decoder_values(f"{kind}-wide", {"kind": "lora", "merge": False}, weights="4bit")
    folder = fit(parse_recipe(values))
    model = EmotionModel.from_pretrained(folder)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    expected = answers(load_adapters(folder / "adapters"), make_segment)
    assert np.allclose(answers(model, make_segment), expected, atol=1e-3)
