"""Figures 1 and 2: the pipeline on a clip, against bare encoders, and against what a user would glue together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import emofuse
from benchmarks.clips import CUES, make_clip
from benchmarks.glue import Glue
from benchmarks.measure import Line, Setting, alternate
from benchmarks.models import SMALL, Sources, base_model
from emofuse.media.decode import read_audio

CROPS = 16
SECONDS = 10.0


def measure(setting: Setting, figures: set[int]) -> list[Line]:
    """Rows of both figures that are wanted."""
    seconds = 3.0 if setting.smoke else SECONDS
    clip = make_clip(setting.work / f"{seconds:g}s.mp4", seconds)
    sources = base_model(setting.work, tiny=setting.smoke)
    lines = []
    for size, model in (("base", str(sources.checkpoint)), (SMALL, SMALL)):
        pipeline = emofuse.load(model, device="cpu")
        sides: dict[str, Callable[[], object]] = {"pipeline": end_to_end(pipeline, clip)}
        if 1 in figures:
            sides["bare encoders"] = bare(sources, clip, seconds) if size == "base" else own_encoders(pipeline, clip)
        if 2 in figures and size == "base":
            sides["glue"] = Glue(sources, clip)
        took = alternate(sides, setting.turns)
        factor = took["pipeline"] / seconds
        extra = {"seconds": took, "real_time_factor": factor}
        if 1 in figures:
            ratio = took["pipeline"] / took["bare encoders"]
            extra |= {"precision": precision(pipeline)}
            goal = 0.6 if size == "base" else None
            lines.append(Line(1, f"pipeline / bare encoders, {size}", ratio, goal=goal, details=extra))
            lines.append(Line(1, f"real-time factor of the pipeline, {size}", factor, unit="s/s"))
            if size == "base":
                for what, change in drift(model, pipeline, clip).items():
                    name = f"largest change of a probability by {extra['precision']}, base: {what}"
                    lines.append(Line(1, name, change, unit="", goal=0.02))
        if "glue" in took:
            ratio = took["glue"] / took["pipeline"]
            lines.append(Line(2, "glue / pipeline, base", ratio, goal=4.0, at_most=False, details=extra))
    return lines


def end_to_end(pipeline: Any, clip: Path) -> Callable[[], Any]:
    """The call a user makes."""
    return lambda: pipeline(clip, transcript=clip.with_suffix(".srt"))


def bare(sources: Sources, clip: Path, seconds: float) -> Callable[[], None]:
    """The three libraries' encoders, float32, eager attention, batch 1: the clip's words, its sound, 16 crops."""
    import timm
    from timm.layers.config import set_fused_attn
    from transformers import AutoModel, AutoTokenizer

    text = AutoModel.from_pretrained(sources.text, attn_implementation="eager").eval()
    speech = AutoModel.from_pretrained(sources.speech, attn_implementation="eager").eval()
    set_fused_attn(False)
    face = timm.create_model(f"local-dir:{sources.face}", pretrained=True, num_classes=0).eval()
    set_fused_attn(True)
    words = " ".join(text for start, _, text in CUES * 2 if start < seconds)
    ids = AutoTokenizer.from_pretrained(sources.text)(words, return_tensors="pt")
    sound = torch.from_numpy(read_audio(clip))[None]
    crops = torch.rand(CROPS, 3, 224, 224)

    def forward() -> None:
        with torch.inference_mode():
            text(**ids)
            speech(sound)
            face(crops)

    return forward


def own_encoders(pipeline: Any, clip: Path) -> Callable[[], None]:
    """The small model's own encoders, one row after another, on inputs that are there already."""
    found = [segment for _, segment in pipeline.run(clip, transcript=clip.with_suffix(".srt"))]
    from emofuse.batch import collate

    batches = [collate([pipeline.model.prepare(segment)]) for segment in found]

    def forward() -> None:
        with torch.inference_mode():
            for batch in batches:
                pipeline.model.encode(batch)

    return forward


def precision(pipeline: Any) -> str:
    """What the model multiplies in."""
    names = {type(module).__name__ for module in pipeline.model.modules()}
    return "int8" if "Int8Linear" in names else "bfloat16" if "BFloat16Linear" in names else "float32"


def drift(model: str, pipeline: Any, clip: Path) -> dict[str, float]:
    """The largest difference of any probability from the same model's in float32: of an emotion's, of a polarity's."""
    exact = end_to_end(emofuse.load(model, device="cpu", precision="float32"), clip)()
    found = end_to_end(pipeline, clip)()
    changes: dict[str, list[float]] = {"emotion": [], "polarity": []}
    for one, other in zip(found.segments, exact.segments, strict=True):
        emotions = [(one.emotions, other.emotions)]
        emotions += [(table, other.by_modality[m]) for m, table in one.by_modality.items()]
        changes["emotion"] += [abs(a[name] - b[name]) for a, b in emotions for name in a]
        changes["polarity"] += [abs(one.polarity[name] - other.polarity[name]) for name in one.polarity]
    return {what: max(each) for what, each in changes.items()}
