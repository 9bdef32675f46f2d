"""Channels: sound in which each channel is one speaker's, kept apart from the first sample to the segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import av
import numpy as np
from jaxtyping import Float, Float32

from emofuse.errors import MediaError
from emofuse.media.alignment import by_sentence, laid_out
from emofuse.media.audio import Assembler, AudioBlock, SoundBuffer
from emofuse.media.level import Hearing
from emofuse.media.limits import GAP
from emofuse.media.mixdown import channels_of
from emofuse.media.segmentation import SegmentOptions, Span, VoiceSpans, cue_spans
from emofuse.media.transcript import Cue, Transcript, spread
from emofuse.types import SAMPLE_RATE, Word

_WINDOW = 1024
"""Samples (64 ms) over which it is decided whether a channel holds its own speaker."""
CHANNEL_BLOCK = 8 * _WINDOW
"""Samples of a block of several channels, so that windows lie alike however the sound comes in."""
_LAG = 512
"""Samples by which cross-talk may come late or early."""
_COPIED = 0.5
"""Correlation from which a quieter channel holds what is said in a louder one …"""
_COPY_BELOW, _FAR_BELOW = 1.0, 20.0
"""… where it is this many decibels below it; from the second on it does whether they correlate or not."""
_RISES = 3.0
"""Decibels by which a channel rises where its own speaker begins."""
_ALIKE = 1e-3
"""Power of the difference of two channels, relative to theirs, below which they are one sound."""


class ChannelAssembler:
    """As `Assembler`, with the channels kept apart: a block has each as a row, and their mean as its samples."""

    cancelled = False

    def __init__(self, count: int, origin: float = 0.0, end: float | None = None, longest: float | None = None) -> None:
        self._parts = [Assembler(origin, end, longest, mixdown=Pick(index)) for index in range(count)]
        self._start, self._waiting = origin, np.zeros((count, 0), np.float32)

    def push(self, frame: av.AudioFrame, time: float | None = None) -> Iterator[AudioBlock]:
        """Blocks that this frame completes, each of `CHANNEL_BLOCK` samples unless a gap follows."""
        yield from self._whole([list(part.push(frame, time)) for part in self._parts])

    def finish(self, until: float | None = None) -> Iterator[AudioBlock]:
        """The rest."""
        yield from self._whole([list(part.finish(until)) for part in self._parts])
        yield from self._emit(1)

    def _whole(self, parts: Sequence[Sequence[AudioBlock]]) -> Iterator[AudioBlock]:
        for blocks in zip(*parts, strict=True):
            start = blocks[0].start
            if abs(start - self._start - self._waiting.shape[1] / SAMPLE_RATE) > 1e-3:
                yield from self._emit(1)
                self._start = start
            self._waiting = np.concatenate([self._waiting, np.stack([block.samples for block in blocks])], axis=1)
            yield from self._emit(CHANNEL_BLOCK)

    def _emit(self, least: int) -> Iterator[AudioBlock]:
        """Full blocks, and what is left if that is `least` samples."""
        while self._waiting.shape[1] >= least:
            yield block_of(self._start, self._waiting[:, :CHANNEL_BLOCK])
            self._start += self._waiting[:, :CHANNEL_BLOCK].shape[1] / SAMPLE_RATE
            self._waiting = self._waiting[:, CHANNEL_BLOCK:]

    @property
    def seconds(self) -> float:
        """See `Assembler`."""
        return self._parts[0].seconds

    @property
    def finished(self) -> bool:
        """See `Assembler`."""
        return self._parts[0].finished


class Pick:
    """Frames of several channels in, frames of one of them out."""

    cancelled = False

    def __init__(self, index: int) -> None:
        self._index = index

    def __call__(self, frame: av.AudioFrame) -> av.AudioFrame:
        samples = channels_of(frame)
        row = samples[self._index] if self._index < len(samples) else np.zeros(samples.shape[1])
        mono = av.AudioFrame.from_ndarray(np.ascontiguousarray(row, np.float32)[None], format="flt", layout="mono")
        mono.sample_rate = frame.sample_rate
        return mono


def block_of(start: float, channels: Float32[np.ndarray, "channels samples"]) -> AudioBlock:
    """A block of several channels; its samples are their mean."""
    return AudioBlock(start, channels.mean(axis=0, dtype=np.float32), channels)


def without_crosstalk(channels: Float32[np.ndarray, "channels samples"]) -> Float32[np.ndarray, "channels samples"]:
    """Each channel silent where it holds nothing but another's speaker.

    In windows of 64 ms: where it is quieter than the loudest channel and correlates with it at some lag, or is 20 dB
    quieter. Two who speak at once do not correlate, and both stay.
    """
    count, samples = channels.shape
    padded = np.pad(channels, ((0, 0), (0, -samples % _WINDOW))).reshape(count, -1, _WINDOW).astype(np.float64)
    power = np.square(padded).mean(axis=2) + 1e-12
    level, loudest = 10 * np.log10(power), power.argmax(axis=0)
    windows = np.arange(padded.shape[1])
    louder = padded[loudest, windows]
    below = level[loudest, windows][None] - level
    copied = np.stack([_correlation(own, louder) for own in padded]) >= _COPIED
    other = np.arange(count)[:, None] != loudest[None]
    leak = other & ((copied & (below > _COPY_BELOW)) | (below > _FAR_BELOW))
    leak |= _beside(leak, level)
    if not leak.any():
        return channels
    centres = (windows + 0.5) * _WINDOW
    gain = [np.interp(np.arange(samples), centres, 1.0 - silent) for silent in leak]
    return (channels * np.stack(gain)).astype(np.float32)


def _beside(leak: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Windows before and after one of cross-talk in which a channel does not rise: its first and last sounds."""
    beside = np.zeros_like(leak)
    beside[:, 1:] |= leak[:, :-1] & (level[:, 1:] < level[:, :-1] + _RISES)
    beside[:, :-1] |= leak[:, 1:] & (level[:, :-1] < level[:, 1:] + _RISES)
    return beside


def _correlation(
    one: Float[np.ndarray, "windows samples"], other: Float[np.ndarray, "windows samples"]
) -> Float[np.ndarray, " windows"]:
    """The largest absolute correlation of two sounds, window by window, at any lag up to _LAG."""
    spectra = np.fft.rfft(one, 2 * _WINDOW) * np.conj(np.fft.rfft(other, 2 * _WINDOW))
    products = np.abs(np.fft.irfft(spectra))
    near = np.concatenate([products[:, :_LAG], products[:, -_LAG:]], axis=1).max(axis=1)
    return near / np.sqrt(np.square(one).sum(1) * np.square(other).sum(1) + 1e-12)


class Channels:
    """The speakers of a clip by channel: planned from a pass over the sound alone, then filled as the clip is read."""

    def __init__(self, names: Sequence[str], options: SegmentOptions) -> None:
        self.names, self._options = tuple(names), options
        self._sounds = [SoundBuffer() for _ in names]
        self._words: dict[tuple[int, float], list[Word]] = {}
        """(channel, second at which a span begins) → what is said in it."""

    def plan(self, blocks: Iterator[AudioBlock], transcript: Transcript | None) -> list[Span]:
        """Where each speaks, by the cues of a transcript that has times, else by voice activity.

        Raises MediaError where the channels hold one and the same sound.
        """
        spans, levels = self._listen(blocks)
        if transcript is not None and transcript.cues:
            cues = self._by_channel(transcript, spans, levels)
            timed = transcript.timed
            spans = [
                cue_spans(said, self._options) if timed or not own else own
                for said, own in zip(cues, spans, strict=True)
            ]
            for index, (said, own) in enumerate(zip(cues, spans, strict=True)):
                self._place(index, said, own)
        named = [
            replace(span, speaker=name, channel=index)
            for index, (name, own) in enumerate(zip(self.names, spans, strict=True))
            for span in own
        ]
        return sorted(named, key=lambda span: (span.start, span.end))

    def push(self, block: AudioBlock) -> None:
        """Adds the next block."""
        for sound, samples in zip(self._sounds, self._apart(block), strict=True):
            sound.push(AudioBlock(block.start, samples))

    def forget(self, before: float) -> None:
        """Drops what lies before a moment."""
        for sound in self._sounds:
            sound.forget(before)

    def cut(self, channel: int, start: float, end: float) -> np.ndarray | None:
        """See `SoundBuffer`."""
        return self._sounds[channel].cut(start, end)

    def words(self, channel: int, span: Span) -> tuple[Word, ...]:
        """What the channel's speaker says in a span."""
        return tuple(self._words.get((channel, span.start), ()))

    def _place(self, channel: int, cues: Sequence[Cue], spans: Sequence[Span]) -> None:
        """Each word goes to the span of its channel that its middle is in or nearest to: none is lost."""
        edges = np.array([(span.start, span.end) for span in spans])
        for cue in cues if len(spans) else ():
            assert cue.start is not None and cue.end is not None
            for word in spread(cue.text, cue.start, cue.end):
                middle = (word.start + word.end) / 2
                at = int(np.maximum(edges[:, 0] - middle, middle - edges[:, 1]).argmin())
                first, last = (float(np.clip(moment, *edges[at])) for moment in (word.start, word.end))
                placed = Word(word.text, first, last, self.names[channel])
                self._words.setdefault((channel, spans[at].start), []).append(placed)

    def _apart(self, block: AudioBlock) -> np.ndarray:
        if block.channels is None:  # silence that stands in for sound that is missing
            return np.zeros((len(self.names), block.samples.size), np.float32)
        return without_crosstalk(block.channels)

    def _listen(self, blocks: Iterator[AudioBlock]) -> tuple[list[list[Span]], list[tuple[float, np.ndarray]]]:
        """Where each channel has a voice, and (second, power of each channel) once a block."""
        voices, hearing = [VoiceSpans(self._options) for _ in self.names], [Hearing() for _ in self.names]
        spans: list[list[Span]] = [[] for _ in self.names]
        levels: list[tuple[float, np.ndarray]] = []
        heard, power, difference = 0.0, 0.0, 0.0
        for block in blocks:
            assert block.channels is not None
            power += float(np.square(block.channels).mean()) * block.samples.size
            difference += float(np.square(block.channels - block.samples).mean()) * block.samples.size
            for index, samples in enumerate(apart := self._apart(block)):
                if block.start - heard > GAP:
                    spans[index] += voices[index].finish()
                    voices[index] = VoiceSpans(self._options, block.start)
                raised = hearing[index].push(block.start, samples)
                spans[index] += voices[index].push(AudioBlock(block.start, raised))
            levels += _levels(block.start, apart)
            heard = block.end
        if len(self.names) > 1 and power > 0 and difference < _ALIKE * power:
            raise MediaError(
                f"the {len(self.names)} channels of the sound are the same, so that nobody has one to themselves; "
                f"leave channels= out, and tell the voices apart with speakers={len(self.names)}"
            )
        return [own + list(voice.finish()) for own, voice in zip(spans, voices, strict=True)], levels

    def _by_channel(
        self, transcript: Transcript, spans: Sequence[Sequence[Span]], levels: Sequence[tuple[float, np.ndarray]]
    ) -> list[list[Cue]]:
        """The cues of each channel: by the speaker's name, else by where it is loud; without times, over its spans."""
        place = {name.casefold(): index for index, name in enumerate(self.names)}
        found: list[list[Cue]] = [[] for _ in self.names]
        for cue in transcript.cues:
            index = place.get((cue.speaker or "").casefold())
            found[self._loudest(cue, levels) if index is None else index].append(cue)
        if transcript.timed:
            return found
        stretches = [[(span.start, span.end) for span in own] for own in spans]
        return [laid_out(by_sentence(own), where or None) for own, where in zip(found, stretches, strict=True)]

    def _loudest(self, cue: Cue, levels: Sequence[tuple[float, np.ndarray]]) -> int:
        """The channel with the most power while a cue is said; of one without times, in all."""
        start, end = (cue.start or 0.0, cue.end) if cue.timed else (0.0, None)
        powers = [power for time, power in levels if time >= start - 0.1 and (end is None or time < end)]
        return int(np.sum(powers, axis=0).argmax()) if powers else 0


def _levels(start: float, channels: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """(second, power of each channel) every tenth of a second."""
    step = SAMPLE_RATE // 10
    for first in range(0, channels.shape[1], step):
        yield start + first / SAMPLE_RATE, np.square(channels[:, first : first + step]).sum(axis=1)
