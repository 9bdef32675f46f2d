"""An explanation as a page that anyone can read: words coloured, the voice and the face with what spoke in them."""

from __future__ import annotations

from html import escape
from pathlib import Path

import cv2
import numpy as np

from emofuse import pages
from emofuse.explain.explanation import Explanation, FaceEvidence
from emofuse.types import Segment

FOR, AGAINST = (0, 68, 136), (221, 170, 51)
"""Blue and amber, apart for colour-blind readers and in grey; what speaks against has a dotted line as well."""
WIDTH, HEIGHT = 720, 110
FRAMES = 6
STYLE = """
.words { font-size: 1.35rem; line-height: 2.1; max-width: none; }
.words span { padding: .12em .22em; border-radius: 4px; }
.words .against { border-bottom: 3px dotted #8a6914; }
.words .lexicon { text-decoration: underline; text-underline-offset: .25em; }
.say { font-size: 1.3rem; max-width: 46rem; } .key span { padding: .1em .4em; border-radius: 4px; }
.share { display: grid; grid-template-columns: 6rem 1fr 5rem; gap: .3rem .8rem; align-items: center; max-width: 34rem; }
.share i { display: block; height: 1rem; border-radius: 3px; } figure { margin: 0; text-align: center; }
"""


def write_page(explanation: Explanation, segment: Segment, path: str | Path, *, source: str = "") -> Path:
    """Write `page_of` under a temporary name, then move it; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return pages.write_text(path, page_of([(explanation, segment)], source=source))


def page_of(parts: list[tuple[Explanation, Segment]], *, source: str = "") -> str:
    """One self-contained page for the segments of a clip, in the order given."""
    title = f"Why: {source}" if source else "Why"
    body = [f"<h1>{escape(title)}</h1>", _key()]
    for explanation, segment in parts:
        if len(parts) > 1:
            body.append(f"<h2>{segment.start:.1f} – {segment.end:.1f} s</h2>")
        body.append(_part(explanation, segment))
    return pages.page(title, "\n".join(body), style=STYLE)


def _key() -> str:
    return (
        f'<p class="key faint"><span style="{_shade(1.0)}">speaks for it</span> '
        f'<span style="{_shade(-1.0)};border-bottom:3px dotted #8a6914">speaks against it</span> '
        "<span><u>underlined</u>: in the lexicon of feeling</span></p>"
    )


def _part(e: Explanation, segment: Segment) -> str:
    sections = [f'<p class="say">{escape(e.sentence())}</p>']
    if len(e.shapley.values) > 1:
        sections.append("<h3>Who said it</h3>" + _shares(e))
    if e.words:
        sections.append("<h3>The words</h3>" + _words(e))
    if e.speech_scores.size and segment.waveform is not None:
        sections.append("<h3>The voice</h3>" + _voice(e, segment))
    if e.faces:
        sections.append("<h3>The face</h3>" + _faces(e))
    change = e.log_odds[0] - e.log_odds[1]
    sections.append(
        f'<p class="faint">Scores are shares of the change in log-odds, {change:+.2f}, from an input that says '
        f"nothing; they add up to it within {abs(e.error):.3f}.</p>"
    )
    return "\n".join(sections)


def _shares(e: Explanation) -> str:
    unit = 100 if e.target else 1
    largest = max(abs(v) for v in e.shapley.values.values()) or 1.0
    rows = [f"<b>expected</b><span></span><span>{unit * e.shapley.none:.1f}</span>"]
    for modality, value in e.shapley.values.items():
        bar = f'<i style="width:{100 * abs(value) / largest:.0f}%;{_shade(np.sign(value))}"></i>'
        rows.append(f"<b>{modality}</b><span>{bar}</span><span>{unit * value:+.1f}</span>")
    rows.append(f"<b>answer</b><span></span><span>{unit * e.shapley.full:.1f}</span>")
    what = f"Points of probability of {escape(e.target)}" if e.target else escape(e.task)
    return f'<p class="faint">{what}: exact Shapley values.</p><div class="share">{"".join(rows)}</div>'


def _words(e: Explanation) -> str:
    largest = max(abs(w.score) for w in e.words) or 1.0
    spans = []
    for word in e.words:
        look = " ".join(n for n, yes in (("against", word.score < 0), ("lexicon", bool(word.valence))) if yes)
        told = f"{word.score:+.2f}" + (f", lexicon {word.valence:+.2f}" if word.valence else "")
        shade = _shade(word.score / largest)
        spans.append(f'<span class="{look}" title="{told}" style="{shade}">{escape(word.text)}</span>')
    return f'<p class="words">{" ".join(spans)}</p>'


def _voice(e: Explanation, segment: Segment) -> str:
    """The outline of the sound over bands of relevance, with seconds below; height says how much, up is for."""
    seconds = max(segment.end - segment.start, 1e-6)
    largest = float(np.abs(e.speech_scores).max()) or 1.0
    middle = (HEIGHT - 20) / 2
    width = WIDTH * (e.speech_times[1] - e.speech_times[0] if len(e.speech_times) > 1 else seconds) / seconds
    bands = []
    for time, score in zip(e.speech_times, e.speech_scores, strict=True):
        x = WIDTH * (time - segment.start) / seconds - width / 2
        tall = middle * abs(score) / largest
        y = middle - tall if score > 0 else middle
        colour = f"rgb{FOR if score > 0 else AGAINST}"
        bands.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:.1f}" fill="{colour}">'
            f"<title>{time:.1f} s: {score:+.2f}</title></rect>"
        )
    assert segment.waveform is not None
    outline = pages.waveform(segment.waveform, width=WIDTH, height=round(2 * middle), colour="#1a1a1a55")
    step = 0.5 if seconds <= 3 else 1.0 if seconds <= 12 else 5.0
    times = step * np.arange(np.ceil(segment.start / step), np.floor(segment.end / step) + 1)
    marks = [
        f'<text x="{WIDTH * (t - segment.start) / seconds:.0f}" y="{HEIGHT - 4}" font-size="11">{t:g} s</text>'
        for t in times
    ]
    return (
        f'<div class="scroll"><svg role="img" aria-label="relevance over time" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(bands)}{outline}{"".join(marks)}</svg></div>'
    )


def _faces(e: Explanation) -> str:
    """The frames that say most, each beside itself under its heat map, and the regions in words."""
    ranked = sorted(e.faces, key=lambda f: -float(np.abs(f.cells).sum()))[:FRAMES]
    largest = max(float(np.abs(f.cells).max()) for f in ranked) or 1.0
    frames = []
    for face in sorted(ranked, key=lambda f: f.time):
        both = np.hstack([_large(face.picture), overlay(face, largest)])
        shown = pages.picture(both, f"the face at {face.time:.1f} s, and where it spoke", width=280)
        frames.append(f"<figure>{shown}<figcaption class='faint'>{face.time:.1f} s</figcaption></figure>")
    rows = [(name, f"{score:+.2f}") for name, score in e.regions.items()]
    return f'<div class="row">{"".join(frames)}</div>{pages.table(("region", "score"), rows, numbers=(1,))}'


def overlay(face: FaceEvidence, largest: float) -> np.ndarray:
    """The picture in grey under its scores: blue for, amber against, as strong as they are against `largest`."""
    grey = _large(face.picture).mean(axis=2, keepdims=True).repeat(3, axis=2)
    heat = cv2.resize(face.cells.astype(np.float32) / largest, grey.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    strength = np.clip(np.abs(heat), 0, 1)[..., None] * 0.75
    colour = np.where(heat[..., None] > 0, np.array(FOR, float), np.array(AGAINST, float))
    return np.clip(grey * (1 - strength) + colour * strength, 0, 255).astype(np.uint8)


def _large(picture: np.ndarray, side: int = 144) -> np.ndarray:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)


def _shade(score: float) -> str:
    """Background from paper to blue (for) or amber (against), with ink that can be read on it."""
    r, g, b = FOR if score > 0 else AGAINST
    strength = min(abs(float(score)), 1.0)
    mixed = [round(255 + (c - 255) * strength) for c in (r, g, b)]
    ink = "#ffffff" if score > 0 and strength > 0.55 else "#1a1a1a"
    return f"background:rgb({mixed[0]},{mixed[1]},{mixed[2]});color:{ink}"
