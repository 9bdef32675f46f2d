"""Figure 7: how long after an utterance its prediction comes, when the clip arrives at the speed it was lived."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import emofuse
from benchmarks.clips import loop, make_clip
from benchmarks.measure import Line, Setting
from benchmarks.models import SMALL
from emofuse.media.audio import AudioBlock
from emofuse.media.clip import Clip


def measure(setting: Setting) -> list[Line]:
    """Median and 95th percentile; the silence that ends an utterance (0.4 s) is part of it."""
    seconds = 3.0 if setting.smoke else 10.0
    clip = make_clip(setting.work / f"{seconds:g}s.mp4", seconds)
    if not setting.smoke:
        clip = loop(clip, setting.work / "stream.mp4", 60.0)
    pipeline = emofuse.load(SMALL, device="cpu")
    list(pipeline.run(clip))
    latencies: list[float] = []
    with _real_time() as start:
        for prediction in pipeline.stream(clip):
            if "speech" in prediction.present:
                latencies.append(time.perf_counter() - start[0] - prediction.end)
    details = {"utterances": len(latencies), "seconds": sorted(round(value, 3) for value in latencies)}
    if not latencies:
        return [Line(7, "latency from the end of an utterance", None, unit="s", details=details)]
    return [
        Line(7, "latency from the end of an utterance, median", float(np.median(latencies)), unit="s", details=details),
        Line(7, "latency from the end of an utterance, 95th percentile", float(np.percentile(latencies, 95)), unit="s"),
    ]


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
