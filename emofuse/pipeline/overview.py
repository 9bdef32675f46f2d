"""The overview of an analysis: a headline, and a table of what says something, for terminals and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from emofuse.modalities import ordered
from emofuse.types import Prediction


def headline(overall: Prediction) -> str:
    """The three leading emotions of the clip, and the values that are known."""
    ranked = sorted((overall.emotions or {}).items(), key=lambda pair: -pair[1])[:3]
    parts = [f"{name} {share:.0%}" for name, share in ranked]
    if overall.polarity:
        parts.append(leading(overall.polarity))
    parts += [f"{overall.intensity_level} intensity"] if overall.intensity_level else []
    parts += [
        f"{name} {value:+.2f}" for name in ("valence", "arousal") if (value := getattr(overall, name)) is not None
    ]
    return ", ".join(parts)


def columns(segments: Sequence[Prediction], words_of: Callable[[Prediction], str]) -> dict[str, list[str]]:
    """Heading → a cell a segment; what says nothing for this clip (one person, no words, a modality that is absent) is
    left out."""
    found: dict[str, list[str]] = {"time": [f"{clock(p.start)}–{clock(p.end)}" for p in segments]}
    if len({p.person for p in segments}) > 1:
        found["person"] = ["" if p.person is None else str(p.person) for p in segments]
    if any(p.speaker for p in segments):
        found["speaker"] = [p.speaker or "" for p in segments]
    found["emotion"] = [leading(p.emotions) for p in segments]
    if any("emotion" in p.sets for p in segments):
        found["one of"] = [" or ".join(p.sets.get("emotion", ())) or "unclear" for p in segments]
    for modality in ordered(m for p in segments for m in p.by_modality):
        found[modality] = [
            leading(p.by_modality.get(modality)).rpartition(" ")[0] + "?" * (modality in p.unfamiliar) for p in segments
        ]
    found["words"] = [words_of(p) for p in segments]
    return {name: cells for name, cells in found.items() if any(cells)}


def leading(shares: Mapping[str, float] | None) -> str:
    """The first of a distribution with its probability; "" for none."""
    if not shares:
        return ""
    name = max(shares, key=lambda key: shares[key])
    return f"{name} {shares[name]:.0%}"


def clock(seconds: float) -> str:
    """minutes:seconds.tenths"""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}"
