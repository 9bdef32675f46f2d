"""Streaming decoder: one pass over a clip's sound and pictures, in seconds, in constant memory."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import av
import av.container
import av.error
import numpy as np
from jaxtyping import Float32

from emofuse.errors import MediaError
from emofuse.media.audio import AudioBlock, as_waveform
from emofuse.media.formats import ESTIMATED, SOUND, open_media, readable, unreadable
from emofuse.media.image import VideoFrame, orientation_of, read_image
from emofuse.media.limits import UNLIMITED, Limits
from emofuse.media.memory import File, MemoryFile
from emofuse.media.prefetch import ahead
from emofuse.media.tracks import (
    AudioTrack,
    VideoTrack,
    announced_duration,
    opened_tracks,
    pixel_aspect,
    usable_streams,
)
from emofuse.notes import Note
from emofuse.types import SAMPLE_RATE

__all__ = ["AudioBlock", "ClipInfo", "VideoFrame", "as_waveform", "probe", "read_audio", "read_image", "stream"]

_FRAMES_AHEAD = 4
"""Pictures decoded beside the work on those before; one of 4K takes 12 MB."""


@dataclass
class Reach:
    """How far a file has been read; filled in at its end."""

    pictures: float = 0.0
    """Seconds of the clip at which the last picture ends."""


@dataclass(frozen=True)
class ClipInfo:
    """What a file holds, before any of it is analysed; sizes are those of the upright picture, rates per second."""

    path: File
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


def probe(source: str | PathLike[str] | MemoryFile) -> ClipInfo:
    """What a video or sound file holds; where its header does not say how long it is, its packets are counted.

    Raises MediaError for what is not media, and for media with neither sound nor pictures.
    """
    return probe_file(readable(source))


def probe_file(path: File, size: bool = True) -> ClipInfo:
    """`probe` of a file that was checked; its first picture is decoded only for the `size` of its pictures."""
    with open_media(path) as container:
        audio, video = usable_streams(container, path)
        picture = _first_picture(container, video) if size and video is not None else None
        duration = None if container.format.name in ESTIMATED else announced_duration(container)
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
    source: str | PathLike[str] | MemoryFile | ClipInfo,
    *,
    audio: bool = True,
    video: bool = True,
    start: float | None = None,
    end: float | None = None,
    frame_interval: float = 0.0,
    notes: list[str] | None = None,
    limits: Limits = UNLIMITED,
    reach: Reach | None = None,
    channels: int | None = None,
    channel: int | None = None,
    prompt: bool = False,
) -> Iterator[AudioBlock | VideoFrame]:
    """The sound and the pictures of a file as they are read, in one pass and in order of time.

    When an item comes out, everything before its time has come out. Sound comes in blocks of at most one second, from
    `start` on; where the track has none there is silence, or no block where it has none for longer than `GAP`.
    Timestamps that jump by more than `LONGEST_GAP` are not believed. Pictures come at least `frame_interval` seconds
    apart, the others are not even converted, nor, where the codec allows it, decoded. `start` and `end` are seconds of
    the clip. Damaged parts are passed over, and `notes` receives a line that counts them, and one that says which track
    was taken where there are several; `reach` receives where the file ends. `channels` is how many channels of the
    sound are kept apart in each block, `channel` the one that is heard alone; `prompt`: see `Assembler`. Raises
    LimitError beyond `limits`, MediaError when the file is not media, has none of what was asked for, or nothing in it
    can be decoded.
    """
    path = source.path if isinstance(source, ClipInfo) else readable(source)  # what was probed was checked
    begin = start or 0.0
    with contextlib.ExitStack() as stack:
        tracks: list[AudioTrack | VideoTrack] = []
        items: list[Iterator[AudioBlock | VideoFrame]] = []
        wanted = [kind for kind, wanted in (("audio", audio), ("video", video)) if wanted]
        opened = dict(zip(wanted, opened_tracks(stack, path, wanted), strict=True))
        if heard := opened.get("audio"):
            tracks.append(sound := AudioTrack(heard, begin, end, limits))
            sound.channels, sound.channel, sound.prompt = channels, channel, prompt
            items.append(sound.items())
        if seen := opened.get("video"):
            tracks.append(pictures := VideoTrack(seen, begin, end, limits, frame_interval))
            items.append(stack.enter_context(contextlib.closing(ahead([pictures.items], 1, _FRAMES_AHEAD))))
        if not tracks:
            kind, there = ("audio", "video") if audio else ("video", "audio")
            raise unreadable(path, f"it has no {kind} track, only {there}", f"give a file that holds {kind}")
        yield from heapq.merge(*items, key=_when)
        if not any(track.decoded for track in tracks) and not begin:
            said = next((f" ({track.cut})" for track in tracks if track.cut), "")
            why = f"nothing in it can be decoded{said}: it is damaged or was cut off"
            raise unreadable(path, why, "copy, record or convert it again")
        if notes is not None:
            notes += _notes(tracks, whole=end is None)
        if reach is not None:
            ended = max((track.ended for track in tracks if isinstance(track, VideoTrack)), default=0.0)
            reach.pictures = ended if end is None else min(ended, end)


def read_audio(
    source: str | PathLike[str] | tuple[int, np.ndarray], start: float | None = None, end: float | None = None
) -> Float32[np.ndarray, " samples"]:
    """The sound of a file, or of a pair (rate in Hz, array), from `start` to `end` seconds: 16 kHz, mono, in [-1, 1].

    It grows with the length asked for: use `stream` for long files. Raises MediaError.
    """
    if isinstance(source, tuple):
        if len(source) != 2:
            raise MediaError(f"sound in memory is a pair (rate, array), not {len(source)} things; {SOUND}")
        waveform = as_waveform(*source)
        return waveform[round((start or 0.0) * SAMPLE_RATE) : None if end is None else round(end * SAMPLE_RATE)]
    blocks: list[np.ndarray] = []
    reached = start or 0.0
    for block in stream(source, video=False, start=start, end=end):
        assert isinstance(block, AudioBlock)
        blocks += [np.zeros(round((block.start - reached) * SAMPLE_RATE), np.float32), block.samples]
        reached = block.end
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _when(item: AudioBlock | VideoFrame) -> float:
    return item.start if isinstance(item, AudioBlock) else item.time


def _notes(tracks: list[AudioTrack | VideoTrack], whole: bool) -> list[Note]:
    """What was passed over, and where the file ended before it should have."""
    notes = [note for track in tracks for note in track.others()]
    notes += [Note("channels_cancel")] if any(getattr(track, "cancelled", False) for track in tracks) else []
    notes += [Note("damaged", count=t.damaged, kind=t.kind) for t in tracks if t.damaged]
    silent = sum(track.gaps for track in tracks if track.kind == "audio")
    notes += [Note("sound_gaps", seconds=silent)] if silent else []
    notes += [Note("timestamps_jump", kind=t.kind, seconds=t.broken) for t in tracks if t.broken]
    notes += [Note("timestamps_restart", kind=t.kind, count=t.joints) for t in tracks if t.joints]
    reached, announced = max(track.reached for track in tracks), _announced(tracks)
    ended = max([reached, *(track.ended for track in tracks if isinstance(track, VideoTrack))])
    short = whole and ended < announced - max(1.0, 0.05 * announced)
    if short or any(track.cut for track in tracks):
        known = Note("cut_off", reached=reached, announced=announced) if announced else None
        notes.append(known or Note("cut_off_somewhere", reached=reached))
    return notes


def _announced(tracks: Sequence[AudioTrack | VideoTrack]) -> float:
    """Seconds that the file's header says it holds, less what its timestamps jump by; 0 where it only estimates, or
    speaks of one part of several."""
    if tracks[0].format in ESTIMATED or any(track.joints for track in tracks):
        return 0.0
    return (tracks[0].duration or 0.0) - max(track.broken for track in tracks)


def _first_picture(container: av.container.InputContainer, stream: Any) -> VideoFrame | None:
    try:
        frame = next(container.decode(stream), None)
    except av.error.FFmpegError:
        frame = None
    if frame is None:
        return None
    return VideoFrame(0.0, frame, orientation=orientation_of(frame), aspect=pixel_aspect(stream))


def _counted_duration(path: File) -> float:
    """Seconds between the first and the last timestamp of a file whose header does not say; without any, their sum."""
    first, last = float("inf"), float("-inf")
    lengths: dict[int, float] = {}
    with open_media(path) as container, contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux():
            if not packet.size:
                continue
            length = float((packet.duration or 0) * packet.time_base)
            lengths[packet.stream_index] = lengths.get(packet.stream_index, 0.0) + length
            if packet.pts is not None:
                begin = float(packet.pts * packet.time_base)
                first, last = min(first, begin), max(last, begin + length)
    return last - first if last > first else max(lengths.values(), default=0.0)
