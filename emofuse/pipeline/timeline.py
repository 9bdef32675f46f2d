"""The timeline picture: fused and unimodal predictions over time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emofuse import plots
from emofuse.errors import MediaError, nearest
from emofuse.files import as_path, write_file
from emofuse.modalities import ordered
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


ENDINGS = (".png", ".pdf", ".svg")
COLOURS = {emotion: plots.COLOURS[i] for emotion, i in zip(EMOTIONS, (6, 1, 0, 2, 3, 5, 4), strict=True)}
"""Pale for neutral, gold for joy, blue for sadness, red for anger, and so on."""
Row = tuple[str, Sequence[tuple[float, float, Mapping[str, float]]]]


def rows(predictions: Sequence[Prediction]) -> list[Row]:
    """(name, [(start, end, emotions)]): a fused row for each person, then one a modality, of those who speak."""
    persons = sorted({p.person for p in predictions if p.person is not None})
    fused: list[Row] = []
    if len(persons) > 1:
        for who in persons:
            fused.append(
                (f"person {who}", [(p.start, p.end, p.emotions or {}) for p in predictions if p.person == who])
            )
        nobody = [(p.start, p.end, p.emotions or {}) for p in predictions if p.person is None]
        fused += [("nobody in view", nobody)] if nobody else []
    else:
        fused.append(("fused", [(p.start, p.end, p.emotions or {}) for p in predictions]))
    first = {(p.start, p.end): p for p in reversed(predictions)}.values()
    unimodal: list[Row] = [
        (m, [(p.start, p.end, p.by_modality[m]) for p in first if m in p.by_modality])
        for m in ordered(m for p in first for m in p.by_modality)
    ]
    return fused + [row for row in unimodal if row[1]]


def draw(predictions: Sequence[Prediction], path: str | Path, reason: str = "") -> Path:
    """Write the timeline: stacked probabilities of the emotions over time, valence and arousal below where known.

    What a modality says of a segment that is unlike its training is hatched.

    `reason` says why there are no predictions, where there are none.

    Raises `MediaError` for an ending it does not know, `MissingExtraError` without matplotlib.
    """
    target = as_path(path, "timeline.png")
    check_ending(target)
    picture = io.BytesIO()
    with plots.style():
        figure(predictions, reason).savefig(
            picture, format=target.suffix.lower()[1:], metadata=_UNDATED.get(target.suffix.lower())
        )
    return write_file(target, picture.getvalue())


def check_ending(path: Path) -> None:
    """Raise `MediaError` for a name whose ending is no format a picture is written in."""
    if path.suffix.lower() not in ENDINGS:
        raise MediaError(f"cannot draw to {str(path)!r}: {nearest(path.suffix, ENDINGS)}")


_UNDATED = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}


def figure(predictions: Sequence[Prediction], reason: str = "") -> Figure:
    """One strip a row of `rows`, on one axis of seconds; without predictions, the reason stands there."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    strips = rows(predictions)
    feelings = [p for p in predictions if p.valence is not None or p.arousal is not None]
    sheet = Figure(figsize=(9, 0.9 * len(strips) + 1.3 * bool(feelings) + 1.0), layout="constrained")
    axes = sheet.subplots(len(strips) + bool(feelings), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, spans) in zip(axes, strips, strict=False):
        _stack(axis, name, spans)
        for p in (p for p in predictions if name in p.unfamiliar):
            axis.axvspan(
                p.start, max(p.end, p.start + 1e-3), fill=False, hatch="///", linewidth=0, edgecolor=plots.FAINT
            )
    if feelings:
        _lines(axes[-1], feelings)
    if not predictions:
        axes[0].text(
            0.5, 0.5, reason or "no predictions", transform=axes[0].transAxes, ha="center", va="center"
        ).set_in_layout(False)
    end = max((p.end for p in predictions), default=0.0)
    axes[-1].set_xlim(0, max(end, 1e-3))
    axes[-1].set_xlabel("seconds")
    patches = [Patch(color=colour, label=name) for name, colour in COLOURS.items()]
    sheet.legend(handles=patches, loc="outside upper center", ncols=len(patches), fontsize=8, handlelength=1)
    return sheet


def _stack(axis: Axes, name: str, spans: Sequence[tuple[float, float, Mapping[str, float]]]) -> None:
    """One strip: the probabilities of each segment, stacked; nothing is drawn between segments."""
    times = np.array([at for start, end, _ in spans for at in (start, max(end, start + 1e-3), end)])
    bottom = np.zeros(len(times))
    for emotion, colour in COLOURS.items():
        shares = np.array([e.get(emotion, 0.0) for *_, e in spans])
        top = bottom + np.stack([shares, shares, np.full_like(shares, np.nan)], axis=1).ravel()
        axis.fill_between(times, bottom, top, color=colour, linewidth=0)
        bottom = top
    axis.set(ylim=(0, 1), yticks=[])
    axis.set_ylabel(name, rotation=0, ha="right", va="center")
    axis.grid(visible=False)
    axis.spines["left"].set_visible(False)


def _lines(axis: Axes, predictions: Sequence[Prediction]) -> None:
    """Valence and arousal, each from -1 to 1, a level a segment."""
    for index, name in enumerate(("valence", "arousal")):
        spans = [(p.start, p.end, value) for p in predictions if (value := getattr(p, name)) is not None]
        if spans:
            starts, ends, values = zip(*spans, strict=True)
            axis.hlines(values, starts, ends, color=plots.COLOURS[index], linestyle=plots.LINES[index], label=name)
    axis.axhline(0, color=plots.FAINT, linewidth=0.5)
    axis.set_ylim(-1, 1)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
