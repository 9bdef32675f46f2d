"""The extent of what a request asks for: its media-seconds, before any are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emofuse.media.alignment import CHARACTERS_PER_SECOND
from emofuse.media.decode import probe
from emofuse.media.formats import TEXT_SUFFIXES, existing_file, is_picture
from emofuse.media.stretch import read_stretch
from emofuse.media.transcript import Transcript, parse_transcript, read_transcript
from emofuse.serve.asking import Asked
from emofuse.serve.problems import RefusedError

STILL = 1.0
"""Media-seconds that a picture counts as."""


@dataclass(frozen=True)
class Bounds:
    """How much of a clip is read."""

    minutes: float
    frames_a_minute: int
    pixels: float


def announced(asked: Asked, bounds: Bounds) -> float:
    """Media-seconds, before any are read: of sound or pictures, or of reading its words aloud where that takes longer.

    Raises RefusedError for a clip that is too long or too large, MediaError for one that cannot be opened.
    """
    source = asked.source
    if asked.render and (source is None or not _is_video(source)):
        raise RefusedError(422, "invalid", "render writes a video again, and the file is none")
    return max(_of_media(asked, bounds), _of_words(asked))


def _of_media(asked: Asked, bounds: Bounds) -> float:
    source = asked.source
    if "audio" in asked.inputs:
        rate, samples = asked.inputs["audio"]
        return _within(asked, bounds, max(samples.shape, default=0) / max(1, rate))
    if "image" in asked.inputs or (source is not None and is_picture(existing_file(source))):
        return STILL
    if source is None or existing_file(source).suffix.lower() in TEXT_SUFFIXES:
        return 0.0
    info = probe(source)
    if (info.width or 0) * (info.height or 0) > bounds.pixels:
        message = f"its pictures are {info.width} x {info.height}; at most {bounds.pixels:,.0f} pixels are read"
        raise RefusedError(413, "too_large", f"{message}: make it smaller")
    return _within(asked, bounds, info.duration)


def _of_words(asked: Asked) -> float:
    """Seconds of reading aloud; of words with times, those within the stretch that is asked for."""
    stretch = read_stretch(asked.inputs.get("start"), asked.inputs.get("end"))
    cues = (cue for words in _words(asked) for cue in stretch.words(words).cues)
    return sum(len(cue.text) for cue in cues) / CHARACTERS_PER_SECOND


def _words(asked: Asked) -> Iterator[Transcript]:
    """Whatever words there are, as a field or as a file."""
    inputs, source = asked.inputs, asked.source
    if inputs.get("text") is not None:
        yield parse_transcript(inputs["text"], "text")
    if inputs.get("transcript") is not None:
        yield read_transcript(inputs["transcript"])
    if source is not None and existing_file(source).suffix.lower() in TEXT_SUFFIXES:
        yield read_transcript(source)


def _within(asked: Asked, bounds: Bounds, seconds: float) -> float:
    """Seconds of what is asked for of a clip of so many; up to its end, the clip may be read."""
    stretch = read_stretch(asked.inputs.get("start"), asked.inputs.get("end"))
    stretch.check(seconds or None)
    end = min(seconds, stretch.start + stretch.length)
    if end > bounds.minutes * 60 + 1:
        message = f"the clip has {end:.0f} s; at most {bounds.minutes:g} minutes are taken here"
        raise RefusedError(413, "too_large", f"{message}: cut it, or send it as a job (POST /v1/jobs)")
    return max(0.0, end - stretch.start)


def _is_video(source: Path) -> bool:
    still = existing_file(source).suffix.lower() in TEXT_SUFFIXES or is_picture(source)
    return not still and probe(source).has_video
