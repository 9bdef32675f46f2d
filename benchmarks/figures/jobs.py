"""Figures 3 and 4 of a batch job: two workers against one `predict_many`, and memory by the number of clips."""

from __future__ import annotations

import os
import shutil
import wave
from pathlib import Path

import emofuse
from benchmarks.clips import make_clip
from benchmarks.measure import Line, Setting, alternate, python, weigh
from benchmarks.models import SMALL

LINKS = 10_000
"""Names that one file has: file systems allow some sixty thousand."""
OPTIONS = ("--asr", "none", "--device", "cpu")


def throughput(setting: Setting) -> list[Line]:
    """Clips a second of `emofuse batch --workers 2`, start of the processes included, over those of `predict_many`."""
    seconds, count = (1.5, 4) if setting.smoke else (3.0, 500)
    home = links(setting.work, make_clip(setting.work / f"{seconds:g}s.mp4", seconds), count)
    pipeline = emofuse.load(SMALL, device="cpu")
    pipeline(next(home.iterdir()))
    out = setting.work / "batch-out"

    def batch() -> None:
        shutil.rmtree(out, ignore_errors=True)
        python("-m", "emofuse", "batch", str(home), "--out", str(out), "--workers", "2", *OPTIONS)

    clips = sorted(home.iterdir())
    sides = {"predict_many": lambda: pipeline.predict_many(clips, progress=False), "batch": batch}
    took = alternate(sides, 1, warm=False)
    for folder in (home, out):
        shutil.rmtree(folder)
    what = f"one predict_many / batch --workers 2, {count} clips of {seconds:g} s, {SMALL}"
    ratio = took["predict_many"] / took["batch"]
    return [Line(3, what, ratio, goal=1.7, at_most=False, details={"seconds": took})]


def memory(setting: Setting) -> list[Line]:
    """Peak memory of a job in one process, of many clips over few; the clips are half a second of sound."""
    few, many = (2, 4) if setting.smoke else (50, 5_000)
    seed = tone(setting.work / "half-second.wav")
    found = {}
    for count in (few, many):
        home, out = links(setting.work, seed, count), setting.work / "batch-out"
        found[count] = weigh("-m", "emofuse", "batch", str(home), "--out", str(out), "--workers", "0", *OPTIONS)
        for folder in (home, out):
            shutil.rmtree(folder)
    details = {f"{count} clips": {"peak_mib": mib} for count, mib in found.items()}
    ratio = found[many] / found[few]
    return [Line(4, f"peak memory of a job, {many:,} clips / {few}", ratio, goal=1.1, details=details)]


def links(work: Path, seed: Path, count: int) -> Path:
    """A folder of links to one clip, without the words that lie beside it."""
    home = work / "batch-in"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for i in range(count):
        path = home / f"{i:06d}{seed.suffix}"
        if i % LINKS:
            os.link(home / f"{i - i % LINKS:06d}{seed.suffix}", path)
        else:
            shutil.copyfile(seed, path)
    return home


def tone(path: Path) -> Path:
    """Half a second of the sample's voice, as wav."""
    from benchmarks.clips import SAMPLE
    from emofuse.media.decode import read_audio

    samples = read_audio(SAMPLE)[16_000:24_000]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32_767).astype("<i2").tobytes())
    return path
