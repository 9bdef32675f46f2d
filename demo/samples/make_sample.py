"""Make the samples from free parts, so that the repository holds a real face, a voice and a sentence:
sample.mp4 with sample.srt, voice.flac and face.jpg, and the thumbnails sample.jpg and voice.png.

The face is the portrait of the astronaut Eileen Collins from NASA's Great Images database (public domain), which
ships inside scikit-image; the voice is synthesised with espeak-ng, which must be installed
(Debian, Ubuntu: apt install espeak-ng; macOS: brew install espeak-ng). Run from anywhere:

    uv run python demo/samples/make_sample.py [FOLDER]
"""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

PHRASES = ("I can't believe it!", "We made it all the way to space,", "and I have never been so happy!")
MESSAGE = ("Why did you not tell me?", "I waited for you all night long.")
WIDTH, HEIGHT, FPS = 640, 480, 25
LEAD_IN, PAUSE, LEAD_OUT = 0.6, 0.25, 0.6  # seconds of silence before, between and after the phrases
FACE = (222.0, 125.0)  # centre of the face in the portrait, pixels
ZOOM = (1.55, 2.15)


def speak(phrase: str, voice: str = "en-us+f3", speed: int = 150, pitch: int = 60) -> tuple[int, np.ndarray]:
    """One phrase in a voice of espeak-ng: (samples per second, int16 mono)."""
    program = shutil.which("espeak-ng")
    if program is None:
        sys.exit("espeak-ng is not installed; it speaks the sample's words (Debian, Ubuntu: apt install espeak-ng)")
    command = [program, "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", phrase]
    spoken = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(spoken)) as file:
        # Written to a pipe, the header's length is a placeholder: read to the end instead.
        samples = np.frombuffer(file.readframes(len(spoken)), dtype=np.int16)
        rate = file.getframerate()
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 200)
    return rate, samples[loud[0] : loud[-1] + 1]


def soundtrack() -> tuple[int, np.ndarray, list[tuple[float, float, str]]]:
    """The phrases one after another: (rate, int16 samples, cues of (start s, end s, text))."""
    parts: list[np.ndarray] = []
    cues: list[tuple[float, float, str]] = []
    at, gap, rate = 0.0, LEAD_IN, 0
    for phrase in PHRASES:
        rate, samples = speak(phrase)
        parts += [np.zeros(round(gap * rate), np.int16), samples]
        start = at + gap
        at = start + len(samples) / rate
        cues.append((start, at, phrase))
        gap = PAUSE
    parts.append(np.zeros(round(LEAD_OUT * rate), np.int16))
    return rate, np.concatenate(parts), cues


def frames(seconds: float) -> Iterator[np.ndarray]:
    """The portrait, slowly swaying and zooming: RGB uint8 frames of HEIGHT x WIDTH."""
    portrait = data.astronaut()
    total = round(seconds * FPS)
    for index in range(total):
        phase = index / total
        zoom = ZOOM[0] + (ZOOM[1] - ZOOM[0]) * 0.5 * (1 - math.cos(2 * math.pi * phase))
        at_x = WIDTH / 2 + 40 * math.sin(2 * math.pi * phase)
        at_y = HEIGHT * 0.46 + 12 * math.sin(4 * math.pi * phase)
        move = np.array([[zoom, 0, at_x - zoom * FACE[0]], [0, zoom, at_y - zoom * FACE[1]]])
        yield cv2.warpAffine(portrait, move, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def write_voice(path: Path) -> None:
    """A message in another voice, as FLAC."""
    spoken = [speak(phrase, "en-us+m3", 165, 55) for phrase in MESSAGE]
    rate = spoken[0][0]
    gap = np.zeros(round(0.4 * rate), np.int16)
    sound = np.concatenate([part for _, samples in spoken for part in (gap, samples)] + [gap])
    with av.open(str(path), "w", format="flac") as container:
        audio = container.add_stream("flac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def write_face(path: Path) -> None:
    """The head and shoulders of the portrait, as JPEG."""
    piece = cv2.cvtColor(data.astronaut()[:360, 60:420], cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".jpg", piece, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())


def write_thumbnails(folder: Path) -> None:
    """A frame of the video as JPEG and the shape of the voice as PNG, 192 x 144, for the demo's examples."""
    size = (192, 144)
    with av.open(str(folder / "sample.mp4")) as container:
        middle = next(f for f in container.decode(video=0) if f.time is not None and f.time > 1.0)
    small = cv2.resize(cv2.cvtColor(middle.to_ndarray(format="rgb24"), cv2.COLOR_RGB2BGR), size)
    (folder / "sample.jpg").write_bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
    with av.open(str(folder / "voice.flac")) as container:
        sound = np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)]).astype(np.float64)
    drawn = np.full((size[1], size[0], 3), (208, 79, 43), np.uint8)  # the page's blue, as BGR
    peaks = [np.abs(part).max() for part in np.array_split(sound, 24)]
    for bar, peak in enumerate(peaks):
        half = int(4 + 50 * peak / max(peaks))
        cv2.rectangle(drawn, (8 * bar + 2, 72 - half), (8 * bar + 5, 72 + half), (255, 255, 255), -1)
    (folder / "voice.png").write_bytes(cv2.imencode(".png", drawn)[1].tobytes())


def clock(seconds: float) -> str:
    """Seconds as SubRip writes them."""
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02},{whole % 1000:03}"


def write_video(path: Path, rate: int, samples: np.ndarray) -> None:
    """Encode H.264 and AAC; the index goes to the front so that a browser can play while it loads."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "25", "preset": "slow"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=rate, layout="mono", bit_rate=64_000)
        for index, image in enumerate(frames(len(samples) / rate)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))
        for at in range(0, len(samples), 1024):
            block = av.AudioFrame.from_ndarray(samples[None, at : at + 1024], format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = rate, at, Fraction(1, rate)
            container.mux(audio.encode(block))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def main(folder: Path) -> None:
    """Write the samples into the folder, each whole or not at all."""
    rate, samples, cues = soundtrack()
    subtitles = "\n".join(
        f"{number}\n{clock(start)} --> {clock(end)}\n{text}\n" for number, (start, end, text) in enumerate(cues, 1)
    )
    video, words = folder / "sample.mp4", folder / "sample.srt"
    write_video(video.with_suffix(".part"), rate, samples)
    video.with_suffix(".part").replace(video)
    words.with_suffix(".part").write_text(subtitles, encoding="utf-8")
    words.with_suffix(".part").replace(words)
    for write, name in ((write_voice, "voice.flac"), (write_face, "face.jpg")):
        write((folder / name).with_suffix(".part"))
        (folder / name).with_suffix(".part").replace(folder / name)
    write_thumbnails(folder)
    sys.stdout.write(f"{video} ({len(samples) / rate:.1f} s, {video.stat().st_size / 1e6:.2f} MB), {words}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
