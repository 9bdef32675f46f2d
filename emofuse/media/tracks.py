"""Tracks of a container: packets to blocks of sound and to pictures, in seconds of the clip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import av
import av.container
import av.error
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from emofuse.media.audio import Assembler, AudioBlock
from emofuse.media.channels import ChannelAssembler, Pick
from emofuse.media.formats import ACCEPTED, ESTIMATED, UNTIMED, open_media, reason, unreadable
from emofuse.media.image import UPRIGHT, VideoFrame, orientation_of
from emofuse.media.limits import GAP, LONGEST_GAP, Limits
from emofuse.media.memory import File
from emofuse.media.prefetch import cores
from emofuse.notes import Note

_SEEKABLE = ("mov", "matroska", "avi", "wav", "flac", "ogg")
"""Containers whose index lands where it says; the others are decoded from their start."""
_PREROLL = 1.0
"""Seconds decoded and thrown away before `start`, for decoders that need to warm up."""
_TICK = 2e-3
"""Seconds by which a timestamp may be rounded (mkv counts in milliseconds)."""
BACK = 1.0
"""Seconds from which timestamps that go back are taken to have begun again."""
_STRAY = 3
"""Frames that may go back without the others following."""
_SKIPPED = 8
"""Pictures at the end that may not have been decoded because nobody looks at them."""
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
_ASIDE = Disposition.comment | Disposition.visual_impaired | Disposition.clean_effects | Disposition.karaoke
"""Tracks that are there for a few: commentary, audio description, sound without voices."""
_SPARSE = 4.0
"""Source frames per wanted frame from which frames nobody refers to need not be decoded at all."""
_STANDS = 1.0
"""Seconds from which a picture that was there before `start` is still there after it."""


class Opened(NamedTuple):
    """A container, a track in it, and the second of the container at which the clip begins."""

    container: av.container.InputContainer
    stream: Any
    zero: float


class Track:
    """One track of a container that is opened for it alone, so that tracks stored far apart still come out together."""

    kind = ""

    def __init__(self, opened: Opened, start: float, end: float | None, limits: Limits) -> None:
        self.container, self.stream, self.zero = opened
        self.start, self.end, self.limits, self.packets_read = start, end, limits, 0
        self.format = self.container.format.name
        self.duration = announced_duration(self.container)
        self.damaged = self.decoded = self.joints = 0
        self.reached = self.broken = self.joined = self.gaps = self.widest = self.length = 0.0
        self.cut: str | None = None
        self._last_packet = 0.0
        self._back, self._since = 0.0, 0
        """By how much the timestamps went back last, and frames since then."""

    def packets(self) -> Iterator[av.Packet | None]:
        """The track's packets from `start` on, then None, for what the decoder still holds."""
        self._seek()
        try:
            for packet in self.container.demux(self.stream):
                if packet.size:
                    self.packets_read += 1
                    self.limits.check(self.packets_read if self.kind == "video" else 0, self.reached)
                    self._last_packet = max(self._last_packet, self._end_of(packet))
                    yield packet
        except av.error.FFmpegError as error:
            self.cut = reason(error)
        yield None

    def frames(self) -> Iterator[Any]:
        """The frames that can be decoded; the damaged ones are counted."""
        for packet in self.packets():
            try:
                frames = self.stream.codec_context.decode(packet)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                if getattr(frame, "is_corrupt", False):
                    self.damaged += 1
                else:
                    self.decoded += 1
                    yield frame

    def when(self, frame: Any) -> float | None:
        """When a frame begins, in seconds of the clip; flushed frames know only their ticks.

        A jump ahead that is not believed is taken out of this and all later times. Timestamps that begin again, as they
        do where files are joined end to end, go on from where the last frame ended; where only a few frames went back,
        the others are as they were.
        """
        if frame.pts is None:
            return None
        time = self._placed(float(frame.pts * self.stream.time_base))
        self._since += 1
        if self._back and self._since <= _STRAY and abs(time - self._back - self.reached) < BACK:
            time, self.joined, self.joints = time - self._back, self.joined - self._back, self.joints - 1
            self._back = 0.0
        if (back := self.reached + self.length - time) > BACK and self.reached:
            time, self.joined, self.joints = time + back, self.joined + back, self.joints + 1
            self._back, self._since = back, 0
        ahead_by = time - max(self.reached, self.start)
        if ahead_by > LONGEST_GAP:
            self.broken, time = self.broken + ahead_by, time - ahead_by
        elif ahead_by > GAP:
            self.gaps += ahead_by
        return time

    def _placed(self, time: float) -> float:
        """A second of the container as one of the clip."""
        return time - self.zero - self.broken + self.joined

    def others(self) -> Iterator[Note]:
        """Says which track was taken where there are several of its kind."""
        tracks = candidates(self.container, self.kind)
        if len(tracks) > 1:
            taken = tracks.index(self.stream) + 1
            yield Note("other_tracks", count=len(tracks), kind=self.kind, taken=taken)

    def _end_of(self, packet: av.Packet) -> float:
        """The second of the clip at which a packet ends, as far as it says."""
        if packet.pts is None:
            return 0.0
        return self._placed(float((packet.pts + (packet.duration or 0)) * self.stream.time_base))

    def _seek(self) -> None:
        target = self.start - _PREROLL
        if target <= 0 or not any(name in self.container.format.name.split(",") for name in _SEEKABLE):
            return
        try:
            self.container.seek(round((target + self.zero) * av.time_base), backward=True)
        except av.error.FFmpegError:
            self.container.seek(0, backward=True)


class AudioTrack(Track):
    """Packets to blocks of sound."""

    kind = "audio"

    cancelled = False
    """Whether channels cancelled each other, so that one stood in for all."""
    channels: int | None = None
    """How many channels are kept apart; None = they are mixed."""
    channel: int | None = None
    """The one that is heard alone."""
    prompt = False
    """Whether sound that is mixed comes out as soon as it is there, see `Assembler`."""

    def items(self) -> Iterator[AudioBlock]:
        """Blocks without gap from `start` on."""
        known = self.duration is not None and self.format not in ESTIMATED
        longest = self.duration + 60.0 if self.duration and known else None
        if self.channels is None:
            mixdown = None if self.channel is None else Pick(self.channel)
            assembler: Assembler | ChannelAssembler = Assembler(self.start, self.end, longest, mixdown, self.prompt)
        else:
            assembler = ChannelAssembler(self.channels, self.start, self.end, longest)
        decoded = 0.0
        for frame in self.frames():
            time = self.when(frame)
            decoded += frame.samples / max(frame.sample_rate, 1)
            self.limits.check(seconds=decoded)
            if time is not None:
                self.reached = max(self.reached, time + frame.samples / frame.sample_rate)
                if self.reached < self.start - 0.2:
                    continue
            yield from assembler.push(frame, time)
            self.cancelled = assembler.cancelled
            if assembler.finished:
                return
        yield from assembler.finish()
        self.reached = max(self.reached, assembler.seconds)


class VideoTrack(Track):
    """Packets to pictures that are at least `interval` seconds apart, on a grid that begins at `start`."""

    kind = "video"

    def __init__(self, opened: Opened, start: float, end: float | None, limits: Limits, interval: float) -> None:
        super().__init__(opened, start, end, limits)
        self.interval = interval
        stream = self.stream
        self.fps = float(stream.average_rate or stream.guessed_rate or 25)
        # Two cores are busy with the rest; there a decoder with threads of its own is dearer and hardly quicker.
        stream.thread_type = "AUTO" if cores() > 2 else "NONE"
        self.length = 1 / self.fps
        untimed = self.format in UNTIMED
        if interval * self.fps >= _SPARSE and not untimed:
            stream.codec_context.skip_frame = "NONREF"
        self._aspect, self._reformatter = pixel_aspect(stream), VideoReformatter()
        self._rotation, self._orientation = None, UPRIGHT

    def items(self) -> Iterator[VideoFrame]:
        """Pictures in order of time; one without a timestamp follows the one before.

        One that stands at `start`, as a slide does, comes out there.
        """
        due, before = self.start, None
        for count, frame in enumerate(self.frames()):
            time = self.when(frame)
            time = max(0.0, count / self.fps if time is None else time)
            if count:
                self.widest = max(self.widest, time - self.reached)
            self.reached = max(self.reached, time)
            self.length = float((frame.duration or 0) * self.stream.time_base) or 1 / self.fps
            if time < self.start:
                before = frame
                continue
            if before is not None and self._stands_until(time):
                yield self._picture(self.start, before)
            before = None
            if self.end is not None and time >= self.end:
                return
            if time + _TICK < due:
                continue
            if self.interval > 0:
                due = self.start + (int((time + _TICK - self.start) / self.interval) + 1) * self.interval
            yield self._picture(time, frame)
        if before is not None and self._stands_until(self.ended):
            yield self._picture(self.start, before)

    def _stands_until(self, time: float) -> bool:
        """Whether a picture from before `start` is there long enough to be seen, if it goes at this second."""
        return (time if self.end is None else min(time, self.end)) - self.start > _STANDS

    def _picture(self, time: float, frame: av.VideoFrame) -> VideoFrame:
        if frame.rotation != self._rotation:  # a look at the side data keeps a frame until cycles are collected
            self._rotation, self._orientation = frame.rotation, orientation_of(frame)
        how: dict[str, Any] = {"orientation": self._orientation, "reformatter": self._reformatter}
        return VideoFrame(time, frame, aspect=self._aspect, **how)

    @property
    def ended(self) -> float:
        """The second at which the last picture ends; one that stands as long as those before until the file does."""
        last = max(self.reached + self.length, min(self._last_packet, self.reached + _SKIPPED * self.length))
        if self.duration is None or self.format in ESTIMATED:
            return last
        left = self.duration - self.broken + self.joined - last
        stands = LONGEST_GAP if self.decoded == 1 else 1.5 * self.widest
        return last + left if 0 < left <= stands else last


def announced_duration(container: av.container.InputContainer) -> float | None:
    """Seconds that a container says it holds; None where it does not, or where that cannot be told.

    Of a Matroska file whose timestamps begin late, as a copied part's do, the number is by some counted from nought and
    by others from its first timestamp.
    """
    late = "matroska" in container.format.name and (container.start_time or 0) > av.time_base
    return container.duration / av.time_base if container.duration and not late else None


def opened_tracks(stack: contextlib.ExitStack, path: File, kinds: Sequence[str]) -> list[Opened | None]:
    """`opened_track` of each kind, beside each other: opening a file decodes its beginning."""
    with ThreadPoolExecutor(len(kinds) or 1) as threads:
        return list(threads.map(partial(opened_track, stack, path), kinds))


def opened_track(stack: contextlib.ExitStack, path: File, kind: str) -> Opened | None:
    """A container for the track of that kind alone; None where there is no such track."""
    container = stack.enter_context(open_media(path))
    sound, pictures = usable_streams(container, path)
    track = sound if kind == "audio" else pictures
    return None if track is None else Opened(container, track, _zero(container, sound, pictures))


def usable_streams(container: av.container.InputContainer, path: File) -> tuple[Any, Any]:
    """The audio and the video track that a player would play: see `_best`. Raises MediaError where there is neither."""
    sound, pictures = (_best(candidates(container, kind)) for kind in ("audio", "video"))
    if sound is None and pictures is None:
        held = ", ".join(sorted({s.type for s in container.streams})) or "none"
        raise unreadable(path, f"it has neither sound nor pictures that can be decoded (tracks: {held})", ACCEPTED)
    return sound, pictures


def candidates(container: av.container.InputContainer, kind: str) -> list[Any]:
    """The tracks of a kind that have a decoder; cover pictures and previews are not video."""
    usable: list[Any] = [s for s in container.streams if s.type == kind and getattr(s, "codec_context", None)]
    if kind == "audio":
        return [s for s in usable if s.codec_context.sample_rate]
    return [s for s in usable if not s.disposition & _NO_VIDEO]


def _best(tracks: Sequence[Any]) -> Any:
    """The first track flagged as default, else the first; commentaries and the like come last. None for none."""
    return min(
        tracks, key=lambda s: (bool(s.disposition & _ASIDE), not s.disposition & Disposition.default), default=None
    )


def _zero(container: av.container.InputContainer, *streams: Any) -> float:
    """The second, on the container's clock, at which the clip starts: where the earlier of its two tracks does."""
    starts = [float(s.start_time * s.time_base) for s in streams if s is not None and s.start_time is not None]
    if starts:
        return min(starts)
    return container.start_time / av.time_base if container.start_time else 0.0


def pixel_aspect(stream: Any) -> float:
    """Width of a pixel over its height; nonsense counts as square."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 0.2 <= ratio <= 5 else 1.0
