"""Figure 7: how long after an utterance its predictions come, when the clip arrives at the speed it was lived."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import emofuse
from benchmarks.clips import loop, make_clip
from benchmarks.measure import Line, Setting
from benchmarks.models import SMALL
from emofuse.media.audio import AudioBlock
from emofuse.media.clip import Clip


def measure(setting: Setting) -> list[Line]:
    """Median and 95th percentile of the first answer that stands, and of the final one; the silence that ends an
    utterance (0.4 s) is part of both. The segments must be those of a run without early answers."""
    seconds = 3.0 if setting.smoke else 10.0
    clip = make_clip(setting.work / f"{seconds:g}s.mp4", seconds)
    if not setting.smoke:
        clip = loop(clip, setting.work / "stream.mp4", 60.0)
    pipeline = emofuse.load(SMALL, device="cpu")
    plain = [(p.start, p.end) for p in pipeline.stream(clip)]
    first, final = _latencies(pipeline, clip, plain)
    if not final:
        return [Line(7, "latency from the end of an utterance", None, unit="s")]
    lines = []
    for name, each, goals in (("first answer", first, (0.7, 1.0)), ("final answer", final, (None, None))):
        details = {"utterances": len(each), "seconds": sorted(round(value, 3) for value in each)}
        what = f"latency from the end of an utterance to its {name}, "
        median, late = float(np.median(each)), float(np.percentile(each, 95))
        lines += [Line(7, what + "median", median, unit="s", goal=goals[0], details=details)]
        lines += [Line(7, what + "95th percentile", late, unit="s", goal=goals[1])]
    return lines


def _latencies(pipeline: Any, clip: Path, plain: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Of each utterance, seconds from its end to the first answer that was of all of it, and to the final one."""
    early: dict[tuple[float, float], float] = {}
    first, final, found = [], [], []
    with _real_time() as start:
        for prediction in pipeline.stream(clip, early=True):
            span = prediction.start, prediction.end
            late = time.perf_counter() - start[0] - prediction.end
            if prediction.provisional:
                early.setdefault(span, late)
                continue
            found.append(span)
            if "speech" in prediction.present:
                first.append(early.get(span, late))
                final.append(late)
    assert found == plain, "early answers changed the segments"
    return first, final


@contextmanager
def _real_time() -> Iterator[list[float]]:
    """Within: clips give each item no sooner than it would have happened; yields [when the clip began]."""
    items, start = Clip.items, [0.0]

    def paced(*arguments: Any, **options: Any) -> Iterator[Any]:
        start[0] = time.perf_counter()
        for item in items(*arguments, **options):
            when = item.end if isinstance(item, AudioBlock) else item.time
            time.sleep(max(0.0, start[0] + when - time.perf_counter()))
            yield item

    Clip.items = paced  # type: ignore[method-assign]
    try:
        yield start
    finally:
        Clip.items = items  # type: ignore[method-assign]
