"""Sections of augmentation: the chance of each change to a training sample, and its range."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from emofuse.training.recipe.section import PositiveRange, Probability, Range, Section, ShareRange, Size


class SpeechAugment(Section):
    """Chances of each change to a waveform, and their ranges."""

    noise: Probability = 0.0
    snr: Range = (5.0, 30.0)
    """Decibels, for noise and babble alike."""
    babble: Probability = 0.0
    reverb: Probability = 0.0
    decay: PositiveRange = (0.1, 0.6)
    """RT60 in seconds."""
    speed: Probability = 0.0
    speeds: PositiveRange = (0.9, 1.1)
    pitch: Probability = 0.0
    semitones: Range = (-2.0, 2.0)
    gain: Probability = 0.0
    decibels: Range = (-12.0, 6.0)
    band: Probability = 0.0
    """Telephone-like band-pass."""
    quantise: Probability = 0.0
    """μ-law companding at 8 bits, as narrow codecs do."""
    crop: Probability = 0.0
    """Keep a random part of the utterance."""
    keep: ShareRange = (0.6, 1.0)
    mask: Probability = 0.0
    """SpecAugment: `masks` spans of time and of frequency set to zero, on features or on the raw waveform."""
    masks: Size = 2
    mask_time: Probability = 0.1
    mask_frequency: Probability = 0.15


class FaceAugment(Section):
    """Chances of each change to a face crop, and their ranges."""

    flip: Probability = 0.0
    crop: Probability = 0.0
    scale: PositiveRange = (0.8, 1.1)
    """Side of the crop relative to the image; above 1 adds a border."""
    rotate: Probability = 0.0
    degrees: Range = (-15.0, 15.0)
    colour: Probability = 0.0
    grey: Probability = 0.0
    blur: Probability = 0.0
    resolution: Probability = 0.0
    """Down to `pixels` and up again, as small faces in wide shots are."""
    pixels: PositiveRange = (20.0, 48.0)
    jpeg: Probability = 0.0
    quality: PositiveRange = (30.0, 90.0)
    """Of JPEG; above 100 counts as 100."""
    erase: Probability = 0.0


class BackTranslation(Section):
    """Two local models of sequences to sequences (Marian, T5, BART), by folder or hub id (Sennrich et al. 2016)."""

    there: str
    """Into another language …"""
    back: str
    """… and from it."""


class TextAugment(Section):
    """Chances of each change to the words."""

    rewrite: Probability = 0.0
    """Of the words to be replaced by one of their rewritings, which the models below make once before training."""
    back_translation: BackTranslation | None = None
    paraphrase: str | None = None
    """A local model of sequences to sequences that says a text in other words, by folder or hub id."""

    dropout: Probability = 0.0
    """Of each word to be left out."""
    synonyms: Probability = 0.0
    """Of each word with a known synonym to be replaced."""
    typos: Probability = 0.0
    """Of each word to get a slip of the finger."""
    case: Probability = 0.0
    punctuation: Probability = 0.0
    context: Probability = 0.0
    """Of the earlier turns to be left out."""
    names: Probability = 0.0
    """Of the names of speakers to be left out of the turns."""
    swap: Probability = 0.0
    """Of a sample's gendered words and first names to be swapped, in its turns too (English: he and she, John and
    Mary); the labels stay."""

    @model_validator(mode="after")
    def _rewrites(self) -> TextAugment:
        if bool(self.rewrite) != bool(self.back_translation or self.paraphrase):
            raise ValueError(
                "rewrite, a chance above 0, goes with back_translation or paraphrase: give both or neither"
            )
        return self


class Augment(Section):
    """Augmentation of training samples, by modality; dev samples are never changed."""

    speech: SpeechAugment = SpeechAugment()
    face: FaceAugment = FaceAugment()
    text: TextAugment = TextAugment()
    mixup: Probability = 0.0
    """Of a sample of speech or faces without words to be blended with another of its source (Zhang et al. 2018)."""
    mixup_alpha: Annotated[float, Field(gt=0)] = 0.4
    """Both parameters of the Beta distribution that the shares are drawn from."""
