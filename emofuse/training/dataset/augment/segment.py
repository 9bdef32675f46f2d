"""Segment augmentation: each modality by its own function and from its own stream of random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from emofuse.modalities import Modality
from emofuse.training.dataset.augment.face import augment_faces
from emofuse.training.dataset.augment.speech import augment_speech
from emofuse.training.dataset.augment.swap import swapped, swapped_text
from emofuse.training.dataset.augment.text import augment_context, augment_words
from emofuse.training.recipe.augmentation import Augment
from emofuse.types import Segment

Voice = Callable[[np.random.Generator], np.ndarray | None]
"""Draws another sample's waveform, to babble in the background; None where there is none."""
Streams = Mapping[Modality, np.random.Generator]


def augment_segment(segment: Segment, options: Augment, streams: Streams, voice: Voice) -> Segment:
    """The segment with the changes that `options` give each modality; modalities without a function stay."""
    for modality, change in CHANGES.items():
        segment = change(segment, options, streams[modality], voice)
    return segment


def streams_of(rng: np.random.Generator) -> Streams:
    """A stream for each modality that is augmented, so that what the store gives changes nothing in the others."""
    return dict(zip(CHANGES, rng.spawn(len(CHANGES)), strict=True))


def augmented(options: Augment | None) -> frozenset[Modality]:
    """The modalities that some chance of a change is set for."""
    if options is None:
        return frozenset()
    return frozenset(m for m in CHANGES if getattr(options, m) != type(getattr(options, m))())


def _text(segment: Segment, options: Augment, rng: np.random.Generator, _: Voice) -> Segment:
    if not segment.words:
        return segment
    words, context, after = segment.words, segment.context, segment.after
    if options.text.swap and rng.random() < options.text.swap:
        words, context, after = swapped(words), tuple(map(swapped_text, context)), tuple(map(swapped_text, after))
    context = augment_context(context, options.text, rng)
    words = augment_words(words, options.text, rng)
    return replace(segment, words=words, context=context, after=after if context or not segment.context else ())


def _speech(segment: Segment, options: Augment, rng: np.random.Generator, voice: Voice) -> Segment:
    if segment.waveform is None or not segment.waveform.size:
        return segment
    return replace(segment, waveform=augment_speech(segment.waveform, options.speech, rng, partial(voice, rng)))


def _face(segment: Segment, options: Augment, rng: np.random.Generator, _: Voice) -> Segment:
    faces = tuple(replace(t, crops=augment_faces(t.crops, options.face, rng)) for t in segment.faces)
    return replace(segment, faces=faces)


CHANGES: Mapping[Modality, Callable[[Segment, Augment, np.random.Generator, Voice], Segment]] = {
    "text": _text,
    "speech": _speech,
    "face": _face,
}
"""Modality, by the name of its section in `Augment` → its changes; the order is that of the streams."""
