"""Unfamiliar inputs: what is unusual in a segment that a model finds unlike its training, and notes on it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from emofuse.modalities import Modality, Subset, ordered
from emofuse.notes import Note
from emofuse.types import SAMPLE_RATE, FaceTrack, Prediction, Segment

UNFAMILIAR = 0.975
"""Share of development data from which on an input is called unfamiliar."""
SHARE = 0.25
"""Of the segments that have a modality: from which on a note speaks of it."""
UNKNOWN = "it is not known what is unusual"
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "zh": ("CJK",),
    "ja": ("CJK", "HIRAGANA", "KATAKANA"),
    "ko": ("HANGUL",),
    "he": ("HEBREW",),
    "el": ("GREEK",),
    "th": ("THAI",),
    "am": ("ETHIOPIC",),
    **dict.fromkeys(("ru", "uk", "bg", "sr", "be", "mk"), ("CYRILLIC",)),
    **dict.fromkeys(("ar", "fa", "ur"), ("ARABIC",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("DEVANAGARI",)),
}
"""Code of a language → first words of Unicode's names of its letters; Latin for all others."""
TELEPHONE = 3800.0
"""Hz above which a telephone lets nothing pass …"""
SILENT_BAND = 1e-5
"""… so that this share of a voice's power, or less, is left there."""
QUIET = 0.003
"""Root mean square below which sound is too quiet for its details."""
CLIPPED = 0.01
"""Share of samples at full scale."""
SMALL = 40.0
"""Pixels of a face's shorter side."""
POOR = 0.3
"""Quality of a face's best crop (size, sharpness, frontality)."""


def unfamiliar_in(
    segment: Segment, unfamiliarity: Mapping[Modality, float], present: Subset, languages: Sequence[str]
) -> dict[Modality, str]:
    """What is unlike training, and why: far from its states, or in a script of none of its languages, which an
    encoder need not show: unknown letters all look alike to it."""
    found = {m: unusual(segment, m, languages) for m, share in unfamiliarity.items() if share >= UNFAMILIAR}
    if "text" in present and (why := unusual(segment, "text", languages)) != UNKNOWN:
        found["text"] = why
    return found


def unusual(segment: Segment, modality: Modality, languages: Sequence[str] = ()) -> str:
    """What can be measured of a modality that would make it unlike most: UNKNOWN where nothing does.

    `languages`: those that the words were learnt in.
    """
    if modality == "text" and segment.words:
        return unusual_script("".join(word.text for word in segment.words), languages)
    if modality == "speech" and segment.waveform is not None and segment.waveform.size:
        return unusual_sound(segment.waveform)
    if modality == "face" and segment.faces:
        return unusual_faces(segment.faces)
    return UNKNOWN


def unusual_script(text: str, languages: Sequence[str]) -> str:
    """Whether most letters are of a script that no language of training is written in."""
    known = {script for code in languages for script in SCRIPTS.get(code, ("LATIN",))}
    letters = [unicodedata.name(c, "").partition(" ")[0] for c in text if c.isalpha()]
    strange = sum(script not in known for script in letters)
    return "a language it was not trained on" if known and 2 * strange > len(letters) else UNKNOWN


def unusual_sound(waveform: np.ndarray) -> str:
    """Level, clipping and band."""
    sound = np.asarray(waveform, np.float64)
    if np.sqrt(np.mean(sound**2)) < QUIET:
        return "very quiet"
    if np.mean(np.abs(sound) > 0.99) > CLIPPED:
        return "clipped"
    power = np.abs(np.fft.rfft(sound)) ** 2
    high = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE) > TELEPHONE
    return "telephone band" if power[high].sum() <= SILENT_BAND * power.sum() else UNKNOWN


def unusual_faces(faces: Sequence[FaceTrack]) -> str:
    """Size and quality."""
    sides = np.concatenate([track.boxes[:, 2:].min(axis=1) for track in faces if len(track.boxes)] or [np.empty(0)])
    if len(sides) and 0 < np.median(sides) < SMALL:
        return "small face"
    quality = np.concatenate([track.quality for track in faces])
    return "blurred or averted face" if len(quality) and quality.max() < POOR else UNKNOWN


def unfamiliar_notes(predictions: Sequence[Prediction]) -> Iterator[Note]:
    """One a modality that is unfamiliar in enough of its segments, with what is unusual in most of them."""
    for modality in ordered(m for p in predictions for m in p.unfamiliar):
        having = [p for p in predictions if modality in p.present]
        why = [p.unfamiliar[modality] for p in having if modality in p.unfamiliar]
        if len(why) >= SHARE * len(having):
            most = max(sorted(set(why)), key=why.count)
            yield Note("unfamiliar", modality=modality, segments=len(why), total=len(having), why=most)
