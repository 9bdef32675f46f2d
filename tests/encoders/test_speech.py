"""The speech encoder: the four families from hub folders, padding, seconds, mel parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from emofuse.batch import collate
from emofuse.encoders.config import SpeechConfig
from emofuse.encoders.mel import log_mel, stack_frames, whisper_log_mel
from emofuse.encoders.processors.speech import sounding
from emofuse.encoders.speech import SpeechEncoder
from emofuse.errors import CheckpointError
from emofuse.prepared import PreparedSample
from emofuse.types import Segment

SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
FRONT = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
WHISPER = {
    "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "num_mel_bins": 80,
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "vocab_size": 60, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
FAMILIES = {
    "wav2vec2-group": (Wav2Vec2Model, Wav2Vec2Config(**SHAPE, **FRONT, feat_extract_norm="group")),
    "wav2vec2-layer": (
        Wav2Vec2Model,
        Wav2Vec2Config(**SHAPE, **FRONT, feat_extract_norm="layer", do_stable_layer_norm=True),
    ),
    "hubert": (HubertModel, HubertConfig(**SHAPE, **FRONT)),
    "wavlm": (WavLMModel, WavLMConfig(**SHAPE, **FRONT)),
    "wav2vec2-bert": (Wav2Vec2BertModel, Wav2Vec2BertConfig(**SHAPE, position_embeddings_type="relative_key")),
    "whisper": (WhisperForConditionalGeneration, WhisperConfig(**WHISPER)),
    "data2vec": (
        Data2VecAudioModel,
        Data2VecAudioConfig(**SHAPE, **FRONT | {"num_conv_pos_embeddings": 5, "conv_pos_kernel_size": 9}),
    ),
}
EXTRACTORS = {"wav2vec2-bert": SeamlessM4TFeatureExtractor, "whisper": WhisperFeatureExtractor}


def tone(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(int(seconds * 16_000))).astype(np.float32)


def segment(waveform: np.ndarray) -> Segment:
    return Segment("x", 5.0, 5.0 + len(waveform) / 16_000, waveform=waveform)


@pytest.fixture(params=FAMILIES, scope="module")
def folder(request, tmp_path_factory):
    """A tiny model of the family in the published format."""
    cls, config = FAMILIES[request.param]
    path = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    cls(config).save_pretrained(path)
    extractor = EXTRACTORS.get(request.param, Wav2Vec2FeatureExtractor)()
    extractor.save_pretrained(path)
    return path


def encode(encoder: SpeechEncoder, *waveforms: np.ndarray):
    batch = collate([PreparedSample({"speech": encoder.prepare(segment(w))}) for w in waveforms])
    with torch.no_grad():
        return encoder(batch.inputs["speech"])


# WavLM hands torch a boolean and a float mask at once, which torch has begun to deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")


@pytest.mark.parametrize("layers", [{}, {"layer_sum": True}, {"last_layers": 2}])
def test_every_family_scores_a_row_the_same_alone_and_in_a_batch(folder, layers):
    encoder = SpeechEncoder(SpeechConfig(source=str(folder), **layers)).eval()
    waveforms = [tone(0.3), tone(1.1, 1), tone(0.05, 2)]
    together = encode(encoder, *waveforms)
    for i, waveform in enumerate(waveforms):
        alone = encode(encoder, waveform)
        assert alone.mask.all()
        frames = alone.mask.shape[1]
        assert together.mask[i].sum() == frames
        torch.testing.assert_close(together.states[i, :frames], alone.states[0], atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(together.times[i, :frames], alone.times[0])
        assert alone.states.shape[2] == encoder.dim


def test_weights_of_the_hub_folder_are_used_and_describe_themselves(folder):
    one, other = (SpeechEncoder(SpeechConfig(source=str(folder))).eval() for _ in range(2))
    torch.testing.assert_close(encode(one, tone(0.5)).states, encode(other, tone(0.5)).states)
    rebuilt = SpeechEncoder(one.config, checkpoint=folder).eval()
    rebuilt.load_state_dict(one.state_dict())
    torch.testing.assert_close(encode(one, tone(0.5)).states, encode(rebuilt, tone(0.5)).states)


def test_without_the_masked_norm_padding_would_leak(folder):
    encoder = SpeechEncoder(SpeechConfig(source=str(folder))).eval()
    if encoder.group_norm[0] is None:
        pytest.skip("no group norm in this family")
    inputs = collate([PreparedSample({"speech": encoder.prepare(segment(tone(s)))}) for s in (0.3, 1.5)]).inputs[
        "speech"
    ]
    with torch.no_grad():
        masked = encoder(inputs).states[0, :10]
        encoder.group_norm[0].lengths = None
        encoder.group_norm[0].forward = lambda x: torch.nn.GroupNorm.forward(encoder.group_norm[0], x)
        leaking = encoder(inputs).states[0, :10]
    assert (masked - leaking).abs().max() > 1e-3


def test_seconds_follow_the_sound(folder):
    encoder = SpeechEncoder(SpeechConfig(source=str(folder))).eval()
    tokens = encode(encoder, tone(2.0))
    assert 0 <= tokens.times[0, 0] < 0.03 and 1.9 < tokens.times[0, -1] < 2.01
    silence = np.zeros(16_000, np.float32)
    late = encode(encoder, np.concatenate([silence, tone(1.0), silence]))
    assert 0.85 < late.times[0, 0] < 1.0 and late.times[0, -1] < 2.2


def test_what_is_said_does_not_depend_on_how_the_clip_was_cut():
    encoder = SpeechEncoder(SpeechConfig(architecture={"model_type": "wav2vec2-bert", **SHAPE})).eval()
    silence, voice = np.zeros(4_800, np.float32), tone(1.0)
    one, other = (encode(encoder, np.concatenate([np.resize(silence, n), voice, silence])) for n in (4_800, 16_000))
    torch.testing.assert_close(one.states, other.states, atol=1e-4, rtol=1e-3)
    assert other.times[0, 0] - one.times[0, 0] == pytest.approx(0.7, abs=1e-4)


def test_mel_is_that_of_the_published_extractor():
    waveform = tone(1.3)
    ours = stack_frames(log_mel(waveform), 2, normalize=True)
    theirs = SeamlessM4TFeatureExtractor()(waveform, sampling_rate=16_000, return_tensors="np")["input_features"][0]
    np.testing.assert_allclose(ours, theirs[: len(ours)], atol=5e-4)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_stride_sets_the_rate_of_tokens(stride):
    shape = {"model_type": "wav2vec2-bert", "feature_projection_input_dim": 80 * stride, **SHAPE}
    tokens = encode(SpeechEncoder(SpeechConfig(architecture=shape)).eval(), tone(1.0))
    assert tokens.states.shape[1] == 98 // stride
    assert float(tokens.times[0, 1] - tokens.times[0, 0]) == pytest.approx(0.01 * stride, abs=1e-5)


STEM = {"stem": (4, 6, 8), "architecture": {"model_type": "wav2vec2-bert", "feature_projection_input_dim": 80} | SHAPE}


def test_a_stem_keeps_tilt_and_dynamics_but_not_gain():
    encoder = SpeechEncoder(SpeechConfig(**STEM))
    waveforms = [tone(0.63, 3), tone(1.1, 1)]
    for _ in range(3):
        encode(encoder, *waveforms)
    encoder.eval()
    together = encode(encoder, *waveforms)
    alone = encode(encoder, waveforms[0])
    frames = alone.mask.shape[1]
    assert together.mask[0].sum() == frames
    torch.testing.assert_close(together.states[0, :frames], alone.states[0], atol=2e-5, rtol=1e-4)
    louder = encode(encoder, waveforms[0] * 3)
    torch.testing.assert_close(louder.states, alone.states, atol=2e-3, rtol=1e-2)
    darker = np.convolve(waveforms[0], np.full(8, 1 / 8, np.float32), "same")
    assert (encode(encoder, darker).states - alone.states).abs().max() > 0.05
    assert float(alone.times[0, 1] - alone.times[0, 0]) == pytest.approx(0.04, abs=1e-5)
    assert encoder.input_hop == pytest.approx(0.01)


def test_a_stem_must_fit_the_backbone():
    with pytest.raises(ValueError, match="makes 80 features"):
        SpeechEncoder(
            SpeechConfig(stem=STEM["stem"], architecture=STEM["architecture"] | {"feature_projection_input_dim": 90})
        )
    with pytest.raises(ValueError, match="from scratch"):
        SpeechConfig(source="facebook/wav2vec2-base", stem=(4, 6))
    with pytest.raises(ValueError, match="at least 2 stages"):
        SpeechEncoder(SpeechConfig(stem=(4,), architecture=STEM["architecture"]))


def test_silence_and_nothing():
    encoder = SpeechEncoder(SpeechConfig(architecture={"model_type": "wav2vec2-bert", **SHAPE})).eval()
    assert encoder.prepare(Segment("x", 0, 1)) is None
    assert encoder.prepare(segment(np.zeros(0, np.float32))) is None
    assert torch.isfinite(encode(encoder, np.zeros(8_000, np.float32)).states).all()
    assert torch.isfinite(encode(encoder, tone(0.001)).states).all()
    assert sounding(np.zeros(100, np.float32)) == (0, 100)


def whisper(**options) -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(SpeechConfig(architecture={"model_type": "whisper", **WHISPER}, **options)).eval()


def test_whisper_of_half_a_minute_is_the_published_encoder(tmp_path):
    torch.manual_seed(0)
    published = WhisperForConditionalGeneration(WhisperConfig(**WHISPER)).eval()
    published.save_pretrained(tmp_path)
    WhisperFeatureExtractor().save_pretrained(tmp_path)
    encoder = SpeechEncoder(SpeechConfig(source=str(tmp_path), trim=False)).eval()
    waveform = tone(30.0)
    features = WhisperFeatureExtractor()(waveform, sampling_rate=16_000, return_tensors="pt")["input_features"]
    with torch.no_grad():
        expected = published.model.encoder(features).last_hidden_state
    torch.testing.assert_close(encode(encoder, waveform).states, expected, atol=1e-4, rtol=1e-3)


def test_whisper_mel_is_that_of_the_published_extractor_at_any_gain():
    waveform = tone(30.0)
    theirs = WhisperFeatureExtractor()(waveform, sampling_rate=16_000, return_tensors="np")["input_features"][0]
    np.testing.assert_allclose(whisper_log_mel(waveform, 80, level=False), theirs.T, atol=1e-4)
    quiet, loud = (whisper_log_mel(waveform[:8_000] * gain, 80, level=True) for gain in (0.01, 2.0))
    np.testing.assert_allclose(quiet, loud, atol=1e-4)
    assert loud.max() == pytest.approx((1.5 + 4) / 4)


def test_whisper_mel_is_the_same_whatever_the_process_s_default_type():
    expected = whisper_log_mel(tone(2.0), 80, level=True)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = whisper_log_mel(tone(2.0), 80, level=True)
    finally:
        torch.set_default_dtype(before)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_whisper_takes_more_than_half_a_minute():
    encoder = whisper(normalize=True)
    long = encode(encoder, tone(31.0))
    assert long.states.shape[1] == 1550 and torch.isfinite(long.states).all()
    assert long.times[0, -1] == pytest.approx(30.98, abs=1e-3)


def test_whisper_describes_its_encoder_and_no_more():
    architecture = whisper(layer_sum=True).config.architecture
    assert architecture["encoder_layers"] == 2 and not any(key.startswith("decoder") for key in architecture)


def test_layers_are_summed_or_set_side_by_side_not_both():
    with pytest.raises(ValueError, match="choose one"):
        whisper(layer_sum=True, last_layers=2)


def test_a_folder_that_does_not_say_whether_sound_is_normalised_is_asked_about(folder):
    (folder / "preprocessor_config.json").rename(folder / "kept.json")
    try:
        with pytest.raises(CheckpointError, match=r"holds no preprocessor_config\.json.*normalize to true"):
            SpeechEncoder(SpeechConfig(source=str(folder)))
        assert SpeechEncoder(SpeechConfig(source=str(folder), normalize=False)).config.normalize is False
    finally:
        (folder / "kept.json").rename(folder / "preprocessor_config.json")


def test_sound_past_the_longest_is_left_out_and_told():
    speech = SpeechConfig(architecture={"model_type": "wav2vec2-bert", **SHAPE}, max_seconds=1.5)
    encoder = SpeechEncoder(speech).eval()
    long = tone(4.0)
    arrays, cut = encoder.prepare(segment(long)), encoder.prepare(segment(long[:24_000]))
    np.testing.assert_array_equal(arrays["values"], cut["values"])
    assert encoder.left_out(segment(long)) == pytest.approx(2.5)
    assert encoder.left_out(segment(long[:24_000])) == 0
    quiet = np.concatenate([tone(1.0), np.zeros(32_000, np.float32)])
    assert encoder.left_out(segment(quiet)) == 0 and encoder.left_out(Segment("x", 0, 1)) == 0
