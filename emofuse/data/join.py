"""One segment from several: the words of one over the sound of another, with the face of a third."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from emofuse.media.transcript import join as join_words
from emofuse.media.transcript import spread
from emofuse.modalities import Modality
from emofuse.types import FaceTrack, Segment, Word


def join(
    parts: Mapping[Modality, Segment], name: str = "", frames: int = 1, rng: np.random.Generator | None = None
) -> Segment:
    """The words of one segment said over the sound of another, with the face of a third, on one clock from 0 s.

    What there is of further modalities is taken over as it is.

    The clip lasts as long as its sound, else as its words, else 1 s. A single picture is seen 1 to `frames` times, at
    moments that `rng` draws.
    """
    clock = parts.get("speech") or parts.get("text")
    end = clock.end - clock.start if clock is not None and clock.end > clock.start else 1.0
    out = Segment(id=name or "+".join(p.id for p in parts.values()), start=0.0, end=end)
    if "speech" in parts:
        out = replace(out, waveform=parts["speech"].waveform)
    if "text" in parts:
        out = replace(out, words=_said(parts["text"], end), context=parts["text"].context, after=parts["text"].after)
        out = replace(out, speaker=parts["text"].speaker)
    if "face" in parts:
        seen = parts["face"]
        out = replace(out, faces=tuple(_shown(track, seen, end, frames, rng) for track in seen.faces))
    return replace(out, extras={m: part.extras[m] for m, part in parts.items() if m in part.extras})


def _said(text: Segment, end: float) -> tuple[Word, ...]:
    """The words over 0 to `end` s, their own times stretched, or spread by length where they have none."""
    words = text.words or ()
    if text.end <= text.start:
        return spread(join_words(words), 0.0, end)
    rate = end / (text.end - text.start)
    return tuple(replace(w, start=(w.start - text.start) * rate, end=(w.end - text.start) * rate) for w in words)


def _shown(track: FaceTrack, seen: Segment, end: float, frames: int, rng: np.random.Generator | None) -> FaceTrack:
    if len(track.crops) > 1 or frames == 1 or rng is None:
        rate = end / max(seen.end - seen.start, 1e-6)
        return replace(track, times=np.clip((track.times - seen.start) * rate, 0, end))
    times = np.sort(rng.uniform(0, end, int(rng.integers(1, frames + 1))))
    still = np.zeros(len(times), int)
    return replace(track, crops=track.crops[still], times=times, boxes=track.boxes[still], quality=track.quality[still])
