"""Masked words: which are hidden, what stands in their place, and whose head says them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from emofuse.batch import collate
from emofuse.encoders.registry import build_encoder
from emofuse.errors import RecipeError
from emofuse.training.pretraining.words import IGNORED, MaskedWords
from emofuse.types import Segment, Word


def said(text: str) -> Segment:
    return Segment("a", 0.0, 1.0, tuple(Word(w, 0.0, 1.0) for w in text.split()), context=("B: so sad",))


@pytest.fixture
def words(tiny_config):
    torch.manual_seed(0)
    return MaskedWords(build_encoder("text", tiny_config.encoders["text"]), lexicon_rate=0.6)


@pytest.fixture
def inputs(words):
    text = "i am so happy this is xyz terrible not great i am so so"
    return collate([words.prepare(said(t)) for t in (text, "this is so xyz")]).inputs["text"]


def test_words_of_the_lexicon_are_hidden_more_often_and_whole(words, inputs):
    rng, counts, n = np.random.default_rng(0), torch.zeros_like(inputs["mask"], dtype=torch.float), 700
    for _ in range(n):
        hidden = words.hide(inputs, rng)
        assert not hidden[inputs["word"] < 0].any() and not hidden[~inputs["mask"]].any()
        for word in range(int(inputs["word"].max()) + 1):
            pieces = hidden[0][(inputs["word"][0] == word) & inputs["mask"][0]]
            assert bool(pieces.all()) or not bool(pieces.any())
        assert hidden.any(1).all()
        counts += hidden
    own, emotive = (inputs["word"][0] >= 0) & inputs["mask"][0], inputs["emotive"][0]
    assert 3 <= int(emotive.sum()) < int(own.sum())
    assert counts[0][own & emotive].mean() / n == pytest.approx(0.6, abs=0.04)
    assert counts[0][own & ~emotive].mean() / n == pytest.approx(0.15, abs=0.04)


def test_eight_in_ten_become_the_mask_one_another_piece_one_stays(words, inputs):
    rng, seen = np.random.default_rng(1), []
    for _ in range(600):
        hidden = words.hide(inputs, rng)
        given, labels = words.replace(inputs["input_ids"], hidden, inputs["word"], rng)
        assert torch.equal(labels[hidden], inputs["input_ids"][hidden]) and (labels[~hidden] == IGNORED).all()
        assert torch.equal(given[~hidden], inputs["input_ids"][~hidden])
        seen.append(torch.stack([given[hidden], labels[hidden]]))
    given, labels = torch.cat(seen, 1)
    masked, kept = given == words.mask_id, given == labels
    assert masked.float().mean() == pytest.approx(0.8, abs=0.03)
    assert kept.float().mean() == pytest.approx(0.1, abs=0.03)
    assert torch.isin(given[~masked & ~kept], words.ordinary).all()


def test_the_loss_is_that_of_transformers_own_masked_language_model(words, inputs):
    words.eval()
    loss, count = words(inputs, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    hidden = words.hide(inputs, rng)
    given, labels = words.replace(inputs["input_ids"], hidden, inputs["word"], rng)
    named = {"input_ids": given, "attention_mask": inputs["mask"].long(), "token_type_ids": inputs["token_type_ids"]}
    reference = float(words.lm(**named, labels=labels).loss.detach())
    assert float(loss.detach()) == pytest.approx(reference, rel=1e-5) and count == int(hidden.sum())
    assert words.lm.get_output_embeddings().weight is words.encoder.embedding_site.weight
    loss.backward()
    assert words.encoder.backbone.encoder.layer[0].attention.self.query.weight.grad.abs().sum() > 0


def test_the_head_of_a_published_masked_language_model_is_taken_over(tiny_config, tiny_tokenizer, tmp_path):
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    own = {k: v for k, v in tiny_config.encoders["text"].architecture.items() if k != "model_type"}
    published = BertForMaskedLM(BertConfig(**own)).eval()
    torch.nn.init.normal_(published.cls.predictions.transform.dense.bias)
    published.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_tokenizer).save_pretrained(tmp_path)
    config = type(tiny_config.encoders["text"])(source=str(tmp_path))
    words = MaskedWords(build_encoder("text", config), source=str(tmp_path)).eval()
    inputs = collate([words.prepare(said("this is great"))]).inputs["text"]
    named = {"input_ids": inputs["input_ids"], "token_type_ids": inputs["token_type_ids"]}
    logits = published(**named, attention_mask=inputs["mask"].long()).logits
    every = torch.ones_like(inputs["mask"])
    ours = words._logits({**named, "attention_mask": inputs["mask"].long()}, every)
    assert torch.allclose(ours, logits.flatten(0, 1), atol=1e-5)
    assert not torch.allclose(F.softmax(ours, -1), torch.full_like(ours, 1 / ours.shape[1]), atol=1e-3)


def test_a_decoder_is_refused_by_its_kind(tiny_tokenizer):
    from emofuse.encoders.config import TextConfig

    shape = {"model_type": "gpt2", "vocab_size": 120, "n_embd": 16, "n_layer": 1, "n_head": 2}
    encoder = build_encoder("text", TextConfig(tokenizer=str(tiny_tokenizer), architecture=shape))
    with pytest.raises(RecipeError, match="no masked language model of kind gpt2"):
        MaskedWords(encoder)


@pytest.mark.parametrize("rates", [{"rate": 0.0}, {"rate": 1.0}, {"rate": 0.3, "lexicon_rate": 0.1}])
def test_rates_that_are_no_shares_are_refused(tiny_config, rates):
    with pytest.raises(RecipeError, match="hidden"):
        MaskedWords(build_encoder("text", tiny_config.encoders["text"]), **rates)
