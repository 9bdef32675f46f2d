"""Dialogues in the layouts of EmoBERTa and TelME: order, marks, room, what is handed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.encoders.config import TextConfig
from emofuse.encoders.dialogue import TOKENS, numbered, speaker_of
from emofuse.encoders.text import TextEncoder
from emofuse.types import Segment, Word


@pytest.fixture(scope="session")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa of random weights with its own byte-level tokenizer, as published folders hold them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

    folder = tmp_path_factory.mktemp("roberta")
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    RobertaTokenizerFast(tokenizer_object=inner, mask_token="<mask>").save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(pieces), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(folder)
    return folder


def segment(
    words: str = "so what", context=("Joey: hi", "Ross: yes: no"), after=("Joey: bye",), speaker="Ross"
) -> Segment:
    parts = words.split()
    timed = tuple(Word(w, float(i), float(i + 1)) for i, w in enumerate(parts))
    return Segment("x", 0.0, float(len(parts)), timed, context=context, after=after, speaker=speaker)


def encoder(folder: Path, **fields) -> TextEncoder:
    values = {"layout": "dialogue", "max_length": 200, "context_turns": 9, "lexicon": True}
    return TextEncoder(TextConfig(source=str(folder), **(values | fields)))


def read(built: TextEncoder, given: Segment) -> str:
    arrays = built.prepare(given)
    assert arrays is not None
    return built.processor.tokenizer.decode(arrays["input_ids"], clean_up_tokenization_spaces=False)


def test_the_utterance_stands_between_markers_in_the_order_of_the_dialogue(tiny_roberta):
    built = encoder(tiny_roberta, future_turns=3)
    assert read(built, segment()) == "<s> Joey: hi Ross: yes: no</s></s> Ross: so what</s></s> Joey: bye</s>"
    assert read(encoder(tiny_roberta), segment()) == "<s> Joey: hi Ross: yes: no</s></s> Ross: so what</s>"
    assert read(encoder(tiny_roberta, context_turns=0), segment()) == "<s> Ross: so what</s>"


def test_a_prompt_ends_in_a_mask_that_is_handed_on(tiny_roberta):
    built = encoder(tiny_roberta, speakers="tokens", prompt=True)
    assert read(built, segment()) == "<s><s1> hi<s2> yes: no<s2> so what</s> Now<s2> feels<mask></s>"
    arrays = built.prepare(segment())
    own = arrays["input_ids"][arrays["own"]]
    mask = built.processor.tokenizer.mask_token_id
    assert own[0] == built.processor.tokenizer.cls_token_id
    assert own[-1] == mask
    assert len(own) == 2 + len("so what")
    assert arrays["word"][arrays["input_ids"] == mask].tolist() == [-1]
    named = encoder(tiny_roberta, prompt=True)
    assert read(named, segment()).endswith("</s> Now Ross feels<mask></s>")
    assert read(named, segment(speaker=None)).endswith("</s> Now the speaker feels<mask></s>")


def test_words_keep_their_pieces_and_times(tiny_roberta):
    built = encoder(tiny_roberta)
    arrays = built.prepare(segment("so what now"))
    text = built.processor.tokenizer.convert_ids_to_tokens(arrays["input_ids"])
    for number, word in enumerate(("so", "Ġwhat", "Ġnow")):
        assert "".join(np.array(text)[arrays["word"] == number]) == word
        assert set(arrays["times"][arrays["word"] == number]) == {number + 0.5}


def test_the_oldest_turns_go_first_and_the_nearest_of_both_sides_stay(tiny_roberta):
    past = tuple(f"A: {'x' * 10}{i}" for i in range(9))
    later = tuple(f"B: {'y' * 10}{i}" for i in range(9))
    given = segment("hey", past, later, "A")
    whole = read(encoder(tiny_roberta, max_length=60), given)
    assert [i for i in range(9) if f"x{i}" in whole] == [6, 7, 8]
    both = read(encoder(tiny_roberta, max_length=60, future_turns=9), given)
    assert [i for i in range(9) if f"x{i}" in both] == [7, 8]
    assert [i for i in range(9) if f"y{i}" in both] == [0]
    for length in (8, 16, 40):
        arrays = encoder(tiny_roberta, max_length=length, prompt=True, speakers="tokens").prepare(given)
        assert len(arrays["input_ids"]) <= length
    long = encoder(tiny_roberta, max_length=20).prepare(segment("w" * 50, (), (), "A"))
    assert len(long["input_ids"]) == 20 and long["own"].sum() > 1


def test_speakers_beyond_the_ninth_share_a_token_and_unknown_ones_have_none(tiny_roberta):
    built = encoder(tiny_roberta, speakers="tokens", context_turns=20)
    many = segment("now", tuple(f"P{i}: a" for i in range(11)), (), "P10")
    assert read(built, many).count("<s9>") == 4
    assert read(built, segment("now", ("no name here",), (), None)) == "<s> no name here</s></s> now</s>"
    assert (speaker_of("A: b: c"), speaker_of("nothing")) == ("A", None)
    assert numbered(["A", None, "B", "A"]) == {"A": 0, "B": 1}


def test_a_checkpoint_knows_the_speakers_tokens_again(tiny_roberta, tmp_path):
    from emofuse.batch import collate
    from emofuse.model.config import ModelConfig
    from emofuse.model.model import EmotionModel

    text = {"source": str(tiny_roberta), "layout": "dialogue", "speakers": "tokens", "prompt": True, "future_turns": 2}
    config = {"tasks": ["emotion"], "encoders": {"text": text}, "fusion": {"dim": 16, "heads": 2}}
    model = EmotionModel(ModelConfig.model_validate(config)).eval()
    assert model.encoder("text").backbone.get_input_embeddings().weight.shape[0] == 261 + len(TOKENS)
    again = EmotionModel.from_pretrained(model.save_pretrained(tmp_path / "model"))
    one, two = (collate([m.prepare(segment())]) for m in (model, again))
    assert one.inputs["text"]["input_ids"].tolist() == two.inputs["text"]["input_ids"].tolist()
    assert np.allclose(model.predict(one).tasks["emotion"], again.predict(two).tasks["emotion"], atol=1e-6)
    assert again.reads == "the whole dialogue: at most 5 earlier and 2 later turns"


def test_lean_and_library_tokenizers_lay_a_dialogue_out_alike(tiny_tokenizer, tmp_path):
    from emofuse.encoders import hf

    config = TextConfig(architecture={}, layout="dialogue", context_turns=3, future_turns=1, prompt=True)
    from emofuse.encoders.processors.text import TextProcessor

    given = segment("i am so happy!", ("A: this is great", "B: not so great"), ("A: terrible",), "B")
    found = [TextProcessor(config, hf.tokenizer(tiny_tokenizer, lean=lean))(given) for lean in (False, True)]
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize("field", [{"future_turns": 1}, {"prompt": True}, {"speakers": "tokens"}])
def test_what_belongs_to_dialogues_is_refused_without_one(field):
    with pytest.raises(ValueError, match="are of layout: dialogue"):
        TextConfig(source="owner/name", **field)
