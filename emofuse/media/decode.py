"""One pass over a clip's sound and pictures, in seconds from its start, in memory that does not grow with it."""

from __future__ import annotations

import contextlib
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
from emofuse.media.accepted import ACCEPTED, existing_file, open_media, reason, unreadable
from emofuse.media.picture import VideoFrame, orientation_of, read_image
from emofuse.media.waveform import Assembler, AudioBlock, as_waveform
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
) -> Iterator[AudioBlock | VideoFrame]:
    """The sound and the pictures of a file as they are read, in one pass, each in order of time.

    Sound comes in blocks of at most one second, without gap from `start` on (silence where the track has none yet);
    pictures at least `frame_interval` seconds apart, the others are not even converted. `start` and `end` are seconds
    of the clip. Damaged parts are passed over, and `notes` receives a line that counts them. Raises MediaError when
    the file is not media, has none of what was asked for, or nothing in it can be decoded.
    """
    path = existing_file(source)
    with open_media(path) as container:
        pass_ = _Pass(container, path, audio, video, start or 0.0, end, frame_interval)
        yield from pass_.run()
        if notes is not None:
            notes += pass_.notes()


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
    sound = stream(source, video=False, start=start, end=end)
    blocks = [block.samples for block in sound if isinstance(block, AudioBlock)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


class _Pass:
    """One reading of one container: packets go to the track they belong to, and what it makes of them comes out."""

    def __init__(
        self,
        container: av.container.InputContainer,
        path: Path,
        audio: bool,
        video: bool,
        start: float,
        end: float | None,
        frame_interval: float,
    ) -> None:
        self.container, self.path, self.start, self.end = container, path, start, end
        sound, pictures = _streams(container, path)
        self.zero = _zero(container, sound, pictures)
        self.duration = container.duration / av.time_base if container.duration else None
        self.tracks: dict[int, _AudioTrack | _VideoTrack] = {}
        if audio and sound is not None:
            longest = None if self.duration is None else self.duration + 60.0
            self.tracks[sound.index] = _AudioTrack(sound, self.zero, start, end, longest)
        if video and pictures is not None:
            self.tracks[pictures.index] = _VideoTrack(pictures, self.zero, start, end, frame_interval)
        if not self.tracks:
            wanted, there = ("audio", "video") if audio else ("video", "audio")
            raise unreadable(path, f"it has no {wanted} track, only {there}", f"give a file that holds {wanted}")
        self.cut: str | None = None

    def run(self) -> Iterator[AudioBlock | VideoFrame]:
        """Everything, track by track as the container holds it."""
        self._seek()
        for packet in self._packets():
            yield from self.tracks[packet.stream_index].take(packet)
            if all(track.finished for track in self.tracks.values()):
                break
        for track in self.tracks.values():
            yield from track.finish()
        if not any(track.decoded for track in self.tracks.values()) and not self.start:
            said = f" ({self.cut})" if self.cut else ""
            why = f"nothing in it can be decoded{said}: it is damaged or was cut off"
            raise unreadable(self.path, why, "copy, record or convert it again")

    def notes(self) -> list[str]:
        """What was passed over, in words."""
        lines = [
            f"{track.damaged} damaged {track.kind} packets or frames were passed over"
            for track in self.tracks.values()
            if track.damaged
        ]
        reached = max(track.reached for track in self.tracks.values())
        announced = self.duration or 0.0
        short = self.end is None and reached < announced - max(1.0, 0.05 * announced)
        if short or self.cut:
            said = f" of the {announced:.1f} s it announces" if announced else ""
            lines.append(f"the file could be read only up to {reached:.1f} s{said}: it was cut off or is damaged")
        return lines

    def _seek(self) -> None:
        target = self.start - _PREROLL
        if target <= 0 or not any(name in self.container.format.name.split(",") for name in _SEEKABLE):
            return
        try:
            self.container.seek(round((target + self.zero) * av.time_base), backward=True)
        except av.error.FFmpegError:
            self.container.seek(0, backward=True)

    def _packets(self) -> Iterator[av.Packet]:
        wanted = [self.container.streams[index] for index in self.tracks]
        try:
            for packet in self.container.demux(*wanted):
                if packet.size:
                    yield packet
        except av.error.FFmpegError as error:
            self.cut = reason(error)


class _AudioTrack:
    """Packets to blocks of sound."""

    kind = "audio"

    def __init__(self, stream: Any, zero: float, start: float, end: float | None, longest: float | None) -> None:
        self.stream, self.zero, self.start = stream, zero, start
        self.assembler = Assembler(start, end, longest)
        self.damaged = self.decoded = 0
        self.reached = 0.0

    @property
    def finished(self) -> bool:
        return self.assembler.finished

    def take(self, packet: av.Packet | None) -> Iterator[AudioBlock]:
        if self.finished:
            return
        frames, bad = _decoded(self.stream, packet)
        self.damaged += bad
        for frame in frames:
            self.decoded += 1
            time = _seconds(self.stream, frame, self.zero)
            if time is not None:
                self.reached = max(self.reached, time + frame.samples / frame.sample_rate)
                if self.reached < self.start - 0.2:
                    continue
            yield from self.assembler.push(frame, time)

    def finish(self) -> Iterator[AudioBlock]:
        yield from self.take(None)
        yield from self.assembler.finish()
        self.reached = max(self.reached, self.assembler.seconds)


class _VideoTrack:
    """Packets to pictures that are at least `interval` seconds apart, on a grid that begins at `start`."""

    kind = "video"

    def __init__(self, stream: Any, zero: float, start: float, end: float | None, interval: float) -> None:
        self.stream, self.zero, self.start, self.end = stream, zero, start, end
        self.interval = interval
        self.fps = float(stream.average_rate or stream.guessed_rate or 25)
        self.aspect = _aspect(stream)
        self.reformatter = VideoReformatter()
        self.due = start
        self.damaged = self.decoded = self.counted = 0
        self.reached = 0.0
        self.finished = False
        stream.thread_type = "AUTO"
        if interval * self.fps >= _SPARSE:
            stream.codec_context.skip_frame = "NONREF"

    def take(self, packet: av.Packet | None) -> Iterator[VideoFrame]:
        if self.finished:
            return
        frames, bad = _decoded(self.stream, packet)
        self.damaged += bad
        for frame in frames:
            if frame.is_corrupt:
                self.damaged += 1
                continue
            time = self._time(frame)
            self.decoded += 1
            self.reached = max(self.reached, time)
            if self.end is not None and time >= self.end:
                self.finished = True
                return
            if time >= self.start and time + _TICK >= self.due:
                self._next(time)
                yield VideoFrame(
                    time, frame, orientation=orientation_of(frame), aspect=self.aspect, reformatter=self.reformatter
                )

    def finish(self) -> Iterator[VideoFrame]:
        yield from self.take(None)

    def _time(self, frame: av.VideoFrame) -> float:
        """Seconds of the clip; a frame without a timestamp follows the one before."""
        time = _seconds(self.stream, frame, self.zero)
        time = self.counted / self.fps if time is None else time
        self.counted += 1
        return max(0.0, time)

    def _next(self, time: float) -> None:
        if self.interval > 0:
            steps = int((time + _TICK - self.start) / self.interval)
            self.due = self.start + (steps + 1) * self.interval


def _decoded(stream: Any, packet: av.Packet | None) -> tuple[list[Any], int]:
    """The frames of a packet (None = what the decoder still holds), and how many packets were damaged."""
    try:
        return stream.codec_context.decode(packet), 0
    except av.error.EOFError:
        return [], 0
    except av.error.FFmpegError:
        return [], 1


def _seconds(stream: Any, frame: av.VideoFrame | av.AudioFrame, zero: float) -> float | None:
    """When a frame begins, in seconds of the clip; flushed frames know only their ticks."""
    return None if frame.pts is None else float(frame.pts * stream.time_base) - zero


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
