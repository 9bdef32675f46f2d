"""Figure 9: on a GPU, how much of what it can do the encoders reach, and how fast clips go through."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

import emofuse
from benchmarks.clips import make_clip
from benchmarks.measure import Line, Setting
from benchmarks.models import base_model
from emofuse.batch import collate

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40": 181e12, "L4": 121e12, "4090": 165e12, "T4": 65e12}
"""Dense bfloat16 operations a second that the makers name (float16 for the T4)."""


def measure(setting: Setting) -> list[Line]:
    """One row that says so where there is no GPU."""
    if not torch.cuda.is_available():
        return [Line(9, "share of the bf16 peak (no GPU here)", None)]
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    seconds = 3.0 if setting.smoke else 10.0
    clip = make_clip(setting.work / f"{seconds:g}s.mp4", seconds)
    pipeline = emofuse.load(str(base_model(setting.work, tiny=setting.smoke).checkpoint), device="cuda")
    segments = [segment for _, segment in pipeline.run(clip, transcript=clip.with_suffix(".srt"))]
    reached = _operations(pipeline, segments, 2 if setting.smoke else 32)
    clips = [clip] * (2 if setting.smoke else 16)
    began = time.perf_counter()
    pipeline.predict_many(clips, progress=False)
    rate = len(clips) / (time.perf_counter() - began)
    began = time.perf_counter()
    for _ in pipeline._draft(source=clip).people():
        pass
    decode = (time.perf_counter() - began) * rate
    share = None if peak is None else reached / peak
    details = {"device": name, "operations_per_second": reached}
    return [
        Line(9, f"share of the bf16 peak at a full batch, {name}", share, unit="of the peak", details=details),
        Line(9, f"clips of {seconds:g} s a second", rate, unit="clips/s"),
        Line(9, "reading a clip, in threads, over the time a clip takes", decode, unit="threads"),
    ]


def _operations(pipeline: Any, segments: list[Any], rows: int) -> float:
    """Operations a second of the encoders on a full batch, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    model = pipeline.model
    batch = collate([model.prepare(segments[i % len(segments)]) for i in range(rows)]).to(model.device)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            model.encode(batch)
        took = []
        for _ in range(5):
            torch.cuda.synchronize()
            began = time.perf_counter()
            model.encode(batch)
            torch.cuda.synchronize()
            took.append(time.perf_counter() - began)
    return counter.get_total_flops() / statistics.median(took)
