"""`Cutter`: a clip's clock cut into spans while its sound and pictures are read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from emofuse.media.audio import AudioBlock, SoundBuffer
from emofuse.media.level import Hearing
from emofuse.media.segmentation import SegmentOptions, Span, Timeline, VoiceSpans


class Cutter:
    """Spans in order of time, each as soon as it is final.

        sound ──▶ VoiceSpans ──┐
                               ├──▶ Timeline ──▶ waiting ──▶ due
        known, by the clock ───┘    (fills gaps with windows)

    `known` are spans that a transcript gives beforehand; else `listens` says whether speech is looked for in the sound;
    with neither, there are windows alone.
    """

    def __init__(self, options: SegmentOptions, known: Sequence[Span] | None = None, listens: bool = False) -> None:
        self._options = options
        self._timeline = Timeline(options)
        self._waiting: deque[Span] = deque()
        self._known = deque(known or ())
        self._voice = VoiceSpans(options) if listens and known is None else None

    def push(self, block: AudioBlock) -> None:
        """Listens to the next block of sound."""
        if self._voice is not None:
            self._add(self._voice.push(block))
            self._waiting.extend(self._timeline.windows(self._voice.settled))

    def skip(self, until: float) -> None:
        """Ends what was being said: from here to `until` there is no sound."""
        if self._voice is not None:
            self._add(self._voice.finish())
            self._voice = VoiceSpans(self._options, until)

    def advance(self, clock: float) -> None:
        """Everything before this second has been read: what is known of it, and windows up to it, are final."""
        if self._voice is None:
            while self._known and self._known[0].end <= clock:
                self._add(iter([self._known.popleft()]))
            following = self._known[0].start if self._known else float("inf")
            self._waiting.extend(self._timeline.windows(min(clock, following)))

    def due(self, clock: float = float("inf")) -> Iterator[Span]:
        """The final spans that end by this second."""
        while self._waiting and self._waiting[0].end <= clock:
            yield self._waiting.popleft()

    @property
    def paused(self) -> Span | None:
        """What was said last and may still go on, as it would come out if it did not."""
        held = None if self._voice is None else self._voice.paused
        return held and replace(held, start=max(held.start, self._timeline.cursor))

    def finish(self, end: float) -> int:
        """Makes all spans final that begin before the clip's end; the number of known ones that do not."""
        if self._voice is not None:
            self._add(self._voice.finish())
        within = [span for span in self._known if span.start < end]
        self._add(replace(span, end=min(span.end, end)) for span in within)
        self._waiting.extend(self._timeline.finish(end))
        return len(self._known) - len(within)

    @property
    def since(self) -> float:
        """Seconds at which the first span begins that has not come out yet."""
        since = self._waiting[0].start if self._waiting else self._timeline.cursor
        overlapping = self._known and self._known[0].channel is not None
        return min(since, self._known[0].start) if overlapping else since

    def _add(self, spans: Iterator[Span]) -> None:
        for span in spans:
            self._waiting.extend(self._timeline.push(span))


def spoken_spans(blocks: Iterator[AudioBlock], options: SegmentOptions, gap: float) -> list[Span]:
    """Where somebody speaks, from the sound alone; more than `gap` seconds without any end what was being said."""
    return list(spans_heard(blocks, options, gap))


def spans_heard(
    blocks: Iterator[AudioBlock], options: SegmentOptions, gap: float, sound: SoundBuffer | None = None
) -> Iterator[Span]:
    """As `spoken_spans`, each as soon as it is final; `sound` is filled as it is read, to be emptied by the caller."""
    voice, hearing, heard = VoiceSpans(options), Hearing(), 0.0
    for block in blocks:
        if block.start - heard > gap:
            yield from voice.finish()
            voice = VoiceSpans(options, block.start)
        if sound is not None:
            sound.push(block)
            sound.forget(voice.settled)
        yield from voice.push(replace(block, samples=hearing.push(block.start, block.samples)))
        heard = block.end
    yield from voice.finish()
