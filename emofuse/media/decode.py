"""One pass over a clip's sound and pictures, in seconds from its start, in memory that does not grow with it."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from jaxtyping import Float32

from emofuse.errors import MediaError
from emofuse.media.audio import Assembler, AudioBlock, as_waveform
from emofuse.media.formats import ACCEPTED, existing_file, open_media, reason, unreadable
from emofuse.media.image import UPRIGHT, VideoFrame, orientation_of, read_image
from emofuse.media.limits import GAP, LONGEST_GAP, UNLIMITED, Limits
from emofuse.media.prefetch import ahead
from emofuse.types import SAMPLE_RATE

__all__ = ["AudioBlock", "ClipInfo", "VideoFrame", "as_waveform", "probe", "read_audio", "read_image", "stream"]

_SEEKABLE = ("mov", "matroska", "avi", "wav", "flac", "ogg")
"""Containers whose index lands where it says; the others are decoded from their start."""
_PREROLL = 1.0
"""Seconds decoded and thrown away before `start`, for decoders that need to warm up."""
_TICK = 2e-3
"""Seconds by which a timestamp may be rounded (mkv counts in milliseconds)."""
_SPARSE = 4.0
"""Source frames per wanted frame from which frames nobody refers to need not be decoded at all."""
_FRAMES_AHEAD = 4
"""Pictures decoded beside the work on those before; one of 4K takes 12 MB."""


@dataclass(frozen=True)
class ClipInfo:
    """What a file holds, before any of it is analysed; sizes are those of the upright picture, rates per second."""

    path: Path
    format: str
    duration: float
    """Seconds."""
    has_audio: bool
    has_video: bool
    sample_rate: int | None = None
    channels: int | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name


def probe(source: str | PathLike[str]) -> ClipInfo:
    """What a video or sound file holds; where its header does not say how long it is, its packets are counted.

    Raises MediaError for what is not media, and for media with neither sound nor pictures.
    """
    path = existing_file(source)
    with open_media(path) as container:
        audio, video = _streams(container, path)
        picture = _first_picture(container, video) if video is not None else None
        duration = container.duration / av.time_base if container.duration else None
        fps = float(video.average_rate or video.guessed_rate or 0) if video is not None else 0.0
    return ClipInfo(
        path=path,
        format=container.format.name,
        duration=duration if duration is not None else _counted_duration(path),
        has_audio=audio is not None,
        has_video=video is not None,
        sample_rate=audio.codec_context.sample_rate if audio is not None else None,
        channels=audio.codec_context.layout.nb_channels if audio is not None else None,
        width=picture.width if picture else None,
        height=picture.height if picture else None,
        fps=fps or None,
    )


def stream(
    source: str | PathLike[str],
    *,
    audio: bool = True,
    video: bool = True,
    start: float | None = None,
    end: float | None = None,
    frame_interval: float = 0.0,
    notes: list[str] | None = None,
    limits: Limits = UNLIMITED,
) -> Iterator[AudioBlock | VideoFrame]:
    """The sound and the pictures of a file as they are read, in one pass and in order of time.

    When an item comes out, everything before its time has come out. Sound comes in blocks of at most one second, from
    `start` on; where the track has none there is silence, or no block where it has none for longer than `GAP`.
    Timestamps that jump by more than `LONGEST_GAP` are not believed. Pictures come at least `frame_interval` seconds
    apart, the others are not even converted, nor, where the codec allows it, decoded. `start` and `end` are seconds of
    the clip. Damaged parts are passed over, and `notes` receives a line that counts them. Raises LimitError beyond
    `limits`, MediaError when the file is not media, has none of what was asked for, or nothing in it can be decoded.
    """
    path = existing_file(source)
    begin = start or 0.0
    with contextlib.ExitStack() as stack:
        tracks: list[_AudioTrack | _VideoTrack] = []
        items: list[Iterator[AudioBlock | VideoFrame]] = []
        if audio and (opened := _opened(stack, path, "audio")):
            tracks.append(sound := _AudioTrack(*opened, begin, end, limits))
            items.append(sound.items())
        if video and (opened := _opened(stack, path, "video")):
            tracks.append(pictures := _VideoTrack(*opened, begin, end, limits, frame_interval))
            items.append(stack.enter_context(contextlib.closing(ahead([pictures.items], 1, _FRAMES_AHEAD))))
        if not tracks:
            wanted, there = ("audio", "video") if audio else ("video", "audio")
            raise unreadable(path, f"it has no {wanted} track, only {there}", f"give a file that holds {wanted}")
        yield from heapq.merge(*items, key=_when)
        if not any(track.decoded for track in tracks) and not begin:
            said = next((f" ({track.cut})" for track in tracks if track.cut), "")
            why = f"nothing in it can be decoded{said}: it is damaged or was cut off"
            raise unreadable(path, why, "copy, record or convert it again")
        if notes is not None:
            notes += _notes(tracks, whole=end is None)


def read_audio(
    source: str | PathLike[str] | tuple[int, np.ndarray], start: float | None = None, end: float | None = None
) -> Float32[np.ndarray, " samples"]:
    """The sound of a file, or of a pair (rate in Hz, array), from `start` to `end` seconds: 16 kHz, mono, in [-1, 1].

    It grows with the length asked for: `stream` is the road for long files. Raises MediaError.
    """
    if isinstance(source, tuple):
        if len(source) != 2:
            raise MediaError(f"sound in memory is a pair (rate, array), not {len(source)} things; {ACCEPTED}")
        waveform = as_waveform(*source)
        return waveform[round((start or 0.0) * SAMPLE_RATE) : None if end is None else round(end * SAMPLE_RATE)]
    blocks: list[np.ndarray] = []
    reached = start or 0.0
    for block in stream(source, video=False, start=start, end=end):
        assert isinstance(block, AudioBlock)
        blocks += [np.zeros(round((block.start - reached) * SAMPLE_RATE), np.float32), block.samples]
        reached = block.end
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


class _Track:
    """One track of a container that is opened for it alone, so that tracks stored far apart still come out together."""

    kind = ""

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: Any,
        zero: float,
        start: float,
        end: float | None,
        limits: Limits,
    ) -> None:
        self.container, self.stream, self.zero, self.start, self.end = container, stream, zero, start, end
        self.limits, self.packets_read = limits, 0
        self.duration = container.duration / av.time_base if container.duration else None
        self.damaged = self.decoded = 0
        self.reached = self.broken = self.gaps = 0.0
        self.cut: str | None = None

    def packets(self) -> Iterator[av.Packet | None]:
        """The track's packets from `start` on, then None, for what the decoder still holds."""
        self._seek()
        try:
            for packet in self.container.demux(self.stream):
                if packet.size:
                    self.packets_read += 1
                    self.limits.check(self.packets_read if self.kind == "video" else 0, self.reached)
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

        A jump ahead that is not believed is taken out of this and all later times.
        """
        if frame.pts is None:
            return None
        time = float(frame.pts * self.stream.time_base) - self.zero - self.broken
        ahead_by = time - max(self.reached, self.start)
        if ahead_by > LONGEST_GAP:
            self.broken, time = self.broken + ahead_by, time - ahead_by
        elif ahead_by > GAP:
            self.gaps += ahead_by
        return time

    def _seek(self) -> None:
        target = self.start - _PREROLL
        if target <= 0 or not any(name in self.container.format.name.split(",") for name in _SEEKABLE):
            return
        try:
            self.container.seek(round((target + self.zero) * av.time_base), backward=True)
        except av.error.FFmpegError:
            self.container.seek(0, backward=True)


class _AudioTrack(_Track):
    """Packets to blocks of sound."""

    kind = "audio"

    def items(self) -> Iterator[AudioBlock]:
        """Blocks without gap from `start` on."""
        assembler = Assembler(self.start, self.end, None if self.duration is None else self.duration + 60.0)
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
            if assembler.finished:
                return
        yield from assembler.finish()
        self.reached = max(self.reached, assembler.seconds)


class _VideoTrack(_Track):
    """Packets to pictures that are at least `interval` seconds apart, on a grid that begins at `start`."""

    kind = "video"

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: Any,
        zero: float,
        start: float,
        end: float | None,
        limits: Limits,
        interval: float,
    ) -> None:
        super().__init__(container, stream, zero, start, end, limits)
        self.interval = interval
        self.fps = float(stream.average_rate or stream.guessed_rate or 25)
        stream.thread_type = "AUTO"
        if interval * self.fps >= _SPARSE:
            stream.codec_context.skip_frame = "NONREF"

    def items(self) -> Iterator[VideoFrame]:
        """Pictures in order of time; one without a timestamp follows the one before."""
        aspect, reformatter, due = _aspect(self.stream), VideoReformatter(), self.start
        rotation, orientation = None, UPRIGHT
        for count, frame in enumerate(self.frames()):
            time = self.when(frame)
            time = max(0.0, count / self.fps if time is None else time)
            self.reached = max(self.reached, time)
            if self.end is not None and time >= self.end:
                return
            if time < self.start or time + _TICK < due:
                continue
            if self.interval > 0:
                due = self.start + (int((time + _TICK - self.start) / self.interval) + 1) * self.interval
            if frame.rotation != rotation:  # a look at the side data keeps a frame until cycles are collected
                rotation, orientation = frame.rotation, orientation_of(frame)
            yield VideoFrame(time, frame, orientation=orientation, aspect=aspect, reformatter=reformatter)


def _opened(stack: contextlib.ExitStack, path: Path, kind: str) -> tuple[Any, Any, float] | None:
    """A container of its own, the track of that kind in it and the clip's zero; None where there is no such track."""
    container = stack.enter_context(open_media(path))
    sound, pictures = _streams(container, path)
    track = sound if kind == "audio" else pictures
    return None if track is None else (container, track, _zero(container, sound, pictures))


def _when(item: AudioBlock | VideoFrame) -> float:
    return item.start if isinstance(item, AudioBlock) else item.time


def _notes(tracks: list[_AudioTrack | _VideoTrack], whole: bool) -> list[str]:
    """What was passed over, and where the file ended before it should have, in words."""
    lines = [f"{t.damaged} damaged {t.kind} packets or frames were passed over" for t in tracks if t.damaged]
    silent = sum(track.gaps for track in tracks if track.kind == "audio")
    lines += [f"the sound has gaps of {silent:.0f} s in all, in which nothing was listened to"] if silent else []
    lines += [
        f"the timestamps of the {t.kind} jump by {t.broken:.0f} s: they are broken, and the jump was left out"
        for t in tracks
        if t.broken
    ]
    reached, announced = max(track.reached for track in tracks), tracks[0].duration or 0.0
    announced -= max((track.broken for track in tracks), default=0.0)
    short = whole and reached < announced - max(1.0, 0.05 * announced)
    if short or any(track.cut for track in tracks):
        said = f" of the {announced:.1f} s it announces" if announced else ""
        lines.append(f"the file could be read only up to {reached:.1f} s{said}: it was cut off or is damaged")
    return lines


def _streams(container: av.container.InputContainer, path: Path) -> tuple[Any, Any]:
    """The audio and the video track to use: the first of each that has a decoder; cover pictures are not video."""
    usable: list[Any] = [s for s in container.streams if getattr(s, "codec_context", None) is not None]
    sound = next((s for s in usable if s.type == "audio" and s.codec_context.sample_rate), None)
    pictures = next((s for s in usable if s.type == "video" and not _is_cover(s)), None)
    if sound is None and pictures is None:
        held = ", ".join(sorted({s.type for s in container.streams})) or "none"
        raise unreadable(path, f"it has neither sound nor pictures that can be decoded (tracks: {held})", ACCEPTED)
    return sound, pictures


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _zero(container: av.container.InputContainer, *streams: Any) -> float:
    """The second, on the container's clock, at which the clip starts: where the earlier of its two tracks does."""
    starts = [float(s.start_time * s.time_base) for s in streams if s is not None and s.start_time is not None]
    if starts:
        return min(starts)
    return container.start_time / av.time_base if container.start_time else 0.0


def _aspect(stream: Any) -> float:
    """Width of a pixel over its height; nonsense counts as square."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 0.2 <= ratio <= 5 else 1.0


def _first_picture(container: av.container.InputContainer, stream: Any) -> VideoFrame | None:
    try:
        frame = next(container.decode(stream), None)
    except av.error.FFmpegError:
        frame = None
    if frame is None:
        return None
    return VideoFrame(0.0, frame, orientation=orientation_of(frame), aspect=_aspect(stream))


def _counted_duration(path: Path) -> float:
    """Seconds between the first and the last timestamp of a file whose header does not say."""
    first, last = float("inf"), float("-inf")
    with open_media(path) as container, contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                begin = float(packet.pts * packet.time_base)
                first = min(first, begin)
                last = max(last, begin + float((packet.duration or 0) * packet.time_base))
    return max(0.0, last - first) if last > first else 0.0
