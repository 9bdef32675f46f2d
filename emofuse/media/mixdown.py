"""Mixdown: any layout of channels to one, without losing what cancels in the standard mix."""

from __future__ import annotations

from functools import lru_cache

import av
import av.error
import numpy as np
from jaxtyping import Float, Float32

RESAMPLER = {"rematrix_maxval": "1.0", "filter_size": "64", "cutoff": "0.96"}
"""A downmix that cannot overflow (stereo is the mean), flat to 7 kHz, 90 dB down above 8.5 kHz."""
_LOST = 10 ** (-15 / 10)
"""Power of the mix, relative to the loudest channel's, below which it does not stand for the channels."""
_NOTHING = 1e-11
"""Power (110 dB under full scale) below which a channel is empty."""
_HALF_LIFE = 0.5
"""Seconds over which powers are averaged, so that no single word decides."""


class Mixdown:
    """Frames of any layout in, frames of one channel out.

    They are the standard mix (ITU-R BS.775), unless that is nearly empty while a channel is not, as with opposite
    phases: then they are the loudest channel. The bass channel of surround sound, which the mix leaves out, counts
    only where all others are empty.
    """

    def __init__(self) -> None:
        self.cancelled = False
        """Whether a channel has stood in for the mix."""
        self._power = np.zeros(0)
        self._mixed = 0.0
        self._channel: int | None = None

    def __call__(self, frame: av.AudioFrame) -> av.AudioFrame:
        """The frame in one channel, at its own rate."""
        channels = channels_of(frame)
        weights = _weights(frame.layout.name, len(channels))
        mix = weights @ channels
        self._listen(channels, mix, frame.samples / frame.sample_rate)
        channel = self._stand_in(weights)
        self.cancelled |= channel is not None
        chosen = mix if channel is None else channels[channel]
        mono = av.AudioFrame.from_ndarray(np.ascontiguousarray(chosen, np.float32)[None], format="flt", layout="mono")
        mono.sample_rate = frame.sample_rate
        return mono

    def _listen(self, channels: np.ndarray, mix: np.ndarray, seconds: float) -> None:
        kept = 0.5 ** (seconds / _HALF_LIFE)
        power = np.var(channels, axis=1, dtype=np.float64)
        if len(self._power) != len(power):
            self._power, self._mixed, kept = power, float(np.var(mix)), 0.0
        self._power = kept * self._power + (1 - kept) * power
        self._mixed = kept * self._mixed + (1 - kept) * float(np.var(mix))

    def _stand_in(self, weights: np.ndarray) -> int | None:
        """The channel to take in place of the mix; None where the mix is sound. Of equals, the one before stays."""
        heard = np.where(weights > 0, self._power, 0.0)
        power = heard if heard.max() > _NOTHING else self._power
        loudest = int(power.argmax())
        if power[loudest] <= _NOTHING or self._mixed >= _LOST * power[loudest]:
            self._channel = None
        elif self._channel is None or power[loudest] > 2 * power[self._channel]:
            self._channel = loudest
        return self._channel


def channels_of(frame: av.AudioFrame) -> Float32[np.ndarray, "channels samples"]:
    """The samples of each channel as floats; by interleaved ones, since PyAV reads a ninth plane after eight."""
    count = frame.layout.nb_channels
    if frame.format.name == "flt":
        return frame.to_ndarray().reshape(-1, count).T
    converter = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate)
    frame.pts = None
    pieces = [piece.to_ndarray()[0] for given in (frame, None) for piece in converter.resample(given)]
    return np.concatenate(pieces).reshape(-1, count).T


@lru_cache(maxsize=32)
def _weights(layout: str, channels: int) -> Float[np.ndarray, " channels"]:
    """How much of each channel is in the standard mix of a layout: what an impulse in it alone comes out as."""
    impulses = np.eye(channels, dtype=np.float32).reshape(1, -1)
    try:
        frame = av.AudioFrame.from_ndarray(impulses, format="flt", layout=layout)
        frame.sample_rate = 48_000
        mixer = av.AudioResampler(format="flt", layout="mono", rate=48_000, options=RESAMPLER)
        mixed = [piece.to_ndarray()[0] for given in (frame, None) for piece in mixer.resample(given)]
    except (av.error.FFmpegError, ValueError):  # a layout without a standard mix
        return np.full(channels, 1 / channels)
    return np.concatenate(mixed)[:channels].astype(float)
