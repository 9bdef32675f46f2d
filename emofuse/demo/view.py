"""The view of an analysis, as the page draws it: plain numbers, no words that depend on the language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emofuse.demo.texts import hint, note_in
from emofuse.demo.thumbnails import Sight, share
from emofuse.modalities import ordered
from emofuse.notes import Note
from emofuse.pipeline.analysis import Analysis
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction

COVERAGE = 0.9
"""How often the sets of possible emotions hold the true one, where the model was calibrated for them."""
GUESS = 0.8
"""Where it was not: the emotions shown as possible are the fewest that hold this much probability."""


SELF_EVIDENT = {
    "speech": ("no_video_track", "no_picture"),
    "picture": ("no_sound", "no_transcript", "no_words_given", "no_audio_track"),
    "text": ("no_sound", "no_picture", "words_read_aloud"),
}
"""Codes of notes that say only what kind of material it is."""


@dataclass(eq=False)
class Extras:
    """What the page shows beyond the analysis."""

    sights: dict[tuple[float, float], Sight] = field(default_factory=dict)
    """(start, end) of a segment → who was seen in it."""
    thumbnails: dict[tuple[float, float], dict[str, Any]] = field(default_factory=dict)
    contributions: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Index of a segment → what each modality contributed to its leading emotion."""
    overall_contribution: dict[str, Any] | None = None
    size: tuple[int, int] | None = None
    """Width and height of the source's pictures."""


def view(analysis: Analysis, extras: Extras, *, kind: str, done: bool, playable: bool, stem: str) -> dict[str, Any]:
    """Everything about an answer, in JSON's types; `files` (what can be downloaded) come with a finished one."""
    places = [(p.start, p.end) for p in analysis.segments]
    sets = analysis.at_coverage(COVERAGE, widest=len(EMOTIONS)) if analysis.conformal else analysis
    return {
        "kind": kind,
        "done": done,
        "playable": playable,
        "stem": stem,
        "duration": analysis.duration,
        "emotions": list(EMOTIONS),
        "overall": shape(sets.overall) if sets.overall else None,
        "segments": [shape(p) | {"hints": unlike(p)} for p in sets.segments],
        "words": words(analysis),
        "notes": [{"en": note, "zh": note_in("zh", note)} for note in sets.notes] if done else [],
        "hints": hints(sets.notes, kind) if done else [],
        "thumbnails": [extras.thumbnails.get(place) for place in places],
        "tracks": tracks(extras),
        "contributions": {str(i): value for i, value in extras.contributions.items()},
        "overallContribution": extras.overall_contribution,
        "files": files(analysis) if done else {},
    }


def shape(p: Prediction) -> dict[str, Any]:
    """One prediction; distributions in the order of EMOTIONS."""
    return {
        "start": round(p.start, 3),
        "end": round(p.end, 3),
        "person": p.person,
        "present": list(ordered(p.present)),
        "emotions": row(p.emotions),
        "possible": possible(p),
        "polarity": p.polarity,
        "intensity": p.intensity,
        "level": p.intensity_level,
        "valence": p.valence,
        "arousal": p.arousal,
        "unimodal": {m: row(p.by_modality[m]) for m in ordered(p.by_modality)},
    }


def hints(notes: Iterable[str], kind: str) -> list[dict[str, Any]]:
    """Notes that matter to whoever sees the answer, in plain words; what the kind of the material says is not said."""
    told = [hint(note) for note in notes if getattr(note, "code", None) not in SELF_EVIDENT.get(kind, ())]
    return [one for one in told if one is not None]


def unlike(p: Prediction) -> list[dict[str, Any]]:
    """What in a prediction is unlike what the model learnt, in plain words."""
    notes = (Note("unfamiliar", modality=m, segments=1, total=1, why=why) for m, why in sorted(p.unfamiliar.items()))
    return [one for note in notes if (one := hint(note))]


def row(emotions: Mapping[str, float] | None) -> list[float] | None:
    """Probabilities in the order of EMOTIONS."""
    return None if not emotions else [emotions.get(name, 0.0) for name in EMOTIONS]


def possible(p: Prediction) -> dict[str, Any] | None:
    """The emotions it could be: the prediction's conformal set where it has one, else the fewest that make up GUESS."""
    if not p.emotions:
        return None
    if p.sets.get("emotion"):
        return {"names": list(p.sets["emotion"]), "coverage": COVERAGE, "promised": True}
    held, total = [], 0.0
    for name, probability in sorted(p.emotions.items(), key=lambda pair: -pair[1]):
        held.append(name)
        total += probability
        if total >= GUESS:
            break
    return {"names": held, "coverage": GUESS, "promised": False}


def words(analysis: Analysis) -> list[dict[str, Any]]:
    """The words of the clip in runs, each with the index of the segment whose emotion colours it (None = between)."""
    runs: list[dict[str, Any]] = []
    spoken = [(i, p) for i, p in enumerate(analysis.segments) if "text" in p.present]
    at = 0
    for word in analysis.transcript or ():
        middle = (word.start + word.end) / 2
        while at < len(spoken) - 1 and middle >= spoken[at][1].end:
            at += 1
        inside = bool(spoken) and spoken[at][1].start <= middle <= spoken[at][1].end
        index = spoken[at][0] if inside else None
        if runs and runs[-1]["segment"] == index:
            runs[-1]["words"].append({"text": word.text, "start": round(word.start, 3)})
        else:
            runs.append({"segment": index, "words": [{"text": word.text, "start": round(word.start, 3)}]})
    return runs


def tracks(extras: Extras) -> list[dict[str, Any]]:
    """Person → seconds and boxes (as shares of the picture), for the boxes over a playing clip."""
    if extras.size is None:
        return []
    found: dict[int, dict[str, Any]] = {}
    for _, sight in sorted(extras.sights.items()):
        for who, (times, boxes) in sight.tracks.items():
            one = found.setdefault(who, {"person": who, "times": [], "boxes": []})
            one["times"] += [round(float(t), 3) for t in times]
            one["boxes"] += [share(box, *extras.size) for box in boxes]
    return list(found.values())


def files(analysis: Analysis) -> dict[str, str]:
    """Ending → the text of the file that `Analysis.save` would write; subtitles only where there is time."""
    made = {"json": analysis.to_text(".json"), "csv": analysis.to_text(".csv")}
    return made | ({"srt": analysis.to_text(".srt")} if analysis.segments and analysis.duration else {})


def stem_of(source: str | None, kind: str) -> str:
    """What the downloaded files are called."""
    return Path(source).stem if source else kind
