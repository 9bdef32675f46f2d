"""Filter banks against an independent implementation of the same published definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio

from emofuse.encoders.filterbanks import Bank, kaldi_log_mel, slaney_triangles


@pytest.mark.parametrize("samples", [400, 559, 560, 1600, 16_000, 50_001])
def test_kaldi_log_mel(samples: int):
    torch.manual_seed(samples)
    sound = torch.randn(samples) * torch.linspace(0, 3000, samples)
    expected = torchaudio.compliance.kaldi.fbank(
        sound[None].double(), num_mel_bins=80, sample_frequency=16_000, dither=0.0, window_type="povey"
    )
    found = kaldi_log_mel(sound.numpy(), rate=16_000, window=400, hop=160, bins=80)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=3e-4, rtol=3e-5)  # its triangles have 32 bits


def test_silence_and_what_is_shorter_than_a_window():
    silence = kaldi_log_mel(np.zeros(1600, np.float32), rate=16_000, window=400, hop=160, bins=80)
    assert silence.shape == (8, 80) and np.isfinite(silence).all()
    assert kaldi_log_mel(np.zeros(399, np.float32), rate=16_000, window=400, hop=160, bins=80).shape == (0, 80)


@pytest.mark.parametrize("bins", [40, 80, 128])
def test_slaney_triangles(bins: int):
    expected = torchaudio.functional.melscale_fbanks(201, 0.0, 8000.0, bins, 16_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(slaney_triangles(201, bins, 16_000), expected, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("bins", [40, 128])
def test_a_bank_is_the_product_with_its_filters(bins: int):
    filters = slaney_triangles(201, bins, 16_000).T.copy()
    filters[bins // 2] = 0  # one that lets nothing through, as narrow ones may
    spectrum = np.random.default_rng(0).random((50, 201), np.float32)
    found = Bank(filters)(spectrum)
    assert found.dtype == np.float32 and not found[:, bins // 2].any()
    np.testing.assert_allclose(found, spectrum @ filters.T, rtol=1e-5, atol=1e-9)
