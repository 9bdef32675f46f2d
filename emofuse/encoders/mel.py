"""wav2vec2-BERT's input: Kaldi log-mel features, normalised, two frames stacked."""

from __future__ import annotations

import numpy as np
import torch
import torchaudio

from emofuse.types import SAMPLE_RATE

MEL_BINS = 80
HOP = 160  # samples: 10 ms
WINDOW = 400  # samples: 25 ms


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """float32 [frames, 80]: Kaldi filterbank energies of a 16 kHz waveform in [-1, 1], at 10 ms.

    The same numbers as transformers' SeamlessM4TFeatureExtractor, without its loop over frames.
    """
    scaled = torch.from_numpy(np.ascontiguousarray(waveform, np.float32))[None] * 2**15
    return torchaudio.compliance.kaldi.fbank(
        scaled,
        num_mel_bins=MEL_BINS,
        sample_frequency=SAMPLE_RATE,
        frame_length=1000 * WINDOW / SAMPLE_RATE,
        frame_shift=1000 * HOP / SAMPLE_RATE,
        dither=0.0,
        window_type="povey",
        energy_floor=1.192092955078125e-07,
    ).numpy()


def stack_frames(mel: np.ndarray, stride: int, normalize: bool) -> np.ndarray:
    """float32 [frames // stride, 80 * stride]: each bin at zero mean and unit variance over time, frames stacked."""
    if normalize:
        mel = (mel - mel.mean(0)) / np.sqrt(mel.var(0, ddof=1 if len(mel) > 1 else 0) + 1e-7)
    frames = len(mel) // stride * stride
    return mel[:frames].reshape(-1, MEL_BINS * stride).astype(np.float32)


def levelled(mel: np.ndarray) -> np.ndarray:
    """float32 [frames, 80]: the mean over all of the utterance taken away, in units of 4 nepers of power."""
    return ((mel - mel.mean()) / 4).astype(np.float32)
