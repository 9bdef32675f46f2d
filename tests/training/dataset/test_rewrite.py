"""Rewriting: tiny Marian and T5 models in their published formats, asked once, and what becomes of a sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emofuse.errors import RecipeError
from emofuse.training.assemble import assemble
from emofuse.training.dataset.augment import rewrite as module
from emofuse.training.dataset.augment.rewrite import key_of, rewrite, rewritten
from emofuse.training.recipe.augmentation import TextAugment
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit
from emofuse.training.tuning.init import build
from emofuse.types import Segment, Word

SMALL = {"vocab_size": 120, "d_model": 16, "pad_token_id": 0, "decoder_start_token_id": 0, "eos_token_id": 3}
TEXTS = ["i am so happy!", "this is great", "sad"]


@pytest.fixture(scope="module")
def marian(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two random Marian models with a word-piece tokenizer, as save_pretrained writes them."""
    from transformers import AutoTokenizer, MarianConfig, MarianMTModel

    shape = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    shape |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 128}
    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        folder = tmp_path_factory.mktemp("marian")
        network = MarianMTModel(MarianConfig(**SMALL, **shape, init_std=1.0))
        network.save_pretrained(folder)
        AutoTokenizer.from_pretrained(tiny_tokenizer).save_pretrained(folder)
        folders.append(str(folder))
    return folders[0], folders[1]


@pytest.fixture(scope="module")
def t5(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("t5")
    network = T5ForConditionalGeneration(T5Config(**SMALL, d_kv=8, d_ff=32, num_layers=1, num_heads=2))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_tokenizer).save_pretrained(folder)
    return str(folder)


def options(marian: tuple[str, str], t5: str, chance: float = 1.0) -> TextAugment:
    there, back = marian
    return TextAugment(rewrite=chance, back_translation={"there": there, "back": back}, paraphrase=t5)


def answer(model: str, text: str) -> str:
    """What transformers' own classes say to one text alone."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(model), AutoModelForSeq2SeqLM.from_pretrained(model).eval()
    given = tokenizer(text, return_tensors="pt")
    ids = given["input_ids"]
    out = network.generate(
        input_ids=ids, attention_mask=given["attention_mask"], num_beams=4, do_sample=False,
        max_new_tokens=2 * ids.shape[1] + 8,
    )  # fmt: skip
    return key_of(tokenizer.decode(out[0], skip_special_tokens=True))


@pytest.mark.slow
def test_texts_go_there_and_back_and_are_paraphrased(marian, t5, tmp_path):
    text = TEXTS[0]
    found = rewritten([text, text, ""], options(marian, t5), tmp_path)
    there, back = marian
    assert list(found) == [text]
    assert set(found[text]) == {answer(t5, text), answer(back, answer(there, text))} - {"", text}
    assert found[text]


def test_each_text_is_asked_once_and_a_changed_model_anew(marian, t5, tmp_path, monkeypatch):
    asked: list[str] = []
    generated = module._generated
    monkeypatch.setattr(module, "_generated", lambda n, t, texts: asked.extend(texts) or generated(n, t, texts))
    how = TextAugment(rewrite=0.5, paraphrase=t5)
    first = rewritten(TEXTS[:2], how, tmp_path)
    assert sorted(asked) == sorted(TEXTS[:2])
    again = rewritten(TEXTS, how, tmp_path)
    assert asked[2:] == ["sad"] and {k: again[k] for k in first} == first
    other = TextAugment(rewrite=0.5, paraphrase=marian[0])
    rewritten(TEXTS[:1], other, tmp_path)
    assert asked[3:] == TEXTS[:1] and len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        assert json.loads(path.read_text("utf-8"))[TEXTS[0]] is not None


def test_a_segment_gets_one_of_its_rewritings_over_its_seconds():
    words = (Word("i", 1.0, 1.5), Word("am", 1.5, 2.0), Word("sad", 2.0, 3.0))
    segment = Segment("a", 1.0, 3.0, words, context=("B: so",))
    ways = {"i am sad": ("so sad", "sad am i")}
    rng = np.random.default_rng(0)
    seen = {" ".join(w.text for w in rewrite(segment, ways, 0.5, rng).words) for _ in range(40)}
    assert seen == {"i am sad", "so sad", "sad am i"}
    changed = rewrite(segment, ways, 1.0, rng)
    assert (changed.words[0].start, changed.words[-1].end, changed.context) == (1.0, 3.0, ("B: so",))
    assert rewrite(segment, {}, 1.0, rng) is segment


@pytest.mark.slow
def test_training_samples_are_rewritten_and_dev_samples_are_not(marian, t5, recipe_values, tmp_path):
    recipe_values["model"]["encoders"].pop("speech")
    plain = parse_recipe(recipe_values)
    text = options(marian, t5).model_dump(exclude_defaults=True)
    recipe = parse_recipe(recipe_values | {"augment": {"text": text}})
    model = build(recipe)[0]
    before, after = (assemble(r, 0, model, None) for r in (plain, recipe))
    pairs = [(before.samples[0, i].inputs["text"], after.samples[0, i].inputs["text"]) for i in range(24)]
    assert any(a["input_ids"].tolist() != b["input_ids"].tolist() for a, b in pairs)
    dev = [(b.samples[key].inputs["text"], a.samples[key].inputs["text"]) for b, a in
           zip(before.dev, after.dev, strict=True) for key in b.keys]  # fmt: skip
    assert dev and all(a["input_ids"].tolist() == b["input_ids"].tolist() for a, b in dev)
    assert list((tmp_path / "run" / "rewritten").glob("rewritten-*.json"))


@pytest.mark.slow
def test_a_dry_run_asks_no_model(t5, recipe_values, tmp_path):
    recipe = parse_recipe(recipe_values | {"augment": {"text": {"rewrite": 0.5, "paraphrase": t5}}})
    fit(recipe, dry_run=True)
    assert not (tmp_path / "run" / "rewritten").exists()


def test_what_is_no_such_model_and_half_a_setting_are_refused(tiny_tokenizer, recipe_values, tmp_path):
    with pytest.raises(RecipeError, match="sequences to sequences"):
        rewritten(TEXTS, TextAugment(rewrite=0.5, paraphrase=str(tiny_tokenizer)), tmp_path)
    with pytest.raises(RecipeError, match="goes with back_translation or paraphrase"):
        parse_recipe(recipe_values | {"augment": {"text": {"rewrite": 0.5}}})
