"""Clips to measure on, made from the sample that ships: its face on a 720p picture, its voice, its words."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

SAMPLE = Path(__file__).resolve().parents[1] / "demo" / "samples" / "sample.mp4"
CUES = ((0.6, 1.8, "I can't believe it!"), (2.0, 3.8, "We made it all the way to space,"))
CUES += ((4.0, 6.0, "and I have never been so happy!"),)
WIDTH, HEIGHT, RATE = 1280, 720, 16_000


def make_clip(path: Path, seconds: float, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """A clip of so many seconds in H.264 and AAC, with its words beside it as .srt; what is there already is kept."""
    words = path.with_suffix(".srt")
    if path.is_file() and words.is_file():
        return path
    frames, sound, fps = _sample()
    count = round(seconds * fps)
    noise = np.random.default_rng(0).integers(0, 255, (height // 16, width // 8, 3), dtype=np.uint8)
    backdrop = cv2.resize(noise, (2 * width, height), interpolation=cv2.INTER_CUBIC)
    part = path.with_suffix(".part")
    with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "23", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=64_000)
        for index in range(count):
            at = 4 * index % width
            picture = _composed(frames[index % len(frames)], backdrop[:, at : at + width].copy())
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(video.encode(frame))
        samples = np.resize(sound, round(seconds * RATE))
        for at in range(0, len(samples), 1024):
            block = av.AudioFrame.from_ndarray(samples[None, at : at + 1024], format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = RATE, at, Fraction(1, RATE)
            container.mux(audio.encode(block))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    words.write_text(_subtitles(len(frames) / fps, seconds), "utf-8")
    part.replace(path)
    return path


def loop(clip: Path, target: Path, seconds: float) -> Path:
    """Repeat a clip's packets, stamped one round later each time, until it lasts `seconds`: nothing is encoded anew."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as looped:
        tracks = [source.streams.video[0], source.streams.audio[0]]
        out = {track.index: looped.add_stream_from_template(track) for track in tracks}
        length = max(float((track.duration or 0) * (track.time_base or 0)) for track in tracks)
        shift = 0.0
        while shift < seconds:
            source.seek(0)
            for packet in source.demux(tracks):
                priming = shift > 0 and packet.stream.type == "audio" and (packet.pts or 0) < 0
                if packet.dts is None or packet.pts is None or packet.time_base is None or priming:
                    continue
                ticks = round(shift / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                packet.stream = out[packet.stream.index]
                looped.mux(packet)
            shift += length
    return target


def _sample() -> tuple[list[np.ndarray], np.ndarray, int]:
    """The sample's pictures (RGB), its sound (int16, mono, RATE), and its pictures a second."""
    with av.open(str(SAMPLE)) as container:
        fps = round(float(container.streams.video[0].average_rate or 25))
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(SAMPLE)) as container:
        blocks = [r.to_ndarray()[0] for f in container.decode(audio=0) for r in resampler.resample(f)]
    return frames, np.concatenate(blocks), fps


def _composed(face: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """The sample's picture in the middle of a coarse backdrop that moves."""
    height, width = picture.shape[:2]
    high, wide = height * 3 // 4, face.shape[1] * (height * 3 // 4) // face.shape[0]
    top, left = (height - high) // 2, (width - wide) // 2
    picture[top : top + high, left : left + wide] = cv2.resize(face, (wide, high), interpolation=cv2.INTER_AREA)
    return picture


def _subtitles(round_length: float, seconds: float) -> str:
    shifts = np.arange(0, seconds, round_length)
    cues = [(a + s, min(b + s, seconds), text) for s in shifts for a, b, text in CUES if a + s < seconds - 0.5]
    return "\n".join(f"{i}\n{_clock(a)} --> {_clock(b)}\n{text}\n" for i, (a, b, text) in enumerate(cues, 1))


def _clock(seconds: float) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02},{whole % 1000:03}"
