"""Figure 6: where the time of a clip goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import emofuse
from benchmarks.clips import make_clip
from benchmarks.measure import Line, Setting
from benchmarks.models import SMALL, base_model
from emofuse.media.clip import Clip
from emofuse.media.faces.collect import FaceCollector
from emofuse.media.vad import VoiceActivity
from emofuse.model import model as network

STAGES = ("decode", "detection", "voice activity", "preparation", "encoders", "fusion", "rest")
LARGEST = 0.25
"""Share of a stage outside the encoders from which it is next to be mended."""


def measure(setting: Setting) -> list[Line]:
    """A row a stage and size; the plot goes beside the report."""
    seconds = 3.0 if setting.smoke else 10.0
    clip = make_clip(setting.work / f"{seconds:g}s.mp4", seconds)
    found: dict[str, dict[str, float]] = {}
    for size, model in ((SMALL, SMALL), ("base", str(base_model(setting.work, tiny=setting.smoke).checkpoint))):
        pipeline = emofuse.load(model, device="cpu")
        list(pipeline.run(clip))
        rounds = [_shares(pipeline, clip) for _ in range(setting.turns)]
        found[size] = {stage: sorted(r[stage] for r in rounds)[len(rounds) // 2] for stage in STAGES}
    plot(found, setting.work / "shares.png")
    lines = []
    for size, shares in found.items():
        outside = {stage: share for stage, share in shares.items() if stage != "encoders"}
        worst = max(outside, key=lambda stage: outside[stage])
        what = f"largest share outside the encoders, {size}: {worst}"
        lines.append(Line(6, what, outside[worst], unit="of the total", goal=LARGEST, details={"shares": shares}))
    return lines


def _shares(pipeline: Any, clip: Path) -> dict[str, float]:
    """Shares of one analysis without threads beside it, so that each second belongs to one stage."""
    seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    with _timed(seconds, pipeline.model):
        began = time.perf_counter()
        list(pipeline.run(clip))
        total = time.perf_counter() - began
    seconds["rest"] = total - sum(seconds.values())
    return {stage: took / total for stage, took in seconds.items()}


@contextmanager
def _timed(seconds: dict[str, float], model: Any) -> Iterator[None]:
    """Clocks around each stage, taken away after."""
    places: list[tuple[Any, str, str]] = [
        (FaceCollector, "push", "detection"),
        (VoiceActivity, "push", "voice activity"),
        (model, "prepare", "preparation"),
        (network, "collate", "preparation"),
        (model, "encode", "encoders"),
        (model, "fuse", "fusion"),
        (model, "decode", "fusion"),
    ]
    before = [(owner, name, vars(owner).get(name)) for owner, name, _ in places]
    items = Clip.items

    def timed_items(*arguments: Any, **options: Any) -> Iterator[Any]:
        source = items(*arguments, **options)
        while True:
            began = time.perf_counter()
            item = next(source, None)
            seconds["decode"] += time.perf_counter() - began
            if item is None:
                return
            yield item

    for owner, name, stage in places:
        setattr(owner, name, _clock(getattr(owner, name), stage, seconds))
    Clip.items = timed_items  # type: ignore[method-assign]
    try:
        yield
    finally:
        Clip.items = items  # type: ignore[method-assign]
        for owner, name, method in before:
            if method is None:
                delattr(owner, name)
            else:
                setattr(owner, name, method)


def _clock(method: Callable[..., Any], stage: str, seconds: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*arguments, **options)
        finally:
            seconds[stage] += time.perf_counter() - began

    return timed


def plot(found: dict[str, dict[str, float]], path: Path) -> Path:
    """A bar a size, stacked by stage."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.6 * len(found)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb")
    left = dict.fromkeys(found, 0.0)
    for stage, colour in zip(STAGES, colours, strict=True):
        widths = [shares[stage] for shares in found.values()]
        axes.barh(list(found), widths, left=[left[size] for size in found], color=colour, label=stage)
        for row, (size, width) in enumerate(zip(found, widths, strict=True)):
            if width >= 0.04:
                axes.text(left[size] + width / 2, row, f"{width:.0%}", ha="center", va="center", fontsize=8)
            left[size] += width
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the time of a 10 s clip")
    axes.legend(ncols=4, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    part = path.with_suffix(".part.png")
    figure.savefig(part, dpi=120)
    part.replace(path)
    return path
