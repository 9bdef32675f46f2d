"""Log-mel input of wav2vec2-BERT: Kaldi features, normalised, two frames stacked."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emofuse.encoders.filterbanks import kaldi_log_mel, power, slaney
from emofuse.types import SAMPLE_RATE

MEL_BINS = 80
HOP = 160  # samples: 10 ms
WINDOW = 400  # samples: 25 ms


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """float32 [frames, 80]: Kaldi filterbank energies of a 16 kHz waveform in [-1, 1], at 10 ms.

    The same numbers as transformers' SeamlessM4TFeatureExtractor, without its loop over frames.
    """
    scaled = np.asarray(waveform, np.float32) * 2**15
    return kaldi_log_mel(scaled, rate=SAMPLE_RATE, window=WINDOW, hop=HOP, bins=MEL_BINS)


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
    padded = np.pad(np.asarray(waveform, np.float32), WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: len(waveform) // HOP * HOP : HOP]
    energy = slaney(WINDOW // 2 + 1, bins, SAMPLE_RATE)(power(frames * _hann(), WINDOW))
    decades = np.log10(np.maximum(energy, 1e-10))
    loudest = decades.max()
    decades = np.maximum(decades, loudest - DYNAMICS)
    if level:
        decades = decades - loudest + LOUDEST
    return ((decades + 4) / 4).astype(np.float32)


@lru_cache(maxsize=1)
def _hann() -> np.ndarray:
    """float32 [WINDOW]: Hann's window, of which the next period would begin with a zero."""
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)
