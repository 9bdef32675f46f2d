"""The worst errors for people: a card each in a page, a row each in a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from emofuse import pages
from emofuse.data.examples import Sample
from emofuse.encoders.lexicon import word_valence
from emofuse.types import Segment

MOST_LETTERS = 160
"""Of the words in a table's cell."""
INTRO = "Where the model was furthest from the truth, and what it had before it."
STYLE = """
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(26rem, 1fr)); gap: .8rem; }
.cards .card { margin: 0; } .cards p { margin: .2rem 0 .5rem; } .cards p:last-child { margin-bottom: 0; }
@media (max-width: 32rem) { .cards { grid-template-columns: 1fr; } }
"""


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; what is undefined is a dash."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def rows(errors: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of a table, with what was said, heard and seen."""
    found = []
    for e in errors:
        truth, predicted = (shown(e[k]) for k in ("truth", "predicted"))
        found.append((e["id"], truth, predicted, number(e.get("confidence"), 2), in_words(e)))
    return ("sample", "truth", "predicted", "confidence", "evidence"), found


def in_words(error: Mapping[str, Any]) -> str:
    """“What was said” · 3.2 s of voice · a face; the modalities where nothing more is known."""
    evidence, parts = error.get("evidence", {}), []
    if "words" in evidence:
        words = evidence["words"]
        parts.append(f"“{words if len(words) <= MOST_LETTERS else words[: MOST_LETTERS - 1].rstrip() + '…'}”")
    if "seconds" in evidence:
        parts.append(f"{evidence['seconds']:.1f} s of voice")
    if "faces" in evidence:
        parts.append("a face" if evidence["faces"] == 1 else f"a face in {evidence['faces']} pictures")
    return " · ".join(parts) or "+".join(error["present"])


def worst(errors: Sequence[Mapping[str, Any]], by_id: Mapping[str, Sample]) -> str:
    """A section of cards; `by_id` lends them words, sounds and faces."""
    if not errors:
        return ""
    underlined = (
        " Words of the lexicon are underlined." if any("words" in e.get("evidence", {}) for e in errors) else ""
    )
    cards = "".join(_card(e, by_id.get(e["id"])) for e in errors)
    return f'<h3>Worst errors</h3><p>{INTRO}{underlined}</p><div class="cards">{cards}</div>'


def shown(value: Any) -> str:
    """A class, labels that stand beside each other, or a number."""
    if isinstance(value, float):
        return number(value, 2)
    return ", ".join(value) or "nothing" if isinstance(value, list) else str(value)


def _card(error: Mapping[str, Any], sample: Sample | None) -> str:
    said = f"<b>{escape(shown(error['predicted']))}</b>"
    if "confidence" in error:
        said += f" at {100 * error['confidence']:.0f} %"
    said += f"; the truth is <b>{escape(shown(error['truth']))}</b>"
    if "truth_probability" in error:
        said += f", which it gave {100 * error['truth_probability']:.1f} %"
        if error["truth_share"] < 0.99:
            said += f" (raters agreed to {100 * error['truth_share']:.0f} %)"
    alone = [f"{m} alone: {v['class']} ({100 * v['probability']:.0f} %)" for m, v in error.get("alone", {}).items()]
    text = f"<p>Predicted {said}.</p>"
    if len(alone) > 1:
        text += f"<p>{escape('; '.join(alone))}.</p>"
    evidence = _evidence(sample.load()) if sample is not None and sample.prepared is None else ""
    return f'<div class="card">{text}{evidence}<p class="faint"><code>{escape(error["id"])}</code></p></div>'


def _evidence(segment: Segment) -> str:
    """The words with those of the lexicon marked, the outline of the voice, and a face."""
    parts = []
    faces = [track for track in segment.faces if len(track.crops)]
    if faces:
        track = max(faces, key=lambda t: len(t.crops))
        parts.append(pages.picture(track.crops[int(np.argmax(track.quality))], "the face", width=96))
    if segment.waveform is not None and len(segment.waveform):
        told = f"<div class='faint'>{segment.end - segment.start:.1f} s</div>"
        parts.append(f"<div>{pages.waveform(segment.waveform, width=300)}{told}</div>")
    if segment.words:
        words = " ".join(_word(w.text) for w in segment.words)
        before = f'<div class="faint">{escape(segment.context[-1])}</div>' if segment.context else ""
        parts.append(f"<div>{before}“{words}”</div>")
    return f'<div class="row">{"".join(parts)}</div>'


def _word(text: str) -> str:
    value = word_valence(text)
    if not value:
        return escape(text)
    return f'<u title="{value:+.2f} in the lexicon">{escape(text)}</u>'
