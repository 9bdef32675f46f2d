"""Many and long inputs, and overload: `uv run python -m benchmarks.scale [--only texts,clips,…] [--smoke]`.

Peak memory of a job of 100,000 texts over that of 1,000, the same of clips of half a second, of five hours of sound
over three minutes, and answers of a service at twice what it can do for so many minutes. Hours in all, on two cores;
each row is printed when it is there, and --smoke shows in a minute that it runs.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.__main__ import table
from benchmarks.figures import jobs, service
from benchmarks.measure import Line, Setting, peak, weigh

FIGURE = 11
RATE = 8_000
HOURS, MINUTES = 5.0, 3.0
"""Of the long clip and the short one."""
MANY, FEW = 100_000, 1_000
SAID = ("I never thought of it", "We made it", "This is terrible", "How could you", "It rained again", "So be it")


def texts(setting: Setting) -> list[Line]:
    """Peak memory of a job of many texts over that of few."""
    many, few = (40, 20) if setting.smoke else (MANY, FEW)
    found = {count: _weighed(_posts(setting.work, count), setting.work) for count in (few, many)}
    return [_line(f"{many:,} texts / {few:,}", found[many], found[few])]


def clips(setting: Setting) -> list[Line]:
    """The same of clips of half a second."""
    many, few = (4, 2) if setting.smoke else (MANY, FEW)
    seed = jobs.tone(setting.work / "half-second.wav")
    found = {}
    for count in (few, many):
        home = jobs.links(setting.work, seed, count)
        found[count] = _weighed(home, setting.work)
        shutil.rmtree(home)
    return [_line(f"{many:,} clips of 0.5 s / {few:,}", found[many], found[few])]


def long(setting: Setting) -> list[Line]:
    """Peak memory on hours of sound over that on minutes."""
    sizes = (0.5, 0.25) if setting.smoke else (60 * HOURS, MINUTES)
    found = {}
    for minutes in sizes:
        clip = speech_like(setting.work / f"{minutes:g}-minutes.wav", 60 * minutes)
        found[minutes] = peak(clip, *jobs.OPTIONS)[0]
        clip.unlink()
    return [_line(f"{sizes[0]:g} minutes of sound / {sizes[1]:g}", *found.values(), goal=1.15)]


def overload(setting: Setting) -> list[Line]:
    """A service at twice what it can do."""
    import emofuse

    return service.overload(emofuse.load("emofuse-small"), setting.seconds)


WORKS: dict[str, Callable[[Setting], list[Line]]] = {
    "texts": texts,
    "clips": clips,
    "long": long,
    "overload": overload,
}


def speech_like(path: Path, seconds: float) -> Path:
    """So much sound at 8 kHz, 8 bits: noise in the rhythm of syllables, and every 20 s the voice of the sample."""
    from benchmarks.clips import SAMPLE
    from emofuse.media.decode import read_audio

    voice, rng = read_audio(SAMPLE)[::2], np.random.default_rng(0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(RATE)
        for begin in np.arange(0.0, seconds, 20.0):
            length = round(min(20.0, seconds - begin) * RATE)
            sound = _syllables(length, rng)
            said = voice[: max(0, length - RATE)]
            sound[RATE : RATE + len(said)] = said * rng.uniform(0.3, 1.0)
            file.writeframes((sound * 127 + 128).clip(0, 255).astype(np.uint8).tobytes())
    return path


def _syllables(length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise whose low frequencies are loud, four times a second louder."""
    spectrum = np.fft.rfft(rng.standard_normal(length)) / np.sqrt(1 + np.arange(length // 2 + 1) / 200)
    noise = np.fft.irfft(spectrum, length)
    rhythm = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * np.arange(length) / RATE)
    return 0.1 * rhythm * noise / noise.std()


def _posts(work: Path, count: int) -> Path:
    """A table of so many texts."""
    path = work / f"{count}-posts.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text"])
        rows.writerows([f"p{i}", f"{SAID[i % len(SAID)]} {i}."] for i in range(count))
    return path


def _weighed(inputs: Path, work: Path) -> float:
    """Peak MiB of a job in one process, which answers all there is."""
    from emofuse.batch_jobs.job import Job
    from emofuse.batch_jobs.status import status

    out = work / "scale-out"
    shutil.rmtree(out, ignore_errors=True)
    mib = weigh("-m", "emofuse", "batch", str(inputs), "--out", str(out), "--workers", "0", *jobs.OPTIONS)
    now = status(Job(out))
    assert now.complete and not now.failed, now
    shutil.rmtree(out)
    return mib


def _line(what: str, large: float, small: float, goal: float = 1.1) -> Line:
    details = {"peak_mib": {"large": large, "small": small}}
    return Line(FIGURE, f"peak memory, {what}", large / small, goal=goal, details=details)


def main() -> int:
    """Print each row when it is there, then all."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--only", default=",".join(WORKS), metavar="NAME,…", help=f"any of {', '.join(WORKS)}")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: that it runs, not what it costs")
    parser.add_argument("--minutes", type=float, default=5.0, help="of overload")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "emofuse-benchmarks")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    if not set(chosen) <= WORKS.keys() or arguments.minutes <= 0:
        parser.error(f"--only takes {', '.join(WORKS)}, and --minutes more than 0")
    arguments.work.mkdir(parents=True, exist_ok=True)
    setting = Setting(arguments.work, arguments.smoke, minutes=arguments.minutes)
    lines: list[Line] = []
    for name in chosen:
        found = WORKS[name](setting)
        for line in found:
            sys.stderr.write(f"{line.what}: {line.value:.3g} {line.unit} {dict(line.details)}\n")
        lines += found
    sys.stdout.write(table(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
