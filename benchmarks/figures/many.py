"""Figure 3: many clips at once against one after another."""

from __future__ import annotations

import shutil

import emofuse
from benchmarks.clips import make_clip
from benchmarks.measure import Line, Setting, alternate
from benchmarks.models import SMALL, base_model


def measure(setting: Setting) -> list[Line]:
    """Rows for both sizes."""
    seconds, count = (1.5, 2) if setting.smoke else (3.0, 32)
    first = make_clip(setting.work / f"{seconds:g}s.mp4", seconds)
    clips = [first.with_name(f"many-{i}.mp4") for i in range(count)]
    for clip in clips:
        shutil.copy2(first, clip)
    lines = []
    for size, model in ((SMALL, SMALL), ("base", str(base_model(setting.work, tiny=setting.smoke).checkpoint))):
        pipeline = emofuse.load(model, device="cpu")
        pipeline(first)
        turns = 1 if size == "base" else min(3, setting.turns)
        sides = {
            "loop": lambda pipeline=pipeline: [pipeline(clip) for clip in clips],
            "predict_many": lambda pipeline=pipeline: pipeline.predict_many(clips, progress=False),
        }
        took = alternate(sides, turns, warm=False)
        ratio = took["loop"] / took["predict_many"]
        what = f"loop / predict_many, {count} clips of {seconds:g} s, {size}"
        lines.append(Line(3, what, ratio, goal=1.5, at_most=False, details={"seconds": took}))
    for clip in clips:
        clip.unlink()
    return lines
