"""From a waveform to log-mel frames, or to itself at one level."""

from __future__ import annotations

import numpy as np

from emofuse.encoders.config import CONFORMER, WHISPER, SpeechConfig
from emofuse.encoders.mel import MEL_BINS, levelled, log_mel, stack_frames, whisper_log_mel
from emofuse.encoders.processors.processor import Processor
from emofuse.types import SAMPLE_RATE, Segment

SHORTEST = SAMPLE_RATE // 10
"""Samples; anything shorter is zero-padded to this, so that every front end yields a frame."""

FLOOR = 1e-3
"""Power relative to the loudest 30 ms: -30 dB."""
MARGIN = SAMPLE_RATE // 10


class SpeechProcessor(Processor):
    """Segment → what comes first in the network: log-mel frames, stacked or for a stem, or a normalised waveform."""

    def __init__(self, config: SpeechConfig) -> None:
        """`config`: of an encoder that has been built, so that its architecture and `normalize` are complete."""
        self.config = config
        shape = config.architecture or {}
        model = shape["model_type"]
        self.whisper: int = shape["num_mel_bins"] if model == WHISPER else 0
        """Mel bins of a Whisper encoder, 0 for another."""
        self.spectral = model in (WHISPER, CONFORMER)
        plain = model == CONFORMER and not config.stem
        self.stride: int = shape["feature_projection_input_dim"] // MEL_BINS if plain else 1
        self.normalize = bool(config.normalize)

    def __call__(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """values float32 [frames, bins] (spectral) or [samples]; mask bool, same axis; offset, seconds left out."""
        waveform = segment.waveform
        if waveform is None or not waveform.size:
            return None
        first, last = self._read(waveform)
        waveform = waveform[first:last]
        if len(waveform) < SHORTEST:
            waveform = np.pad(waveform, (0, SHORTEST - len(waveform)))
        if self.config.stem:
            values = levelled(log_mel(waveform))
        elif self.whisper:
            values = whisper_log_mel(waveform, self.whisper, self.normalize)
        elif self.spectral:
            values = stack_frames(log_mel(waveform), self.stride, self.normalize)
        elif self.normalize:
            values = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
        else:
            values = waveform
        mask = np.ones(len(values), bool)
        offset = np.asarray(first / SAMPLE_RATE, np.float32)
        return {"values": values.astype(np.float32), "mask": mask, "offset": offset}

    def _read(self, waveform: np.ndarray) -> tuple[int, int]:
        """First and last sample that are read."""
        first, last = sounding(waveform) if self.config.trim else (0, len(waveform))
        most = self.config.max_seconds
        return first, last if most is None else min(last, first + round(most * SAMPLE_RATE))

    def left_out(self, segment: Segment) -> float:
        """Seconds of the voice past `max_seconds`."""
        most, waveform = self.config.max_seconds, segment.waveform
        if most is None or waveform is None or len(waveform) <= most * SAMPLE_RATE:
            return 0.0
        last = sounding(waveform)[1] if self.config.trim else len(waveform)
        return (last - self._read(waveform)[1]) / SAMPLE_RATE


def sounding(waveform: np.ndarray) -> tuple[int, int]:
    """First and last sample within FLOOR of the loudest moment, with MARGIN around; all of it when it is silent."""
    frame = SAMPLE_RATE // 100
    padded = np.pad(waveform, (0, -len(waveform) % frame)).reshape(-1, frame)
    power = np.convolve(np.square(padded, dtype=np.float32).mean(1), np.full(3, 1 / 3), "same")
    loud = np.flatnonzero(power > power.max() * FLOOR)
    if not len(loud):
        return 0, len(waveform)
    first, last = int(loud[0]) * frame - MARGIN, (int(loud[-1]) + 1) * frame + MARGIN
    return max(0, first), min(len(waveform), last)
