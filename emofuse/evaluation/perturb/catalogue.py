"""The catalogue of perturbations: what they act on, their severities, and their units."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from emofuse.evaluation.perturb import face, speech, text
from emofuse.media.transcript import spread
from emofuse.modalities import Modality
from emofuse.types import Segment

Change = Callable[[Segment, float, np.random.Generator], Segment]


@dataclass(frozen=True)
class Perturbation:
    """One way a modality is spoilt; severities run from mild to severe."""

    name: str
    modality: Modality
    severities: tuple[float, ...]
    unit: str
    change: Change
    ticks: tuple[str, ...] = ()
    """Names of the severities where they are not numbers."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The severities as text, mild to severe."""
        return self.ticks or tuple(f"{s:g}" for s in self.severities)

    def at(self, severity: float) -> Callable[[Segment], Segment]:
        """The change at one severity; the same segment is always changed in the same way."""

        def changed(segment: Segment) -> Segment:
            if self.modality not in segment.present:
                return segment
            seed = [zlib.crc32(f"{self.name} {segment.id}".encode()), self.severities.index(severity)]
            return self.change(segment, severity, np.random.default_rng(seed))

        return changed


def catalogue(voices: Sequence[np.ndarray] = ()) -> dict[str, Perturbation]:
    """Every perturbation but the adversarial ones (see `stress`); babble needs `voices` and is left out without."""
    ratios = (20.0, 10.0, 5.0, 0.0, -5.0)
    found = [
        Perturbation("noise", "speech", ratios, "signal-to-noise ratio, dB", _voice(speech.noise)),
        Perturbation("clipping", "speech", (0.02, 0.1, 0.25, 0.5), "share of samples clipped", _voice(speech.clipping)),
        Perturbation(
            "telephone", "speech", (3400, 2500, 1800, 1200), "highest frequency, Hz", _voice(speech.telephone)
        ),
        Perturbation("codec", "speech", (24, 16, 12, 8, 6), "Opus, kbit/s", _voice(speech.codec)),
        Perturbation("blur", "face", (2, 4, 8, 16), "blur, % of the face's width", _crops(face.blur)),
        Perturbation("darkness", "face", (0.5, 0.25, 0.1, 0.05), "share of the light", _crops(face.darkness)),
        Perturbation("occlusion", "face", (0.1, 0.2, 0.35, 0.5), "share covered", _crops(face.occlusion)),
        Perturbation("low resolution", "face", (32, 24, 16, 12, 8), "width in pixels", _crops(face.low_resolution)),
        Perturbation("jpeg", "face", (50, 20, 10, 5, 2), "JPEG quality", _crops(face.jpeg)),
        Perturbation("typos", "text", (0.1, 0.2, 0.4, 0.6), "share of words", _words(text.typos)),
        Perturbation("dropped words", "text", (0.1, 0.25, 0.5, 0.75), "share of words", _words(text.dropped)),
        Perturbation("asr errors", "text", (0.0, 0.1, 0.2, 0.4), "word error rate", _words(text.asr)),
        Perturbation(
            "negation", "text", (1, 2, 3), "negations", _words(text.negation), ("written out", "no apostrophe", "lost")
        ),
        Perturbation("emoji", "text", (1, 2, 3), "emoji", _words(text.emoji), ("in words", "removed", "smile added")),
    ]
    if len(voices):
        among = partial(speech.babble, voices=voices)
        found.insert(1, Perturbation("babble", "speech", ratios, "signal-to-noise ratio, dB", _voice(among)))
    return {p.name: p for p in found}


def _voice(change: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]) -> Change:
    def apply(segment: Segment, severity: float, rng: np.random.Generator) -> Segment:
        if segment.waveform is None:
            return segment
        return replace(segment, waveform=change(segment.waveform, severity, rng))

    return apply


def _crops(change: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]) -> Change:
    def apply(segment: Segment, severity: float, rng: np.random.Generator) -> Segment:
        def of(crops: np.ndarray) -> np.ndarray:
            return np.stack([change(crop, severity, rng) for crop in crops]) if len(crops) else crops

        return replace(segment, faces=tuple(replace(t, crops=of(t.crops)) for t in segment.faces))

    return apply


def _words(change: Callable[[list[str], float, np.random.Generator], list[str]]) -> Change:
    def apply(segment: Segment, severity: float, rng: np.random.Generator) -> Segment:
        if not segment.words:
            return segment
        texts = change([w.text for w in segment.words], severity, rng)
        if len(texts) == len(segment.words):
            words = tuple(replace(w, text=t) for w, t in zip(segment.words, texts, strict=True))
        else:
            words = spread(" ".join(texts), segment.words[0].start, segment.words[-1].end)
        return replace(segment, words=words)

    return apply
