"""Filter banks against an independent implementation of the same published definitions."""

from __future__ import annotations

import pytest
import torch
import torchaudio

from emofuse.encoders.filterbanks import kaldi_log_mel, slaney_triangles


@pytest.mark.parametrize("samples", [400, 559, 560, 1600, 16_000, 50_001])
def test_kaldi_log_mel(samples: int):
    torch.manual_seed(samples)
    sound = torch.randn(samples) * torch.linspace(0, 3000, samples)
    expected = torchaudio.compliance.kaldi.fbank(
        sound[None], num_mel_bins=80, sample_frequency=16_000, dither=0.0, window_type="povey"
    )
    found = kaldi_log_mel(sound, rate=16_000, window=400, hop=160, bins=80)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def test_silence_and_what_is_shorter_than_a_window():
    silence = kaldi_log_mel(torch.zeros(1600), rate=16_000, window=400, hop=160, bins=80)
    assert silence.shape == (8, 80) and torch.isfinite(silence).all()
    assert kaldi_log_mel(torch.zeros(399), rate=16_000, window=400, hop=160, bins=80).shape == (0, 80)


@pytest.mark.parametrize("bins", [40, 80, 128])
def test_slaney_triangles(bins: int):
    expected = torchaudio.functional.melscale_fbanks(201, 0.0, 8000.0, bins, 16_000, norm="slaney", mel_scale="slaney")
    torch.testing.assert_close(slaney_triangles(201, bins, 16_000), expected, atol=2e-6, rtol=1e-4)
