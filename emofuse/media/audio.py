"""Audio to one waveform: 16 kHz, mono, float32, placed in seconds; from a file or an array."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
import numpy as np
from jaxtyping import Float32

from emofuse.errors import MediaError
from emofuse.media.formats import SOUND
from emofuse.media.level import SILENCE, gain_of, loudness, raised
from emofuse.media.limits import GAP
from emofuse.media.memory import way_out
from emofuse.media.mixdown import RESAMPLER, Mixdown
from emofuse.notes import Note
from emofuse.types import SAMPLE_RATE

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000
"""Sampling rates, in Hz, an array may have."""
LOUDEST = 8.0
"""A float sample may overshoot full scale this far (18 dB) and is clipped; beyond, the scale itself is wrong."""
BLOCK = SAMPLE_RATE // 2
"""Samples a block is filled to; none is longer than twice that (1 s)."""
PROMPT = SAMPLE_RATE // 10
"""Samples that a part of a block is filled to, where sound is wanted as soon as it is there."""
_SLACK = 0.05
"""Seconds a timestamp may disagree with the running count of samples before it is believed to be a gap."""
_LAYOUTS = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
"""What 1 to 8 unlabelled channels are taken to be, as in a WAV file without a channel mask."""
_SCALES = {"int16": (0.0, 2.0**15), "int32": (0.0, 2.0**31), "uint8": (128.0, 128.0)}
"""Integer sample formats: the value of silence and of full scale."""


@dataclass(frozen=True, eq=False)
class AudioBlock:
    """At most one second of sound; blocks follow one another without overlap, and with no gap shorter than `GAP`."""

    start: float
    """Seconds from the clip's start."""
    samples: Float32[np.ndarray, " samples"]
    """Mono at SAMPLE_RATE, in [-1, 1]."""
    channels: Float32[np.ndarray, "channels samples"] | None = None
    """Each channel of it, where they are kept apart."""
    whole: bool = True
    """False for a part of a block that goes on with the next one."""

    @property
    def end(self) -> float:
        """Seconds from the clip's start at which the block ends."""
        return self.start + self.samples.size / SAMPLE_RATE


class SoundBuffer:
    """The last seconds of sound, until the segment they belong to is known."""

    def __init__(self) -> None:
        self.softest = float("inf")
        """Loudness of the quietest sound that was raised."""
        self._blocks: deque[AudioBlock] = deque()

    def push(self, block: AudioBlock) -> None:
        """Adds the next block."""
        self._blocks.append(block)

    def forget(self, before: float) -> None:
        """Drops what lies before a moment."""
        while self._blocks and self._blocks[0].end <= before:
            self._blocks.popleft()

    def cut(self, start: float, end: float, final: bool = True) -> np.ndarray | None:
        """The sound between two moments, raised where it is quiet; None where there is none, or only silence.

        What is not `final` does not count as raised.
        """
        pieces = []
        for block in self._blocks:
            first = max(0, round((start - block.start) * SAMPLE_RATE))
            last = max(0, round((end - block.start) * SAMPLE_RATE))
            pieces.append(block.samples[first:last])
        samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
        level = loudness(samples)
        if level < SILENCE:
            return None
        if final and gain_of(level) > 1:
            self.softest = min(self.softest, level)
        return raised(samples, gain_of(level))

    @property
    def seconds(self) -> float:
        """How much is kept."""
        return sum(block.samples.size for block in self._blocks) / SAMPLE_RATE


class Assembler:
    """Decoded audio frames in, blocks out: resampled, mixed to mono, short gaps filled with silence, overlaps cut.

    `origin` and `end` are seconds of the clip: nothing before or after them comes out, and what begins late comes out
    after the silence that precedes it. `longest` (seconds) bounds the silence a timestamp may ask for: a later one is
    a broken timestamp, and the count of samples goes on instead. `prompt`: the same blocks come in parts, each as soon
    as it has a tenth of a second.
    """

    def __init__(
        self,
        origin: float = 0.0,
        end: float | None = None,
        longest: float | None = None,
        mixdown: Callable[[av.AudioFrame], av.AudioFrame] | None = None,
        prompt: bool = False,
    ) -> None:
        self._origin = origin
        self._stop = None if end is None else round((end - origin) * SAMPLE_RATE)
        self._longest = longest
        self.mixdown = mixdown or Mixdown()
        self._resampler: av.AudioResampler | None = None
        self._setup: tuple[str, str, int] | None = None
        self._expected: float | None = None
        self._position = 0
        self._written = 0
        self._waiting: list[np.ndarray] = []
        self._prompt, self._given = prompt, 0
        """Whether blocks come in parts, and the samples of the current one that have come out."""

    @property
    def cancelled(self) -> bool:
        """Whether channels cancelled each other, so that one stood in for all."""
        return getattr(self.mixdown, "cancelled", False)

    @property
    def seconds(self) -> float:
        """Seconds of the clip that have come out or wait in the current block."""
        return self._origin + (self._written + sum(map(len, self._waiting))) / SAMPLE_RATE

    @property
    def finished(self) -> bool:
        """Whether `end` is reached."""
        return self._stop is not None and self._written >= self._stop

    def push(self, frame: av.AudioFrame, time: float | None = None) -> Iterator[AudioBlock]:
        """Blocks that this frame completes; `time` is its start in seconds of the clip, None = right after the last."""
        if frame.samples == 0 or frame.sample_rate <= 0:
            return
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        length = frame.samples / frame.sample_rate
        jumped = self._jumps(time)
        if jumped or setup != self._setup:
            yield from self._drain()
            if jumped or self._expected is None:
                self._expected = self._origin if time is None or not jumped else time
            self._position = round((self._expected - self._origin) * SAMPLE_RATE)
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE, options=RESAMPLER)
            self._setup = setup
        assert self._resampler is not None and self._expected is not None
        self._expected += length
        frame = frame if frame.layout.nb_channels == 1 else self.mixdown(frame)
        frame.pts = None
        for resampled in self._resampler.resample(frame):
            yield from self._place(resampled.to_ndarray()[0])

    def finish(self, until: float | None = None) -> Iterator[AudioBlock]:
        """The rest; with `until`, silence up to that second of the clip."""
        yield from self._drain()
        if until is not None:
            yield from self._silence(round((until - self._origin) * SAMPLE_RATE) - self._length)
        if self._waiting:
            yield from self._emit()

    @property
    def _length(self) -> int:
        return self._written + sum(map(len, self._waiting))

    def _jumps(self, time: float | None) -> bool:
        if time is None or (self._longest is not None and time > self._longest):
            return False
        return self._expected is None or abs(time - self._expected) > _SLACK

    def _drain(self) -> Iterator[AudioBlock]:
        if self._resampler is not None:
            for resampled in self._resampler.resample(None):
                yield from self._place(resampled.to_ndarray()[0])
        self._resampler, self._setup = None, None

    def _place(self, samples: np.ndarray) -> Iterator[AudioBlock]:
        samples = within_scale(samples)
        yield from self._silence(self._position - self._length)
        late = max(0, self._length - self._position)
        self._position += samples.size
        yield from self._add(samples[late:])

    def _silence(self, missing: int) -> Iterator[AudioBlock]:
        if self._stop is None and missing > GAP * SAMPLE_RATE:
            if self._waiting:
                yield from self._emit()
            self._written, self._given = self._written + missing, 0
            return
        while missing > 0 and not self.finished:
            step = min(missing, BLOCK)
            yield from self._add(np.zeros(step, np.float32))
            missing -= step

    def _add(self, samples: np.ndarray) -> Iterator[AudioBlock]:
        if samples.size and not self.finished:
            self._waiting.append(samples)
            waiting = sum(map(len, self._waiting))
            if self._given + waiting >= BLOCK:
                yield from self._emit()
            elif self._prompt and waiting >= PROMPT:
                yield from self._emit(whole=False)

    def _emit(self, whole: bool = True) -> Iterator[AudioBlock]:
        samples = np.concatenate(self._waiting)
        self._waiting = []
        if self._stop is not None:
            samples = samples[: max(0, self._stop - self._written)]
        while samples.size:
            block, samples = np.split(samples, [2 * BLOCK - self._given])
            start = self._origin + self._written / SAMPLE_RATE
            self._written += block.size
            self._given = 0 if whole else self._given + block.size
            yield AudioBlock(start, np.ascontiguousarray(block), whole=whole)


def within_scale(samples: np.ndarray) -> Float32[np.ndarray, " samples"]:
    """Samples clipped to [-1, 1]; MediaError for NaN, infinity, or a scale that is not that of floating-point sound."""
    if not np.isfinite(samples).all():
        count = int((~np.isfinite(samples)).sum())
        raise MediaError(
            f"the sound holds {count} samples that are NaN or infinite; only finite ones are sound: replace them, for "
            "example with numpy.nan_to_num, or record again"
        )
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > LOUDEST:
        raise MediaError(
            f"floating-point sound lies in [-1, 1], but this reaches {peak:g}; if these are 16-bit values stored as "
            "floats, divide them by 32768"
        )
    return np.clip(samples, -1.0, 1.0).astype(np.float32, copy=False)


def as_waveform(rate: int, array: np.ndarray, notes: list[Note] | None = None) -> Float32[np.ndarray, " samples"]:
    """Sound in memory, as Gradio's microphone gives it, to the waveform that the same sound in a file would give.

    `rate` in Hz, 8 000 to 192 000; `array` int16, int32, uint8 (128 is silence) or float in [-1, 1], of shape
    (samples,), (samples, channels) or (channels, samples), 1 to 8 channels. `notes` says of channels that cancel.
    Raises MediaError for anything else.
    """
    rate = _valid_rate(rate)
    channels = _channels_first(array)
    assembler = Assembler()
    blocks: list[np.ndarray] = []
    for i in range(0, channels.shape[1], rate):
        interleaved = np.ascontiguousarray(_to_float(channels[:, i : i + rate]).T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=_LAYOUTS[len(channels) - 1])
        frame.sample_rate = rate
        blocks += [block.samples for block in assembler.push(frame)]
    blocks += [block.samples for block in assembler.finish()]
    if notes is not None and assembler.cancelled:
        notes.append(Note("channels_cancel"))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def as_channels(rate: int, array: np.ndarray) -> Float32[np.ndarray, "channels samples"]:
    """As `as_waveform`, with the channels kept apart."""
    return np.stack([as_waveform(rate, np.ascontiguousarray(row)) for row in _channels_first(array)])


def _valid_rate(rate: object) -> int:
    if isinstance(rate, bool) or not isinstance(rate, (int, np.integer, float, np.floating)):
        raise MediaError(f"a sampling rate is a number in Hz, not {type(rate).__name__}: give audio=(rate, array)")
    if not (LOWEST_RATE <= rate <= HIGHEST_RATE) or rate != int(rate):
        raise MediaError(
            f"a sampling rate of {rate:g} Hz is not usable; whole numbers from {LOWEST_RATE} to {HIGHEST_RATE} are: "
            "give the rate the sound was recorded at, in Hz (not kHz)"
        )
    return int(rate)


def _channels_first(array: object) -> np.ndarray:
    """The array as (channels, samples); the shorter axis is the channels'."""
    if not isinstance(array, np.ndarray):
        raise MediaError(
            f"sound in memory is a NumPy array, not {type(array).__name__}; {way_out(array, 'sound')}; {SOUND}"
        )
    if isinstance(array, np.ma.MaskedArray):
        raise MediaError("a masked array is not sound: say what the masked samples are, as with array.filled(0)")
    if array.dtype.name not in _SCALES and array.dtype.kind != "f":
        raise MediaError(
            f"an array of {array.dtype.name} is not sound; convert it to int16 or float32: array.astype('float32'), "
            "divided by full scale"
        )
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2:
        raise MediaError(f"an array of shape {array.shape} is not sound; give (samples,) or (samples, channels)")
    if array.shape[1] < array.shape[0]:
        array = array.T
    if array.shape[0] > len(_LAYOUTS):
        raise MediaError(f"{array.shape[0]} channels are too many; 1 to {len(_LAYOUTS)} are valid: mix them down first")
    if array.size == 0:
        raise MediaError(f"the array of sound is empty (shape {array.shape}); record again, at least a moment")
    return array


def _to_float(samples: np.ndarray) -> Float32[np.ndarray, "channels samples"]:
    if samples.dtype.kind == "f":
        worst = np.abs(samples).max(initial=0.0)
        if not worst <= LOUDEST:
            within_scale(samples)
        return samples.astype(np.float32)
    silence, scale = _SCALES[samples.dtype.name]
    return ((samples.astype(np.float64) - silence) / scale).astype(np.float32)
