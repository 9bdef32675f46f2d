"""Decoders as text encoders: order of a dialogue, the last piece, padding on either side, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.encoders import hf
from emofuse.encoders.config import TextConfig
from emofuse.encoders.decoder import is_decoder, positions, with_padding
from emofuse.encoders.text import TextEncoder
from emofuse.errors import RecipeError
from emofuse.model.config import ModelConfig
from emofuse.model.model import EmotionModel
from emofuse.types import Segment, Word

KINDS = ("gpt2", "opt", "llama", "qwen2", "qwen3", "gemma2", "gemma3_text")


def segment(words="so what", context=("Joey: hi", "Ross: yes: no"), speaker="Ross", after=()) -> Segment:
    parts = words.split()
    timed = tuple(Word(w, float(i), float(i + 1)) for i, w in enumerate(parts))
    return Segment("x", 0.0, float(len(parts)), timed, context=context, after=after, speaker=speaker)


def encoder(folder, **fields) -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(TextConfig(source=str(folder), **({"max_length": 64, "context_turns": 9} | fields))).eval()


def model(folder, **fields) -> EmotionModel:
    text = {"source": str(folder), "max_length": 64, "layout": "dialogue"} | fields
    values = {"tasks": ["emotion", "valence"], "encoders": {"text": text}, "fusion": {"dim": 16, "heads": 2}}
    torch.manual_seed(0)
    built = EmotionModel(ModelConfig.model_validate(values)).eval()
    for head in (*built.heads.values(), *built.modality_heads["text"].tasks.values()):
        torch.nn.init.normal_(head.linear.weight, std=0.5)
    return built


def read(built: TextEncoder, given: Segment) -> str:
    return built.processor.tokenizer.decode(built.prepare(given)["input_ids"], clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_pools_the_last_piece_of_a_dialogue_in_its_order(decoder_folder, kind):
    built = encoder(decoder_folder(kind))
    assert is_decoder(built.backbone)
    assert (built.config.layout, built.config.pool) == ("dialogue", "last")
    start = "<s>" if kind == "llama" else ""
    assert read(built, segment()) == f"{start} Joey: hi\n Ross: yes: no\n Ross: so what"
    arrays = built.prepare(segment())
    assert arrays["own"].nonzero()[0].tolist() == (arrays["word"] >= 0).nonzero()[0].tolist()
    assert arrays["own"][-1] and arrays["word"][-1] == 1
    assert built.dim == built(collate_one(built, segment())).states.shape[-1]


def collate_one(built: TextEncoder, *given: Segment):
    from emofuse.prepared import PreparedSample

    return collate([PreparedSample({"text": built.prepare(s)}) for s in given]).inputs["text"]


def test_an_encoder_stays_as_it_was(tiny_tokenizer):
    bert = {"model_type": "bert", "vocab_size": 120, "hidden_size": 16, "num_attention_heads": 2}
    bert |= {"num_hidden_layers": 1, "intermediate_size": 16}
    built = TextEncoder(TextConfig(tokenizer=str(tiny_tokenizer), architecture=bert))
    assert not is_decoder(built.backbone) and not built.places
    assert (built.config.layout, built.config.pool) == ("pair", "attention")
    assert not is_decoder(
        hf.backbone({"model_type": "xlnet", "n_layer": 1, "d_model": 8, "n_head": 2, "vocab_size": 9})
    )
    bloom = {"model_type": "bloom", "n_layer": 1, "hidden_size": 8, "n_head": 2, "vocab_size": 9}
    assert is_decoder(hf.backbone(bloom))


@pytest.mark.parametrize(("kind", "pool"), [*((kind, None) for kind in KINDS), ("gpt2", "mean")])
def test_a_row_answers_alone_as_in_a_batch_padded_on_either_side(decoder_folder, kind, pool):
    built = model(decoder_folder(kind), pool=pool)
    given = [segment("so"), segment("i am so happy! this is great", (), None), segment("sad", ("A: hi",), "B")]
    samples = [built.prepare(s) for s in given]
    right = collate(samples)
    expected = built(right).logits["emotion"]
    for i, sample in enumerate(samples):
        assert torch.allclose(built(collate([sample])).logits["emotion"][0], expected[i], atol=1e-5)
    inputs = right.inputs["text"]
    shift = (inputs["mask"].shape[1] - inputs["mask"].sum(1)).tolist()
    left = {k: torch.stack([row.roll(n, 0) for row, n in zip(v, shift, strict=True)]) for k, v in inputs.items()}
    right.inputs["text"] = left
    assert left["mask"][:, -1].all() and not left["mask"][:, 0].all()
    assert torch.allclose(built(right).logits["emotion"], expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", [False, True])
def test_what_is_pooled_has_seen_every_piece_and_what_is_handed_on_nothing_later(decoder_folder, kind, prompt):
    built = encoder(decoder_folder(kind), layout="dialogue", prompt=prompt)
    inputs = collate_one(built, segment())
    pieces = built.embed(inputs["input_ids"]).detach().requires_grad_()
    tokens = built({**inputs, "inputs_embeds": pieces})
    assert tokens.mask[0, -1]
    tokens.states[0, -1].square().sum().backward()
    assert (pieces.grad[0].abs().amax(-1) > 0).all()
    pieces.grad = None
    place = int(tokens.mask[0].nonzero()[0])
    built({**inputs, "inputs_embeds": pieces}).states[0, place].square().sum().backward()
    reached = pieces.grad[0].abs().amax(-1) > 0
    assert reached[: place + 1].all() and not reached[place + 1 :].any()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_prompt_ends_the_text_where_there_is_no_mask(decoder_folder, kind):
    built = encoder(decoder_folder(kind), layout="dialogue", prompt=True)
    assert read(built, segment("so what", (), None)).endswith("so what\n Now the speaker feels")
    arrays = built.prepare(segment())
    assert arrays["own"][-1] and arrays["word"][-1] == -1
    assert arrays["own"].sum() == (arrays["word"] >= 0).sum() + 1
    marked = encoder(decoder_folder(kind), layout="dialogue", prompt=True, speakers="tokens")
    assert "<s2>" in read(marked, segment()) and read(marked, segment()).endswith("feels")


def test_a_marker_that_a_tokenizer_puts_at_the_end_is_what_is_pooled(decoder_folder, tmp_path):
    from tokenizers import processors
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(decoder_folder("qwen2"))
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        "$A <|endoftext|>", "$A $B", [("<|endoftext|>", 0)]
    )
    tokenizer.save_pretrained(tmp_path)
    AutoModel.from_pretrained(decoder_folder("qwen2")).save_pretrained(tmp_path)
    arrays = encoder(tmp_path).prepare(segment())
    assert arrays["input_ids"][-1] == 0 and arrays["own"][-1] and arrays["word"][-1] == -1


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_the_oldest_turns_go_first_up_to_the_length_of_the_model(decoder_folder, kind):
    built = encoder(decoder_folder(kind), context_turns=100)
    given = segment("so what", tuple(f"A: {'x' * 6}{i}" for i in range(10)))
    text = read(built, given)
    kept = [i for i in range(10) if f"x{i}" in text]
    assert kept == list(range(kept[0], 10)) and 0 < kept[0] < 9
    assert len(built.prepare(given)["input_ids"]) <= 64
    assert text.endswith("so what")
    assert built(collate_one(built, given)).states.isfinite().all()
    long = built.prepare(segment("happy " * 90))
    assert len(long["input_ids"]) == 64 and long["own"].any()


def test_a_padding_piece_is_found_and_kept_with_the_checkpoint(decoder_folder, tmp_path):
    built = model(decoder_folder("gpt2"))
    tokenizer = built.encoder("text").processor.tokenizer
    assert tokenizer.pad_token == "<|endoftext|>"
    again = EmotionModel.from_pretrained(built.save_pretrained(tmp_path / "model"))
    kept = again.encoder("text").processor.tokenizer
    assert kept.pad_token == "<|endoftext|>"
    baseline = again.encoder("text").baseline(collate_one(again.encoder("text"), segment()))["inputs_embeds"]
    assert torch.equal(baseline, again.encoder("text").embed(torch.zeros(baseline.shape[:2], dtype=torch.long)))
    tokenizer.pad_token = None
    tokenizer.eos_token = None
    with_padding(tokenizer)
    assert tokenizer.pad_token == tokenizer.bos_token


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_answers_as_the_model_that_wrote_it(decoder_folder, kind, tmp_path):
    built = model(decoder_folder(kind), layout="dialogue", prompt=True, speakers="tokens")
    again = EmotionModel.from_pretrained(built.save_pretrained(tmp_path / "model"), lean=True)
    one, two = (m.predict(collate([m.prepare(segment())])).tasks["emotion"] for m in (built, again))
    assert np.allclose(one, two, atol=1e-6)
    assert again.encoder("text").reading() == built.encoder("text").reading()


def test_weights_are_read_in_full_precision_whatever_a_folder_holds(decoder_folder, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    AutoTokenizer.from_pretrained(decoder_folder("qwen2")).save_pretrained(tmp_path)
    AutoModel.from_pretrained(decoder_folder("qwen2")).bfloat16().save_pretrained(tmp_path)
    built = model(tmp_path)
    assert {p.dtype for p in built.parameters()} == {torch.float32}
    torch.nn.init.normal_(built.encoder("text").backbone.norm.weight)
    again = EmotionModel.from_pretrained(built.save_pretrained(tmp_path / "model"))
    assert torch.equal(again.encoder("text").backbone.norm.weight, built.encoder("text").backbone.norm.weight)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"layout": "dialogue", "future_turns": 2}, "reads from left to right.*set it to 0"),
        ({"max_length": 65}, "has 64 positions; set it to 64 at most"),
    ],
)
def test_what_a_decoder_cannot_do_is_refused(decoder_folder, fields, said):
    with pytest.raises(RecipeError, match=said):
        encoder(decoder_folder("gpt2"), **fields)


def test_a_model_of_pictures_and_words_is_refused_by_name(decoder_folder, tiny_tokenizer):
    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    vision = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    shape = {"model_type": "gemma3", "text_config": text, "vision_config": vision | {"image_size": 28}}
    with pytest.raises(RecipeError, match="reads more than words"):
        TextEncoder(TextConfig(tokenizer=str(tiny_tokenizer), architecture=shape))


def test_positions_are_counted_among_real_pieces():
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0]]).bool()
    assert positions(mask).tolist() == [[0, 0, 0, 1], [0, 1, 1, 1]]
