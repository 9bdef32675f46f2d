"""Cards of the worst errors, for pages and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emofuse import pages
from emofuse.data.examples import Example
from emofuse.encoders.lexicon import word_valence
from emofuse.types import Segment

MOST_LETTERS = 160
"""Of the words in a table's cell."""
INTRO = "Where the model was furthest from the truth, and what it had before it."


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


def worst(errors: Sequence[Mapping[str, Any]], by_id: Mapping[str, Example]) -> list[dict[str, Any]]:
    """What each card shows; `by_id` lends them words, sounds and faces."""
    return [_card(e, by_id.get(e["id"])) for e in errors]


def intro(errors: Sequence[Mapping[str, Any]]) -> str:
    """The sentence above the cards."""
    read = any("words" in e.get("evidence", {}) for e in errors)
    return f"{INTRO} Words of the lexicon are underlined." if read else INTRO


def shown(value: Any) -> str:
    """A class, labels that stand beside each other, or a number."""
    if isinstance(value, float):
        return number(value, 2)
    return ", ".join(value) or "nothing" if isinstance(value, list) else str(value)


def _card(error: Mapping[str, Any], sample: Example | None) -> dict[str, Any]:
    unimodal = error.get("unimodal", error.get("alone", {}))  # the latter in reports of earlier versions
    each = [f"{m} only: {v['class']} ({100 * v['probability']:.0f} %)" for m, v in unimodal.items()]
    told = "truth_probability" in error
    return {
        "id": error["id"],
        "predicted": shown(error["predicted"]),
        "truth": shown(error["truth"]),
        "confidence": f"{100 * error['confidence']:.0f} %" if "confidence" in error else "",
        "given": f"{100 * error['truth_probability']:.1f} %" if told else "",
        "agreed": f"{100 * error['truth_share']:.0f} %" if told and error["truth_share"] < 0.99 else "",
        "unimodal": "; ".join(each) if len(each) > 1 else "",
        "evidence": _evidence(sample.load()) if sample is not None else None,
    }


def _evidence(segment: Segment) -> dict[str, Any] | None:
    """A face, the outline of the voice, the words with what the lexicon says; None of ready-made features."""
    if segment.features is not None:
        return None
    found: dict[str, Any] = dict.fromkeys(("face", "voice", "words"))
    faces = [track for track in segment.faces if len(track.crops)]
    if faces:
        track = max(faces, key=lambda t: len(t.crops))
        found["face"] = pages.picture(track.crops[int(np.argmax(track.quality))], "the face", width=96)
    if segment.waveform is not None and len(segment.waveform):
        found["voice"] = pages.waveform(segment.waveform, width=300)
        found["seconds"] = f"{segment.end - segment.start:.1f}"
    if segment.words:
        found["before"] = segment.context[-1] if segment.context else ""
        valences = [(w.text, word_valence(w.text)) for w in segment.words]
        found["words"] = [(text, f"{value:+.2f}" if value else "") for text, value in valences]
    return found
