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
WIDTH, HEIGHT = 720, 112
EDGE = 16
"""Pixels of a time mark's half width."""
FRAMES = 6
STYLE = """
.words { font-size: 1.35rem; line-height: 2.1; max-width: none; }
.words span { padding: .12em .22em; border-radius: 4px; }
.words .against { border-bottom: 3px dotted #8a6914; }
.words .lexicon { text-decoration: underline; text-underline-offset: .25em; }
.say { font-size: 1.3rem; max-width: 46rem; } .key span { padding: .1em .4em; border-radius: 4px; }
.share { display: grid; grid-template-columns: 6rem 1fr 4rem; gap: .3rem .8rem; align-items: center; max-width: 34rem; }
.share .n { text-align: right; font-variant-numeric: tabular-nums; } h3 .faint { font-weight: 400; }
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
        "<span><u>underlined</u>: in the lexicon of feeling</span> "
        "<span>bars up and blue patches for, bars down and amber patches against</span></p>"
    )


def _part(e: Explanation, segment: Segment) -> str:
    sections = [f'<p class="say">{escape(e.sentence())}</p>']
    if len(e.shapley.values) > 1:
        sections.append("<h3>Who said it</h3>" + _shares(e))
    if e.words:
        sections.append(_heading("The words", sum(w.score for w in e.words)) + _words(e))
    if e.speech_scores.size and segment.waveform is not None:
        sections.append(_heading("The voice", float(e.speech_scores.sum())) + _voice(e, segment))
    if e.faces:
        sections.append(_heading("The face", sum(e.regions.values())) + _faces(e))
    change, context = e.log_odds[0] - e.log_odds[1], f" Earlier turns: {signed(e.context)}." if e.context else ""
    sections.append(
        f'<p class="faint">Scores are shares of the change in {"log-odds" if e.target else escape(e.task)}, '
        f"{signed(change)}, from words, a sound and a picture that say nothing; they add up to it within "
        f"{abs(e.error):.2f}.{context} Colours are as strong as the strongest of their own kind.</p>"
    )
    return "\n".join(sections)


def signed(score: float, digits: int = 2) -> str:
    """A number with its sign; the minus is as wide as the plus."""
    return f"{score:+.{digits}f}".replace("-", "−")


def _heading(what: str, total: float) -> str:
    return f'<h3>{what} <span class="faint">{signed(total)}</span></h3>'


def _shares(e: Explanation) -> str:
    unit = 100 if e.target else 1
    largest = max(abs(v) for v in e.shapley.values.values()) or 1.0
    rows = [f"<b>expected</b><span></span><span class='n'>{unit * e.shapley.none:.1f}</span>"]
    for modality, value in e.shapley.values.items():
        bar = f'<i style="width:{100 * abs(value) / largest:.0f}%;{_shade(np.sign(value))}"></i>'
        rows.append(f"<b>{modality}</b><span>{bar}</span><span class='n'>{signed(unit * value, 1)}</span>")
    rows.append(f"<b>answer</b><span></span><span class='n'>{unit * e.shapley.full:.1f}</span>")
    what = f"Points of probability of {escape(e.target)}" if e.target else escape(e.task)
    told = f"{what}, from what the model expects of anyone: exact Shapley values, each modality being there or not."
    return f'<p class="faint">{told}</p><div class="share">{"".join(rows)}</div>'


def _words(e: Explanation) -> str:
    largest = max(abs(w.score) for w in e.words) or 1.0
    spans = []
    for word in e.words:
        look = " ".join(n for n, yes in (("against", word.score < 0), ("lexicon", bool(word.valence))) if yes)
        told = signed(word.score) + (f", lexicon {signed(word.valence)}" if word.valence else "")
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
            f"<title>{time:.1f} s: {signed(score)}</title></rect>"
        )
    assert segment.waveform is not None
    outline = pages.waveform(segment.waveform, width=WIDTH, height=round(2 * middle), colour="#1a1a1a55")
    step = 0.5 if seconds <= 3 else 1.0 if seconds <= 12 else 5.0
    times = step * np.arange(np.ceil(segment.start / step), np.floor(segment.end / step) + 1)
    marks = []
    for t in times:
        x = WIDTH * (t - segment.start) / seconds
        anchor = "start" if x < EDGE else "end" if x > WIDTH - EDGE else "middle"
        marks.append(
            f'<line x1="{x:.0f}" y1="{HEIGHT - 20}" x2="{x:.0f}" y2="{HEIGHT - 15}" stroke="#1a1a1a"/>'
            f'<text x="{x:.0f}" y="{HEIGHT - 3}" font-size="12" text-anchor="{anchor}">{t:g} s</text>'
        )
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
    rows = [(name, signed(score)) for name, score in e.regions.items()]
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
