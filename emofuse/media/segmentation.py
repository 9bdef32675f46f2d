"""Segmentation: boundaries from voice activity, transcript cues, or windows in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from emofuse.media.audio import AudioBlock
from emofuse.media.transcript import Cue, spread
from emofuse.media.vad import CHUNK, CHUNK_SECONDS, VoiceActivity
from emofuse.types import Word

_MUCH_LONGER = 1.5
"""Times the longest span from which one is cut where no word begins."""


@dataclass(frozen=True)
class SegmentOptions:
    """How a clip is cut; all lengths in seconds."""

    threshold: float = 0.25
    """Probability of speech from which a voice is heard; it is lost 0.15 below.

    Half the usual 0.5: shouted, wept and whispered speech scores low, while noise stays below 0.05.
    """
    least_speech: float = 0.25
    """Shorter bursts are no speech."""
    least_silence: float = 0.4
    """Silence that ends a stretch of speech."""
    pad: float = 0.1
    """Kept before and after speech."""
    longest: float = 10.0
    """Longer stretches are split, speech at its quietest point."""
    short: float = 1.0
    """A stretch shorter than this joins its neighbour …"""
    join_gap: float = 0.8
    """… when no more than this lies between them."""
    window: float = 4.0
    """Length of the windows that cover what is neither spoken nor written."""
    least_window: float = 2.0
    """Gaps and rests shorter than this get no window."""


@dataclass(frozen=True)
class Span:
    """A stretch of the clip, in seconds, that becomes a segment; `speaker` where one is known."""

    start: float
    end: float
    kind: Literal["speech", "cue", "window"] = "speech"
    speaker: str | None = None
    channel: int | None = None
    """The channel of the sound that it is in, where each is one speaker's; such spans may overlap."""

    @property
    def length(self) -> float:
        """Seconds."""
        return self.end - self.start


class Joiner:
    """Puts short neighbours of one speaker, and what overlaps, together: holds one span back until it is final."""

    def __init__(self, options: SegmentOptions) -> None:
        self._options = options
        self._held: Span | None = None

    def push(self, span: Span) -> Iterator[Span]:
        """Spans that are final now that this one has come."""
        held, self._held = self._held, span
        if held is None:
            return
        near = span.start - held.end <= self._options.join_gap and span.speaker == held.speaker
        short = min(span.length, held.length) < self._options.short
        both = span.start < held.end - 0.05
        if (both or (near and short)) and span.end - held.start <= self._options.longest:
            speaker = held.speaker if held.speaker == span.speaker else None
            self._held = replace(held, end=max(held.end, span.end), speaker=speaker)
        else:
            yield held

    def settle(self, time: float) -> Iterator[Span]:
        """The held span, once nothing that begins after `time` could join it."""
        if self._held is not None and time > self._held.end + self._options.join_gap:
            yield self._held
            self._held = None

    def meet(self, begin: float, now: float) -> Iterator[Span]:
        """The held span, once a stretch that began at `begin` and still goes on could not join it however it ends."""
        held, options = self._held, self._options
        if held is None:
            return
        far = begin - held.end > options.join_gap or now - held.start > options.longest
        if far or min(held.length, now - begin) >= options.short:
            yield held
            self._held = None

    @property
    def held(self) -> Span | None:
        """The span that what comes next may still join."""
        return self._held

    def finish(self) -> Iterator[Span]:
        """The held span."""
        if self._held is not None:
            yield self._held
        self._held = None

    @property
    def since(self) -> float:
        """Seconds at which the held span begins; infinity when there is none."""
        return float("inf") if self._held is None else self._held.start


class VoiceSpans:
    """Sound in, stretches of speech out, a moment after each has ended (hysteresis as in silero's VADIterator)."""

    def __init__(self, options: SegmentOptions | None = None, start: float = 0.0) -> None:
        self._options = options or SegmentOptions()
        self._voice = VoiceActivity()
        self._joiner = Joiner(self._options)
        self._origin = start
        self._chunks = 0
        self._begin: float | None = None
        self._silent_since: float | None = None
        self._spoken = 0.0
        self._last_end = start
        self._loudness: list[float] = []
        self._sound = np.zeros(0, np.float32)

    def push(self, block: AudioBlock) -> Iterator[Span]:
        """Stretches that this sound completes."""
        self._sound = np.concatenate([self._sound, block.samples])
        yield from self._chunked(self._voice.push(block.samples))

    def finish(self) -> Iterator[Span]:
        """The stretch that lasts until the end."""
        end = self._now + self._sound.size / (CHUNK / CHUNK_SECONDS)
        yield from self._chunked(self._voice.finish())
        if self._begin is not None:
            yield from self._close(min(end, self._silent_since or end), end)
        yield from self._joiner.finish()

    @property
    def settled(self) -> float:
        """Seconds before which no stretch can begin any more that has not come out yet."""
        speech = self._begin if self._begin is not None else self._now
        return min(self._joiner.since, max(self._last_end, speech - self._options.pad))

    @property
    def paused(self) -> Span | None:
        """The stretch that has ended and that what comes next may still join."""
        return self._joiner.held

    @property
    def _now(self) -> float:
        return self._origin + self._chunks * CHUNK_SECONDS

    def _chunked(self, probabilities: np.ndarray) -> Iterator[Span]:
        sound, self._sound = np.split(self._sound, [len(probabilities) * CHUNK])
        for probability, loudness in zip(probabilities.tolist(), _loudness(sound, len(probabilities)), strict=True):
            self._chunks += 1
            yield from self._step(probability, loudness)
        if self._begin is None:
            yield from self._joiner.settle(self._now - self._options.pad)
        elif self._silent_since is None:
            yield from self._joiner.meet(max(self._last_end, self._begin - self._options.pad), self._now)

    def _step(self, probability: float, loudness: float) -> Iterator[Span]:
        options, begin_of_chunk = self._options, self._now - CHUNK_SECONDS
        if self._begin is None:
            if probability >= options.threshold:
                self._begin, self._silent_since, self._spoken = begin_of_chunk, None, CHUNK_SECONDS
                self._loudness = [loudness]
            return
        self._loudness.append(loudness)
        if probability >= options.threshold:
            self._silent_since = None
            self._spoken += CHUNK_SECONDS
        elif probability < options.threshold - 0.15 and self._silent_since is None:
            self._silent_since = begin_of_chunk
        if self._silent_since is not None and self._now - self._silent_since >= options.least_silence:
            yield from self._close(self._silent_since, self._now)
        elif self._now - self._begin >= options.longest - 2 * options.pad:
            yield from self._split()

    def _close(self, speech_end: float, limit: float) -> Iterator[Span]:
        assert self._begin is not None
        begin, self._begin, self._silent_since = self._begin, None, None
        if self._spoken >= self._options.least_speech:
            start = max(self._last_end, begin - self._options.pad, self._origin)
            self._last_end = min(limit, speech_end + self._options.pad)
            yield from self._joiner.push(Span(start, self._last_end))

    def _split(self) -> Iterator[Span]:
        """The stretch so far up to the quietest point of its second half; the rest goes on."""
        assert self._begin is not None
        smooth = np.convolve(self._loudness, np.ones(7) / 7, mode="same")
        half = len(smooth) // 2
        cut = half + int(np.argmin(smooth[half:-3]))
        moment = self._begin + cut * CHUNK_SECONDS
        start = max(self._last_end, self._begin - self._options.pad, self._origin)
        self._begin, self._last_end, self._loudness = moment, moment, self._loudness[cut:]
        self._spoken = self._options.least_speech
        if self._silent_since is not None:
            self._silent_since = max(self._silent_since, moment)
        yield from self._joiner.push(Span(start, moment))


def _loudness(sound: np.ndarray, chunks: int) -> list[float]:
    """The root mean square of each chunk; of the last, which may be cut short, as far as it goes."""
    whole, rest = np.split(sound, [sound.size // CHUNK * CHUNK])
    levels = np.sqrt(np.mean(whole.reshape(-1, CHUNK) ** 2, axis=1)).tolist()
    levels += [float(np.sqrt(np.mean(rest**2)))] if rest.size else []
    return levels + [0.0] * (chunks - len(levels))


class Timeline:
    """What is spoken or written, and windows over the gaps, as one row of spans in order; only channels overlap."""

    def __init__(self, options: SegmentOptions | None = None, start: float = 0.0) -> None:
        self._options = options or SegmentOptions()
        self.cursor = start
        """Seconds before which everything is final."""
        self._any = False

    def push(self, span: Span) -> Iterator[Span]:
        """A spoken or written span, after the windows of the gap before it."""
        start = max(span.start, self.cursor) if span.channel is None else span.start
        yield from self.windows(start, final=True)
        if span.end > start:
            self._any = True
            self.cursor = max(self.cursor, span.end)
            yield replace(span, start=start)

    def windows(self, until: float, final: bool = False) -> Iterator[Span]:
        """Windows over the time up to `until` in which nothing was said; the last, shorter one only when `final`."""
        window, least = self._options.window, self._options.least_window
        while until - self.cursor >= window + least:
            yield self._window(self.cursor + window)
        if not final:
            return
        if until - self.cursor >= least:
            yield self._window(until)

    def finish(self, duration: float) -> Iterator[Span]:
        """The windows of the rest; a clip in which nothing else came is one window however short it is."""
        if not self._any and duration >= self.cursor and duration - self.cursor < self._options.least_window:
            yield self._window(duration)
        yield from self.windows(duration, final=True)

    def _window(self, end: float) -> Span:
        span = Span(self.cursor, end, "window")
        self.cursor, self._any = end, True
        return span


def cue_spans(cues: Sequence[Cue], options: SegmentOptions | None = None) -> list[Span]:
    """Spans of a transcript with times: short neighbours of one speaker joined, long cues split between words."""
    options = options or SegmentOptions()
    joiner = Joiner(options)
    spans: list[Span] = []
    for cue in sorted((cue for cue in cues if cue.timed), key=lambda cue: cue.start or 0.0):
        assert cue.start is not None and cue.end is not None
        for start, end in _parts(cue.text, cue.start, cue.end, options.longest):
            spans += joiner.push(Span(start, end, "cue", cue.speaker))
    return spans + list(joiner.finish())


def sentences(words: Iterable[Word]) -> Iterator[list[Word]]:
    """Words up to each that ends a sentence."""
    sentence: list[Word] = []
    for word in words:
        sentence.append(word)
        if word.text.rstrip("\"'”’»)]}」』").endswith((".", "!", "?", "…", "。", "！", "？", "؟", "।", "։")):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _parts(text: str, start: float, end: float, longest: float) -> list[tuple[float, float]]:
    """Shares of a stretch, none much longer than `longest`, cut where a word begins if there are enough of them."""
    count = int(np.ceil((end - start) / longest - 1e-9))
    if count <= 1:
        return [(start, end)]
    begins = np.array([word.start for word in spread(text, start, end)][1:])
    targets = start + (end - start) * np.arange(1, count) / count
    cuts = {float(begins[np.abs(begins - target).argmin()]) if begins.size else float(target) for target in targets}
    return [part for pair in pairwise([start, *sorted(cuts), end]) for part in _halved(*pair, longest)]


def _halved(start: float, end: float, longest: float) -> list[tuple[float, float]]:
    """Equal shares of a stretch with a word or less in it, as "♪ music ♪" may stand for minutes."""
    count = int(np.ceil((end - start) / longest - 1e-9)) if end - start > _MUCH_LONGER * longest else 1
    return list(pairwise(np.linspace(start, end, count + 1).tolist()))
