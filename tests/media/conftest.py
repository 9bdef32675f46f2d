"""Real files, written with PyAV, for the tests of reading media."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from emofuse.media.decode import VideoFrame, read_audio, stream

Picture = Callable[[float], np.ndarray]
CODECS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".m4a": (None, "aac"),
    ".mkv": ("libx264", "flac"),
    ".webm": ("libvpx", "libopus"),
    ".avi": ("mpeg4", "libmp3lame"),
    ".flv": ("flv", "libmp3lame"),
    ".mpg": ("mpeg1video", "mp2"),
    ".ts": ("libx264", "aac"),
    ".wmv": ("wmv2", "wmav2"),
    ".wav": (None, "pcm_s16le"),
    ".flac": (None, "flac"),
    ".mp3": (None, "libmp3lame"),
    ".ogg": (None, "libopus"),
    ".opus": (None, "libopus"),
    ".aac": (None, "aac"),
    ".aiff": (None, "pcm_s16be"),
    ".wma": (None, "wmav2"),
    ".3gp": ("mpeg4", "aac"),
    ".vob": ("mpeg2video", "mp2"),
    ".m2ts": ("libx264", "ac3"),
    ".ogv": ("libvpx", "libopus"),
    ".mxf": ("mpeg2video", "pcm_s16le"),
    ".gif": ("gif", None),
    ".h264": ("libx264", None),
    ".hevc": ("libx265", None),
    ".mjpeg": ("mjpeg", None),
    ".y4m": ("wrapped_avframe", None),
    ".mp2": (None, "mp2"),
    ".mka": (None, "flac"),
    ".ac3": (None, "ac3"),
    ".caf": (None, "pcm_s16be"),
    ".au": (None, "pcm_s16be"),
    ".wv": (None, "wavpack"),
    ".tta": (None, "tta"),
    ".amr": (None, "libopencore_amrnb"),
    ".w64": (None, "pcm_s16le"),
    ".voc": (None, "pcm_s16le"),
}


def tone(seconds: float, rate: int = 48_000, frequency: float = 440.0, channels: int = 1) -> np.ndarray:
    """A sine of amplitude 0.5, float32, shape (channels, samples)."""
    wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave.astype(np.float32), (channels, 1))


def plain(time: float, width: int = 160, height: int = 120) -> np.ndarray:
    """Left half red, right half blue, a white bar at the top: every turn of it looks different."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2, 0] = 255
    picture[:, width // 2 :, 2] = 255
    picture[: height // 8] = 255
    return picture


_PIXELS = {"gif": "rgb8", "mjpeg": "yuvj420p"}
"""Pixel formats of encoders that do not take yuv420p."""

Timed = list[tuple[float, av.Packet]]


def _timed(packets: list[av.Packet]) -> Timed:
    return [(float((p.dts if p.dts is not None else p.pts or 0) * p.time_base), p) for p in packets]


def _pictures(video: Any, pictures: Picture | None, times: Sequence[float]) -> Timed:
    packets: Timed = []
    if video is not None and pictures is not None:
        for time in times:
            frame = av.VideoFrame.from_ndarray(pictures(time), format="rgb24").reformat(format=video.pix_fmt)
            frame.pts, frame.time_base = round(time / video.codec_context.time_base), video.codec_context.time_base
            packets += _timed(video.encode(frame))
        packets += _timed(video.encode(None))
    return packets


def _sound(audio: Any, sound: np.ndarray | None, rate: int, start: float) -> Timed:
    packets: Timed = []
    if audio is not None and sound is not None:
        for i in range(0, sound.shape[1], 1024):
            chunk = np.ascontiguousarray(sound[:, i : i + 1024])
            frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout=audio.layout.name)
            frame.sample_rate = rate
            frame.pts, frame.time_base = i + round(start * rate), Fraction(1, rate)
            packets += _timed(audio.encode(frame))
        packets += _timed(audio.encode(None))
    return packets


def write_clip(
    path: Path,
    *,
    sound: np.ndarray | None = None,
    rate: int = 48_000,
    pictures: Picture | None = None,
    times: Sequence[float] = (),
    sound_start: float = 0.0,
    rotation: int | None = None,
    hflip: bool = False,
    options: dict[str, str] | None = None,
    video_codec: str | None = None,
    audio_codec: str | None = None,
    interleave: bool = True,
) -> Path:
    """A media file: `sound` (channels, samples) float32, `pictures(t)` RGB at `times` seconds."""
    default_video, default_audio = CODECS[path.suffix]
    with av.open(str(path), "w", options=options or {}) as container:
        video = audio = None
        if pictures is not None:
            video = container.add_stream(video_codec or default_video, rate=25)
            first = pictures(times[0])
            video.height, video.width = first.shape[:2]
            video.pix_fmt = _PIXELS.get(video_codec or default_video, "yuv420p")
            video.bit_rate = 1_000_000
            video.codec_context.time_base = Fraction(1, 1000) if path.suffix in (".mkv", ".mp4") else Fraction(1, 25)
            if rotation is not None:
                video.set_display_rotation(rotation, hflip)
        if sound is not None:
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
            audio = container.add_stream(audio_codec or default_audio, rate=rate, layout=layout)
            audio.bit_rate = 128_000
        packets = [*_pictures(video, pictures, times), *_sound(audio, sound, rate, sound_start)]
        for _, packet in sorted(packets, key=lambda timed: timed[0]) if interleave else packets:
            container.mux(packet)
    return path


@pytest.fixture
def make(tmp_path: Path) -> SimpleNamespace:
    """Makers of real media: `clip(name, …)`, `tone(seconds, …)`, `picture`, the suffixes and codecs they know."""

    def clip(name: str, **how: Any) -> Path:
        return write_clip(tmp_path / name, **how)

    return SimpleNamespace(clip=clip, tone=tone, picture=plain, times=grid, codecs=CODECS)


def grid(seconds: float, fps: float = 25.0) -> list[float]:
    """The times of a constant frame rate."""
    return [i / fps for i in range(round(seconds * fps))]


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """A real face in the public domain: Eileen Collins, 512 x 512, the face at about (175, 64), 100 pixels wide."""
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="module")
def speech(real_clip: Path) -> np.ndarray:
    """Three sentences with pauses: the real clip three times over."""
    return np.tile(read_audio(real_clip), 3)


@pytest.fixture(scope="module")
def man(real_clip: Path) -> np.ndarray:
    """Another real person, head and collar."""
    frame = next(f for f in stream(real_clip, audio=False) if isinstance(f, VideoFrame))
    return cv2.resize(frame.rgb[0:720, 280:1000], (270, 270), interpolation=cv2.INTER_AREA)
