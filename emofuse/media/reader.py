"""The streaming reader: segments in order of time from any clip, in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, Unpack

import numpy as np

from emofuse.errors import MediaError, require_package
from emofuse.media.alignment import CHARACTERS_PER_SECOND, CueReader, by_sentence, laid_out, spoken_by
from emofuse.media.asr import Transcriber
from emofuse.media.audio import AudioBlock, SoundBuffer
from emofuse.media.channels import Channels
from emofuse.media.clip import Clip, ClipInputs, Source, check_inputs, open_clip
from emofuse.media.cutting import Cutter, spoken_spans
from emofuse.media.decode import Reach
from emofuse.media.faces.collect import FaceOptions, faces_in_image
from emofuse.media.faces.detect import FaceDetector
from emofuse.media.faces.frames import collector
from emofuse.media.level import RAISED, SILENCE, Hearing, decibels
from emofuse.media.limits import GAP, UNLIMITED, Limits
from emofuse.media.segmentation import SegmentOptions, Span, cue_spans
from emofuse.media.stretch import WHOLE
from emofuse.media.transcript import Cue, as_turn
from emofuse.media.voices.diarise import told_apart
from emofuse.notes import Note
from emofuse.types import SAMPLE_RATE, FaceTrack, Segment, Word

TURNS = 5
"""Earlier turns of a segment where nobody says how many."""
SPREAD = Note("words_spread")
READ_ALOUD = Note("words_read_aloud", rate=CHARACTERS_PER_SECOND)
_ENDED = 1.5
"""Seconds the sound may be behind the clock (a block has at most 1 s) before it is taken to have ended."""

Progress = Callable[[float, float | None], None]
"""Called with the seconds done and the seconds in all (None = not known)."""


@dataclass(frozen=True)
class MediaOptions:
    """How media become segments."""

    segment: SegmentOptions = field(default_factory=SegmentOptions)
    faces: FaceOptions | None = None
    """None = as the model learnt to see them, without a model `FaceOptions()`."""
    detector: FaceDetector | None = None
    """None = BlazeFace, whose weights come with the package."""
    voice: Literal["auto", "always"] = "auto"
    """`auto`: sound is a voice where somebody speaks; `always`: everywhere it is not silent."""
    asr: str | None = None
    """A faster-whisper model (hub id, size or folder) that writes the words when no transcript is given."""
    language: str | None = None
    """Language code for `asr`; None = it guesses."""
    context: int | None = None
    """Earlier turns a segment carries with it; None = as many as the model reads, without a model TURNS."""
    limits: Limits = UNLIMITED
    """How much of a file is read."""


def segments(
    source: Source | None = None,
    *,
    options: MediaOptions | None = None,
    notes: list[str] | None = None,
    progress: Progress | None = None,
    early: bool = False,
    **inputs: Unpack[ClipInputs],
) -> Iterator[Segment]:
    """A clip's segments, as it is read: words, voice and faces of each, whichever are there.

    `source` is a file of a video, of sound, of a still or of a text; `inputs` are the keywords of `ClipInputs`. Cues
    with times cut the clip, else voice activity does; longer stretches that are neither are cut into windows, which
    come out only where a face (or, with `voice="always"`, sound) is there: nothing comes out for a stretch, or a
    whole clip, in which there is nothing to go by. `notes` receives what was absent and why once the iterator ends.
    With `early`, what voice activity finds also comes out, `provisional`, as soon as it pauses (0.4 s of silence); the
    others are the same either way.
    Raises MediaError at the call for what cannot be opened, and while iterating for what cannot be decoded.
    """
    options = options or MediaOptions()
    check_inputs(inputs)
    clip = open_clip(source, **inputs)
    if options.asr is not None and clip.transcript is None and clip.has_audio:
        require_package("faster_whisper", "asr")
    reader = SegmentReader(clip, options, [] if notes is None else notes, progress, early)
    return clip.stretch.placed(reader.timed()) if clip.has_audio or clip.has_video else reader.untimed()


class SegmentReader:
    """One pass over one clip.

        clip ─▶ still ─▶ plan ─▶ item ─▶ hear or see ─▶ keep pace ─▶ segments due ─▶ rest ─▶ explain
                          │       ▲                                       │           ▲
                          │       └────────────── more items ─────────────┘           │
                          └──────────── no sound and no moving pictures ──────────────┘

    `clock` is the second up to which all has been read, `heard` the one that sound has reached, and `end` the one at
    which the clip ends, once that is known; of a stretch of a file they are counted from its start. Sound and faces are
    kept from the first span on that has not become a segment.
    """

    def __init__(
        self, clip: Clip, options: MediaOptions, notes: list[str], progress: Progress | None, early: bool = False
    ) -> None:
        self.clip, self.options, self.notes, self.progress, self.early = clip, options, notes, progress, early
        self.notes += clip.notes
        self.cutter, self.sound = Cutter(options.segment), SoundBuffer()
        faces = options.faces or FaceOptions()
        self.face_options = faces if clip.only is None else replace(faces, mouths="always")
        self.faces = collector(options.detector, self.face_options)
        self.still: tuple[FaceTrack, ...] = ()
        self.cues = CueReader(())
        self.turns = deque(clip.context, TURNS if options.context is None else max(0, options.context))
        self.channels = None if clip.channels is None else Channels(clip.channels, options.segment)
        self.hearing, self.reach = Hearing(), Reach()
        self.clock = self.heard = self.end = 0.0
        self.count, self.had = 0, frozenset[str]()
        """Segments that have come out, the modalities that were in any of them."""
        asr = options.asr if clip.transcript is None and clip.has_audio else None
        self.transcriber = None if asr is None else Transcriber(asr, options.language)
        self._paused: Span | None = None

    def untimed(self) -> Iterator[Segment]:
        """Text, a still, or both: the segments of the text, at the times its cues have or reading aloud would take."""
        self.still = self._still()
        words_given = self.clip.transcript is not None and self.clip.transcript.cues
        cues = self._cues([]) if words_given else []
        self.cues = CueReader(cues)
        for span in cue_spans(cues, self.options.segment) if cues else [Span(0.0, 0.0, "window")]:
            yield from self._segment(span)
        self._explain()

    def timed(self) -> Iterator[Segment]:
        """Sound, moving pictures, or both."""
        self.still = self._still()
        self._plan()
        last_told = 0.0
        interval, limits = self.face_options.frame_interval, self.options.limits
        for item in self.clip.items(interval, notes=self.notes, limits=limits, reach=self.reach, prompt=self.early):
            if isinstance(item, AudioBlock):
                self._hear(item)
                self.clock = item.start
            else:
                self.faces.push(item)
                self.clock = item.time
            self._keep_pace()
            yield from self._due(self.clock)
            yield from self._provisional()
            if self.progress is not None and self.clock - last_told >= 0.5:
                last_told = self.clock
                self.progress(self.clock, self.clip.duration)
        yield from self._rest()
        if self.progress is not None:
            self.progress(self.end, self.end)
        self._explain()

    def _still(self) -> tuple[FaceTrack, ...]:
        if self.clip.still is None:
            return ()
        return faces_in_image(self.clip.still, self.options.detector, self.face_options, notes=self.notes)

    def _plan(self) -> None:
        """What cuts the clip: cues with times, speech found beforehand for a text without times, or speech as heard."""
        options, transcript = self.options.segment, self.clip.transcript
        if self.channels is not None:
            self.cutter = Cutter(options, self.channels.plan(self._sound_only(), transcript))
        elif transcript is not None and transcript.cues:
            spoken = [] if transcript.timed or not self.clip.has_audio else self._spoken()
            cues = self._cues(spoken)
            if self.clip.speakers is not None and self.clip.has_audio and not any(cue.speaker for cue in cues):
                cues, spoken = spoken_by(cues, self._voices()), []
            self.cues = CueReader(cues)
            self.cutter = Cutter(options, spoken or cue_spans(cues, options))
        elif self.clip.speakers is not None and self.clip.has_audio:
            self.cutter = Cutter(options, self._voices())
        else:
            self.cutter = Cutter(options, listens=self.options.voice == "auto" and self.clip.has_audio)

    def _spoken(self) -> list[Span]:
        """Where somebody speaks, from a pass over the sound alone: a text without times is laid over it."""
        return spoken_spans(self._sound_only(), self.options.segment, GAP)

    def _voices(self) -> list[Span]:
        """Where each voice speaks, from a pass over the sound alone."""
        assert self.clip.speakers is not None
        voices = told_apart(self._sound_only(), self.options.segment, GAP, self.clip.speakers)
        self.notes.append(Note("voices_told_apart", count=len({span.speaker for span in voices})))
        return voices

    def _sound_only(self) -> Iterator[AudioBlock]:
        items = self.clip.items(video=False, limits=self.options.limits)
        return (item for item in items if isinstance(item, AudioBlock))

    def _cues(self, spoken: list[Span]) -> list[Cue]:
        """The transcript's cues with the times they have, or laid over what is spoken, the clip, or nothing."""
        transcript = self.clip.transcript
        if transcript is None or transcript.timed:
            return list(transcript.cues) if transcript is not None else []
        stretches = [(span.start, span.end) for span in spoken]
        if not stretches and self.clip.duration:
            stretches = [(0.0, self.clip.duration)]
        self.notes.append(READ_ALOUD if not stretches else SPREAD)
        return laid_out(by_sentence(transcript.cues), stretches or None)

    def _hear(self, block: AudioBlock) -> None:
        self._quiet(block.start)
        self.sound.push(block)
        if self.channels is not None:
            self.channels.push(block)
        self.heard = block.end
        self._listen(self.hearing.hear(block.start, block.samples, block.whole))

    def _listen(self, heard: Iterator[np.ndarray]) -> None:
        for samples in heard:
            self.cutter.push(AudioBlock(self.heard - samples.size / SAMPLE_RATE, samples))

    def _quiet(self, until: float) -> None:
        """Takes a stretch without sound for silence; a gap is passed over, and what was being said ends before it."""
        if until - self.heard > 1 / SAMPLE_RATE:
            self._listen(self.hearing.end())
        if until - self.heard > GAP:
            self.cutter.skip(until)
            self.heard = until
        while until - self.heard > 1 / SAMPLE_RATE:
            missing = min(SAMPLE_RATE // 2, round((until - self.heard) * SAMPLE_RATE))
            self._hear(AudioBlock(self.heard, np.zeros(missing, np.float32)))

    def _keep_pace(self) -> None:
        """Takes sound that ended before the pictures for silence; what cuts the clip follows the clock."""
        if self.clip.has_audio and self.clock - self.heard > _ENDED + GAP:
            self._quiet(self.clock - _ENDED)
        if self.clip.has_audio and self.clock - self.heard > _ENDED:
            self._listen(self.hearing.end())
        while self.clip.has_audio and self.clock - self.heard > _ENDED:
            self._hear(AudioBlock(self.heard, np.zeros(SAMPLE_RATE // 2, np.float32)))
        self.cutter.advance(self.clock)

    def _due(self, clock: float = float("inf")) -> Iterator[Segment]:
        for span in self.cutter.due(clock):
            yield from self._segment(span)
        self.sound.forget(self.cutter.since)
        if self.channels is not None:
            self.channels.forget(self.cutter.since)
        self.faces.forget(self.cutter.since)

    def _rest(self) -> Iterator[Segment]:
        """What the end of the clip leaves open."""
        self._listen(self.hearing.end())
        self.end = max(self.heard, self.reach.pictures, self.clock)
        start = self.clip.stretch.start
        if start and not self.end:
            raise MediaError(f"start is {start:g} s, and the clip ends before that; give seconds within it")
        self.cues.end_at(self.end)
        if late := self.cutter.finish(self.end):
            self.notes.append(Note("cues_after_end", count=late, end=float(start + self.end)))
        yield from self._due()

    def _segment(self, span: Span) -> Iterator[Segment]:
        """The span with what is there in it; nothing when nothing is."""
        segment = self._filled(span)
        if not segment.present:
            return
        self.count, self.had = self.count + 1, self.had | segment.present
        if segment.words:
            self.turns.append(as_turn(segment.words, segment.speaker))
        yield segment

    def _provisional(self) -> Iterator[Segment]:
        """What was said last, once, if it has paused and is not final; nothing is counted or forgotten for it."""
        span = self.cutter.paused if self.early else None
        if span is None or span == self._paused or span.end > self.clock:
            return
        self._paused = span
        segment = replace(self._filled(span, final=False), provisional=True)
        if segment.present:
            yield segment

    def _filled(self, span: Span, final: bool = True) -> Segment:
        middle = (span.start + span.end) / 2
        still = tuple(replace(track, times=np.full(len(track.crops), middle)) for track in self.still)
        spoken = span.kind != "window" or self.options.voice == "always"
        waveform = self._cut(span, final) if spoken else None
        speaker = span.speaker or self.cues.speaker(span) or self.clip.speaker
        return Segment(
            id=f"{self.clip.name}#{self.count}",
            start=span.start,
            end=span.end,
            words=self._named(self._words(span, waveform, final)) or None,
            waveform=waveform,
            faces=still or self.faces.tracks(span.start, span.end, min(span.end, self.cutter.since), counts=final),
            context=tuple(self.turns),
            speaker=speaker,
        )

    def _named(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """Words of nobody known are those of the one who speaks in the whole clip, where that is given."""
        name = self.clip.speaker
        return words if name is None else tuple(w if w.speaker else replace(w, speaker=name) for w in words)

    def _cut(self, span: Span, final: bool) -> np.ndarray | None:
        if self.channels is None or span.channel is None:
            return self.sound.cut(span.start, span.end, final)
        return self.channels.cut(span.channel, span.start, span.end)

    def _words(self, span: Span, waveform: np.ndarray | None, final: bool) -> tuple[Word, ...]:
        if self.transcriber is None:
            if self.channels is not None:
                return () if span.channel is None else self.channels.words(span.channel, span)
            return self.cues.words(span)
        if waveform is None:
            return ()
        heard = self.transcriber.words(waveform, span, final)
        return tuple(replace(word, speaker=span.speaker) for word in heard.words)

    def _explain(self) -> None:
        """Says of each modality that never came why not, what was raised, and which words were taken for names."""
        if (softest := self.sound.softest) < float("inf"):
            self.notes.append(Note("quiet", level=decibels(softest), gain=decibels(RAISED / softest)))
        why = {"text": self._no_words, "speech": self._no_voice, "face": self._no_face}
        self.notes += [Note(reason()) for modality, reason in why.items() if modality not in self.had]
        transcript = self.clip.transcript
        if transcript is not None and not transcript.timed:
            names = dict.fromkeys(c.speaker for c in transcript.cues if c.speaker not in (None, self.clip.speaker))
            self.notes += [Note("speakers_named", names=", ".join(filter(None, names)))] if names else []
        if self.transcriber is not None and self.transcriber.doubtful:
            self.notes.append(Note("words_doubtful", stretches=self.transcriber.doubtful))
        if not self.count:
            self.notes.append(Note("nothing_found"))
        if (stretch := self.clip.stretch) != WHOLE:
            self.notes.append(Note("stretch", start=stretch.start, end=stretch.start + self.end))

    def _no_words(self) -> str:
        if self.clip.transcript is not None:
            return "no_words_in_clip"
        heard = "no_words_understood" if self.transcriber is not None else "no_transcript"
        return heard if self.clip.has_audio else "no_words_given"

    def _no_voice(self) -> str:
        if not self.clip.has_audio:
            return "no_audio_track" if self.clip.info is not None else "no_sound"
        return "silent" if self.hearing.loudest < SILENCE else "no_speech"

    def _no_face(self) -> str:
        if self.clip.has_video or self.clip.still is not None:
            return "no_face"
        return "no_video_track" if self.clip.info is not None else "no_picture"
