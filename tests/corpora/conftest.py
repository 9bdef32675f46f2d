"""Tiny corpora in their true published layouts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile


def sound(path: Path, seconds: float = 0.5, rate: int = 16_000, silence: float = 0.0) -> Path:
    """A 220 Hz tone, with `silence` seconds of exact zeros after it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.3 * np.cos(2 * np.pi * 220 * np.arange(int(seconds * rate)) / rate)
    soundfile.write(path, np.concatenate([tone, np.zeros(int(silence * rate))]), rate)
    return path


def video(path: Path, seconds: float = 1.0, fps: int = 10) -> Path:
    """A small silent mp4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for i in range(round(seconds * fps)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 * i % 255, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def text(path: Path, content: str) -> Path:
    """A UTF-8 file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def truncate(path: Path, share: float = 0.5) -> Path:
    """Cut a file's end off."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The makers above: `make.sound(path)`, `make.video(path)`, `make.text(path, content)`, `make.truncate(path)`."""
    return SimpleNamespace(sound=sound, video=video, text=text, truncate=truncate)
