"""Log-mel input of wav2vec2-BERT: Kaldi features, normalised, two frames stacked."""

from __future__ import annotations

import numpy as np
import torch

from emofuse.encoders.filterbanks import kaldi_log_mel, slaney_triangles
from emofuse.types import SAMPLE_RATE

MEL_BINS = 80
HOP = 160  # samples: 10 ms
WINDOW = 400  # samples: 25 ms


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """float32 [frames, 80]: Kaldi filterbank energies of a 16 kHz waveform in [-1, 1], at 10 ms.

    The same numbers as transformers' SeamlessM4TFeatureExtractor, without its loop over frames.
    """
    scaled = torch.from_numpy(np.ascontiguousarray(waveform, np.float32)) * 2**15
    return kaldi_log_mel(scaled, rate=SAMPLE_RATE, window=WINDOW, hop=HOP, bins=MEL_BINS).numpy()


def stack_frames(mel: np.ndarray, stride: int, normalize: bool) -> np.ndarray:
    """float32 [frames // stride, 80 * stride]: each bin at zero mean and unit variance over time, frames stacked."""
    if normalize:
        mel = (mel - mel.mean(0)) / np.sqrt(mel.var(0, ddof=1 if len(mel) > 1 else 0) + 1e-7)
    frames = len(mel) // stride * stride
    return mel[:frames].reshape(-1, MEL_BINS * stride).astype(np.float32)


def levelled(mel: np.ndarray) -> np.ndarray:
    """float32 [frames, 80]: the mean over all of the utterance taken away, in units of 4 nepers of power."""
    return ((mel - mel.mean()) / 4).astype(np.float32)


DYNAMICS = 8.0
"""Decades of power below the loudest bin at which Whisper's log-mel is cut off."""
LOUDEST = 1.5
"""Decades of power of the loudest bin of normal speech near full scale."""


def whisper_log_mel(waveform: np.ndarray, bins: int, level: bool) -> np.ndarray:
    """float32 [samples // 160, bins]: Whisper's log-mel of the waveform alone, without its silence up to 30 s.

    The same numbers as transformers' WhisperFeatureExtractor of sound that is 30 s long. With `level` the loudest bin
    is brought to LOUDEST, so that a recording's gain does not matter.
    """
    window = torch.hann_window(WINDOW, dtype=torch.float32)
    sound = torch.from_numpy(np.ascontiguousarray(waveform, np.float32))
    spectrum = torch.stft(sound, WINDOW, HOP, window=window, return_complex=True)
    power = spectrum[:, :-1].abs().square().T @ slaney_triangles(WINDOW // 2 + 1, bins, SAMPLE_RATE)
    decades = power.clamp(min=1e-10).log10()
    loudest = decades.max()
    decades = decades.clamp(min=loudest - DYNAMICS)
    if level:
        decades = decades - loudest + LOUDEST
    return ((decades + 4) / 4).numpy()
