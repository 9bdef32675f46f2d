"""The explanation page: coloured words, relevance over the voice, heat maps over the face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup

from emofuse import pages
from emofuse.explain.causes import Cause
from emofuse.explain.explanation import Explanation, FaceEvidence
from emofuse.files import write_file
from emofuse.types import Segment

FOR, AGAINST = (0, 68, 136), (221, 170, 51)
"""Blue and amber, apart for colour-blind readers and in grey; what speaks against has a dotted line as well."""
WIDTH, HEIGHT = 720, 112
AXIS = 20
"""Pixels of the seconds below a sound."""
EDGE = 16
"""Pixels of a time mark's half width."""
FRAMES = 6


def write_page(explanation: Explanation, segment: Segment, path: str | Path, *, source: str = "") -> Path:
    """Write `page_of` under a temporary name, then move it; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_file(path, page_of([(explanation, segment)], source=source))


def page_of(parts: list[tuple[Explanation, Segment]], *, source: str = "") -> str:
    """One self-contained page for the segments of a clip, in the order given."""
    title = f"Why: {source}" if source else "Why"
    return pages.render("explanation.html", title=title, parts=[_part(e, s) for e, s in parts], shade=_shade)


def _part(e: Explanation, segment: Segment) -> dict[str, Any]:
    heard = e.speech_scores.size and segment.waveform is not None
    return {
        "span": f"{segment.start:.1f} – {segment.end:.1f} s",
        "sentence": e.sentence(),
        "contributions": _contributions(e) if len(e.shapley.values) > 1 else None,
        "words": _words(e) if e.words else None,
        "voice": _voice(e, segment) if heard else None,
        "face": _face(e) if e.faces else None,
        "causes": [(str(c.turn), c.text, signed(c.effect, 3), _moved(c)) for c in e.causes or ()],
        "flips": [flip.sentence() for flip in e.flips or ()],
        "footnote": _footnote(e),
    }


def _moved(cause: Cause) -> str:
    """The words of a turn with their effects, where they were looked at."""
    return ", ".join(f"{word.text} {signed(word.effect, 3)}" for word in cause.words)


def _footnote(e: Explanation) -> str:
    if e.answer is None:
        return ""
    notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in e.notes)
    change, context = e.log_odds[0] - e.log_odds[1], f" Earlier turns: {signed(e.context)}." if e.context else ""
    return (
        f"Scores are shares of the change in {'log-odds' if e.target else e.task}, {signed(change)}, from words, a "
        f"sound and a picture that say nothing; they add up to it within {abs(e.error):.2f}.{context} Colours are as "
        "strong as the strongest of their own kind." + notes
    )


def signed(score: float, digits: int = 2) -> str:
    """A number with its sign; the minus is as wide as the plus."""
    return f"{score:+.{digits}f}".replace("-", "−")


def _contributions(e: Explanation) -> dict[str, Any]:
    """Rows of modality, percent of the largest bar, value and its text."""
    unit = 100 if e.target else 1
    largest = max(abs(v) for v in e.shapley.values.values()) or 1.0
    return {
        "unit": f"Points of probability of {e.target}" if e.target else e.task,
        "none": f"{unit * e.shapley.none:.1f}",
        "full": f"{unit * e.shapley.full:.1f}",
        "each": [
            (modality, round(100 * abs(value) / largest), np.sign(value), signed(unit * value, 1))
            for modality, value in e.shapley.values.items()
        ],
    }


def _words(e: Explanation) -> dict[str, Any]:
    largest = max(abs(w.score) for w in e.words) or 1.0
    each = [
        {
            "text": word.text,
            "classes": " ".join(n for n, yes in (("against", word.score < 0), ("lexicon", bool(word.valence))) if yes),
            "told": signed(word.score) + (f", lexicon {signed(word.valence)}" if word.valence else ""),
            "share": word.score / largest,
        }
        for word in e.words
    ]
    return {"total": signed(sum(w.score for w in e.words)), "each": each}


def _voice(e: Explanation, segment: Segment) -> dict[str, Any]:
    """The outline of the sound over bands of relevance, with seconds below; height says how much, up is for."""
    assert segment.waveform is not None
    seconds = max(segment.end - segment.start, 1e-6)
    return {
        "total": signed(float(e.speech_scores.sum())),
        "width": WIDTH,
        "height": HEIGHT,
        "bands": _bands(e, segment.start, seconds),
        "outline": pages.waveform(segment.waveform, width=WIDTH, height=HEIGHT - AXIS, colour="#1a1a1a55"),
        "marks": _marks(segment, seconds),
    }


def _bands(e: Explanation, start: float, seconds: float) -> list[dict[str, str]]:
    largest = float(np.abs(e.speech_scores).max()) or 1.0
    middle = (HEIGHT - AXIS) / 2
    width = WIDTH * (e.speech_times[1] - e.speech_times[0] if len(e.speech_times) > 1 else seconds) / seconds
    bands = []
    for time, score in zip(e.speech_times, e.speech_scores, strict=True):
        tall = middle * abs(score) / largest
        bands.append(
            {
                "x": f"{WIDTH * (time - start) / seconds - width / 2:.1f}",
                "y": f"{middle - tall if score > 0 else middle:.1f}",
                "width": f"{width:.1f}",
                "height": f"{tall:.1f}",
                "colour": f"rgb{FOR if score > 0 else AGAINST}",
                "told": f"{time:.1f} s: {signed(score)}",
            }
        )
    return bands


def _marks(segment: Segment, seconds: float) -> list[dict[str, str]]:
    """Seconds below the sound, every half, whole or fifth of them."""
    step = 0.5 if seconds <= 3 else 1.0 if seconds <= 12 else 5.0
    marks = []
    for t in step * np.arange(np.ceil(segment.start / step), np.floor(segment.end / step) + 1):
        x = WIDTH * (t - segment.start) / seconds
        anchor = "start" if x < EDGE else "end" if x > WIDTH - EDGE else "middle"
        marks.append({"x": f"{x:.0f}", "anchor": anchor, "told": f"{t:g} s"})
    return marks


def _face(e: Explanation) -> dict[str, Any]:
    """The frames that say most, each beside itself under its heat map, and the regions in words."""
    ranked = sorted(e.faces, key=lambda f: -float(np.abs(f.cells).sum()))[:FRAMES]
    largest = max(float(np.abs(f.cells).max()) for f in ranked) or 1.0
    frames = []
    for face in sorted(ranked, key=lambda f: f.time):
        both = np.hstack([_large(face.picture), overlay(face, largest)])
        frames.append(
            (f"{face.time:.1f}", pages.picture(both, f"the face at {face.time:.1f} s, and where it spoke", width=280))
        )
    return {
        "total": signed(sum(float(face.cells.sum()) for face in e.faces)),
        "frames": frames,
        "regions": [(name, signed(score)) for name, score in e.regions.items()],
    }


def overlay(face: FaceEvidence, largest: float) -> np.ndarray:
    """The picture in grey under its scores: blue for, amber against, as strong as they are against `largest`."""
    grey = _large(face.picture).mean(axis=2, keepdims=True).repeat(3, axis=2)
    heat = cv2.resize(face.cells.astype(np.float32) / largest, grey.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    strength = np.clip(np.abs(heat), 0, 1)[..., None] * 0.75
    colour = np.where(heat[..., None] > 0, np.array(FOR, float), np.array(AGAINST, float))
    return np.clip(grey * (1 - strength) + colour * strength, 0, 255).astype(np.uint8)


def _large(picture: np.ndarray, side: int = 144) -> np.ndarray:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)


def _shade(score: float) -> Markup:
    """Background from paper to blue (for) or amber (against), with ink that can be read on it."""
    r, g, b = FOR if score > 0 else AGAINST
    strength = min(abs(float(score)), 1.0)
    mixed = [round(255 + (c - 255) * strength) for c in (r, g, b)]
    ink = "#ffffff" if score > 0 and strength > 0.55 else "#1a1a1a"
    return Markup("background:rgb({},{},{});color:{}").format(*mixed, ink)
