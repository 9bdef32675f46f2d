"""Masked spectrograms: patches are hidden from log-mel and from waveforms alike, and padding teaches nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.encoders.config import SpeechConfig
from emofuse.encoders.registry import build_encoder
from emofuse.training.pretraining.spectrogram import PATCH_BINS, PATCH_FRAMES, MaskedSpectrogram, standardised

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
CONFORMER = SMALL | {"model_type": "wav2vec2-bert", "conv_depthwise_kernel_size": 7, "layerdrop": 0.0}
CONFORMER |= {"position_embeddings_type": "rotary"}
WHISPER = {"model_type": "whisper", "d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2}
WHISPER |= {"encoder_ffn_dim": 32, "num_mel_bins": 80, "max_source_positions": 1500}
WAV2VEC2 = SMALL | {"model_type": "wav2vec2", "conv_dim": [8] * 7, "num_conv_pos_embeddings": 8}
WAV2VEC2 |= {"num_conv_pos_embedding_groups": 2, "feat_extract_norm": "layer", "layerdrop": 0.0}
KINDS = {
    "stacked": ({"architecture": CONFORMER | {"feature_projection_input_dim": 160}}, 2),
    "stem": ({"architecture": CONFORMER | {"feature_projection_input_dim": 160}, "stem": [4, 4, 16]}, 4),
    "whisper": ({"architecture": WHISPER}, 2),
    "waveform": ({"architecture": WAV2VEC2}, 2),
}


@pytest.fixture(params=KINDS)
def kind(request, make_segment):
    config, span = KINDS[request.param]
    torch.manual_seed(0)
    objective = MaskedSpectrogram(build_encoder("speech", SpeechConfig(**config))).eval()
    inputs = collate([objective.prepare(make_segment(i)) for i in range(3)]).inputs["speech"]
    return objective, inputs, span


def test_a_token_says_the_frames_it_spans_and_the_encoder_learns(kind):
    objective, inputs, span = kind
    assert objective.span == span
    loss, count = objective(inputs, np.random.default_rng(0))
    _, real = objective.log_mel(inputs)
    hidden = objective.hide(real, np.random.default_rng(0))
    assert 0.7 * int(hidden.sum()) < count <= int(hidden.sum())
    assert 0.5 < float(loss.detach()) < 3
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in objective.encoder.backbone.parameters())


def test_padding_changes_neither_masks_nor_targets(kind, make_segment):
    objective, inputs, _ = kind
    mel, real = objective.log_mel(inputs)
    alone = collate([objective.prepare(make_segment(0))]).inputs["speech"]
    own, there = objective.log_mel(alone)
    n = int(there.sum())
    assert int(real[0].sum()) == n
    ours, theirs = standardised(own, there)[0, :n], standardised(mel, real)[0, :n]
    assert torch.allclose(ours, theirs, atol=1e-3)
    hidden = objective.hide(real, np.random.default_rng(0))
    assert not hidden[~real].any() and hidden.flatten(1).any(1).all()


def test_what_is_hidden_is_gone_and_the_rest_is_as_it_was(kind):
    objective, inputs, _ = kind
    mel, real = objective.log_mel(inputs)
    hidden = torch.zeros_like(mel, dtype=torch.bool)
    hidden[:, PATCH_FRAMES : 2 * PATCH_FRAMES, 2 * PATCH_BINS : 4 * PATCH_BINS] = True
    hidden &= real[..., None]
    masked, _ = objective.log_mel({**inputs, "values": objective.masked(inputs, mel, hidden)})
    inner = torch.zeros_like(hidden)
    inner[:, PATCH_FRAMES + 4 : 2 * PATCH_FRAMES - 4, 2 * PATCH_BINS + 2 : 4 * PATCH_BINS - 2] = True
    inner &= hidden
    outer = real[..., None] & ~hidden
    outer[:, PATCH_FRAMES - 4 : 2 * PATCH_FRAMES + 4] = False
    if inputs["values"].ndim == 2:
        assert (mel - masked)[inner].median() > 3  # nepers of power
        assert (mel - masked)[outer].abs().max() < 0.05
    else:
        assert not torch.allclose(masked[inner], mel[inner])
        assert torch.equal(masked[outer], mel[outer])


def test_the_first_patch_goes_where_chance_hides_none(kind):
    objective, _, _ = kind
    objective.share = 1e-9
    hidden = objective.hide(torch.ones(2, 40, dtype=torch.bool), np.random.default_rng(0))
    assert hidden[:, :PATCH_FRAMES, :PATCH_BINS].all() and int(hidden.sum()) == 2 * PATCH_FRAMES * PATCH_BINS
