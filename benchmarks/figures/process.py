"""Figures 4 and 5: memory by a clip's length, and the first answer of a fresh process."""

from __future__ import annotations

from benchmarks.clips import SAMPLE, loop, make_clip
from benchmarks.measure import Line, Setting, alternate, peak, python

LIGHT = "import sys; sys.modules['torch'] = None; from emofuse.cli import main; main(sys.argv[1:])"
"""The command line as it is where PyTorch is not installed."""


def memory(setting: Setting) -> list[Line]:
    """Peak memory of a long clip over that of a short one."""
    short, long = (0.1, 0.2) if setting.smoke else (1.0, 60.0)
    seconds = 3.0 if setting.smoke else 10.0
    seed = make_clip(setting.work / f"{seconds:g}s.mp4", seconds)
    found = {}
    for minutes in (short, long):
        clip = loop(seed, setting.work / f"{minutes:g}-minutes.mp4", minutes * 60)
        found[minutes] = peak(clip)
        clip.unlink()
    details = {f"{m:g} minutes": {"peak_mib": mib, "seconds": s} for m, (mib, s) in found.items()}
    ratio = found[long][0] / found[short][0]
    return [Line(4, f"peak memory, {long:g} minutes of 720p / {short:g}", ratio, goal=1.15, details=details)]


def startup(setting: Setting) -> list[Line]:
    """Cold answers over the import of the two heaviest packages, and those of a light install over a whole one's."""
    sides = {
        "import torch, transformers": lambda: python("-c", "import torch, transformers"),
        "emofuse predict": lambda: python("-m", "emofuse", "predict", str(SAMPLE)),
        "emofuse predict, light": lambda: python("-c", LIGHT, "predict", str(SAMPLE)),
        "emofuse --help": lambda: python("-m", "emofuse", "--help"),
    }
    took = alternate(sides, setting.turns, warm=not setting.smoke)
    ratio = took["emofuse predict"] / took["import torch, transformers"]
    light = took["emofuse predict, light"] / took["emofuse predict"]
    return [
        Line(5, "emofuse predict, cold / import torch, transformers", ratio, goal=1.5, details={"seconds": took}),
        Line(5, "emofuse predict without PyTorch, cold / with it", light, goal=0.5),
        Line(5, "emofuse --help", took["emofuse --help"], unit="s", goal=0.5),
    ]
