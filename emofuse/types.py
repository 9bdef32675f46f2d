"""Core types, one per hop: Utterance, Segment, Tokens, Prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from emofuse.modalities import MODALITIES, Modality

if TYPE_CHECKING:
    from torch import Tensor

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

SAMPLE_RATE = 16_000
"""Samples per second of every waveform past decoding."""


@dataclass(frozen=True)
class Shard:
    """A tar archive of media, on this disk or at an address; of an address a copy is kept while there is room."""

    place: str
    """Path, or address (s3://, gs://, https://, …)."""
    bytes: int
    cache: str | None = None
    """Folder of the copies of what lies at addresses …"""
    limit: int = 0
    """… and the most that it may hold, in bytes."""


@dataclass(frozen=True)
class Stored:
    """Where in a shard the bytes of a media file begin, how many there are, and their SHA-256."""

    shard: Shard
    offset: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Utterance:
    """What a corpus reader yields: a pointer to media, never the media itself.

    `labels` are the corpus's own (`{"emotion": "happy"}`, votes as `{"emotion": {"happiness": 7.0, …}}`, scalars as
    floats); its corpus folds them into task targets. `start` and `end` are seconds in `media`, None = from its start /
    to its end. `context` holds the earlier turns of the dialogue, oldest first, each "SPEAKER: text". `language` None
    = that of its corpus, where it has one. `face_crop`: the picture is a face already cut out.
    """

    id: str
    corpus: str
    split: Split
    speaker: str
    dialogue: str | None = None
    media: Path | None = None
    start: float | None = None
    end: float | None = None
    text: str | None = None
    context: tuple[str, ...] = ()
    labels: Mapping[str, str | float | Mapping[str, float]] = field(default_factory=dict)
    language: str | None = None
    face_crop: bool = False
    extras: Mapping[Modality, Path] = field(default_factory=dict)
    """Files of modalities beyond the standard three, which their encoders read."""
    after: tuple[str, ...] = ()
    """Later turns, of the form of `context`: only where a protocol that reads the whole dialogue asks for them."""
    stored: Stored | None = None
    """Where its media are in a shard; `media` is then a name whose ending says what they hold."""


@dataclass(frozen=True)
class Word:
    """A word (or a token of a script without spaces) and when it is said, in seconds of the clip."""

    text: str
    start: float
    end: float
    speaker: str | None = None
    """Who says it, where that is known."""


NOBODY = -1
"""The person of a track that holds whole pictures in place of somebody's face."""


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """The chosen crops of one person in one segment: RGB, square, with the seconds and pixel boxes they came from."""

    person: int
    crops: UInt8[np.ndarray, "frames h w 3"]
    times: Float[np.ndarray, " frames"]
    boxes: Float[np.ndarray, "frames 4"]
    """x, y, width, height in pixels of the upright source frame."""
    quality: Float[np.ndarray, " frames"]
    """0 to 1, from size, sharpness and frontality; higher is better."""
    seconds: float = 0.0
    """How long the person is in view, of which the crops are a choice; 0 = only what the crops span is known."""
    mouth: Float[np.ndarray, "moments 2"] | None = None
    """Seconds, and how much the mouth has moved since the moment before; None where that was not looked at."""
    talk: float | None = None
    """How much it moves while there is sound, and with it; None = to be told from `mouth` and the segment's sound."""


@dataclass(frozen=True, eq=False)
class Segment:
    """The one sample of training and inference; a modality that is None (or has no faces) is absent."""

    id: str
    start: float
    end: float
    words: tuple[Word, ...] | None = None
    waveform: Float32[np.ndarray, " samples"] | None = None
    """Mono at SAMPLE_RATE, in [-1, 1], covering start to end."""
    faces: tuple[FaceTrack, ...] = ()
    context: tuple[str, ...] = ()
    speaker: str | None = None
    """Whose the words and the voice are: by the transcript, the channel of the sound, or the sound of the voice."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[Modality, np.ndarray] | None = None
    """Vectors that someone else extracted, in place of media: what encoders of kind `features` read."""
    after: tuple[str, ...] = ()
    """Later turns of the dialogue, for models that read the whole of it."""
    extras: Mapping[Modality, Any] = field(default_factory=dict)
    """What there is of modalities beyond the standard three, in the form that their encoders read."""
    provisional: bool = False
    """Whether it has only paused: what follows may still join it, and a final segment that begins here comes later."""

    @property
    def present(self) -> frozenset[Modality]:
        """The modalities that are there; an empty word list, waveform or extra is not there."""
        there: dict[Modality, bool] = {
            "text": bool(self.words),
            "speech": self.waveform is not None and self.waveform.size > 0,
            "face": any(len(track.crops) for track in self.faces),
        }
        there |= {m: value is not None and bool(np.size(value)) for m, value in self.extras.items()}
        return frozenset(m for m, yes in there.items() if yes)

    def without(self, *gone: Modality) -> Segment:
        """This segment as if it had never had the named modalities."""
        changes: dict[str, Any] = {}
        if "text" in gone:
            changes |= {"words": None, "context": (), "after": ()}
        if "speech" in gone:
            changes |= {"waveform": None}
        if "face" in gone:
            changes |= {"faces": ()}
        if self.features is not None:
            changes |= {"features": {m: values for m, values in self.features.items() if m not in gone}}
        if not self.extras.keys().isdisjoint(gone):
            changes |= {"extras": {m: value for m, value in self.extras.items() if m not in gone}}
        return replace(self, **changes)

    def only(self, *kept: Modality) -> Segment:
        """This segment as if it had never had any but the named modalities."""
        gone = {*MODALITIES, *self.extras, *(self.features or ())}.difference(kept)
        return self.without(*gone) if gone else self


@dataclass(frozen=True, eq=False)
class Tokens:
    """What every encoder returns: states with a mask and a time in seconds for each."""

    states: Float[Tensor, "batch time dim"]
    mask: Bool[Tensor, "batch time"]
    """True = real."""
    times: Float[Tensor, "batch time"]
    """Token centre, seconds from the start of the segment."""


@dataclass(frozen=True)
class Prediction:
    """One segment (and one person) decoded; a value the model was not trained for is None."""

    start: float
    end: float
    person: int | None
    present: frozenset[Modality]
    emotions: dict[str, float] | None
    polarity: dict[str, float] | None = None
    intensity: float | None = None
    intensity_level: Literal["weak", "medium", "strong"] | None = None
    """The third of the model's answers on development data that the intensity is in."""
    valence: float | None = None
    arousal: float | None = None
    others: dict[str, dict[str, float] | float] = field(default_factory=dict)
    """Heads beyond the standard five, by task name (for example sarcasm)."""
    derived: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What was not answered by its own head alone → the heads it rests on; see `emofuse.model.polarity`."""
    by_modality: dict[Modality, dict[str, float]] = field(default_factory=dict)
    """Emotions as each present modality alone sees them."""
    sets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Task → the classes that hold the true one as often as was asked, most probable first; () = too many to say.

    Empty where no coverage was asked for; see `Analysis.at_coverage`.
    """
    embedding: Float32[np.ndarray, " dim"] | None = None
    """The fused state, unit length."""
    speaker: str | None = None
    """Whose the words and the voice are; None where that is not known, and of a face that does not speak."""
    unfamiliarity: dict[Modality, float] = field(default_factory=dict)
    """The share of development data that was more like training; of a model that knows what it is familiar with."""
    unfamiliar: dict[Modality, str] = field(default_factory=dict)
    """Modalities that are unlike training, and what is unusual in them where that can be seen or heard."""
    rules: tuple[str, ...] = ()
    """The caller's rules and words that changed it after the model, see `emofuse.pipeline.rules`."""
    by_prototype: dict[str, float] = field(default_factory=dict)
    """Labels of the caller's that the model has not learnt → likeness to their prototype, -1 to 1; no probabilities."""
    provisional: bool = False
    """Whether it is of an utterance that has only paused; a final one that begins at the same second replaces it."""
    explanation: Any | None = None

    @property
    def top(self) -> tuple[str, float] | None:
        """The leading emotion and its probability."""
        if not self.emotions:
            return None
        name = max(self.emotions, key=lambda k: self.emotions[k])  # type: ignore[index]
        return name, self.emotions[name]
