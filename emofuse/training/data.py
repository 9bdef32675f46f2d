"""Utterances of several corpora as one set of training samples, each a function of (seed, epoch, index)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Protocol

import numpy as np
from torch.utils.data import Dataset

from emofuse.batch import PreparedSample
from emofuse.corpora.corpus import Reading, read
from emofuse.errors import DataError
from emofuse.labels import Task, fold
from emofuse.loading import load_segment
from emofuse.training.augment.face import augment_faces
from emofuse.training.augment.speech import augment_speech, mask_features
from emofuse.training.augment.text import augment_words
from emofuse.training.compose import Composer, Draw
from emofuse.training.mixing import Key
from emofuse.training.sections import Augment, Recipe, Source
from emofuse.types import MODALITIES, Modality, Segment, Split, Utterance

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
SOUNDS = frozenset({".wav", ".flac", ".mp3", ".ogg", ".m4a", ".opus", ".sph"})


class Prepares(Protocol):
    """What data needs of a model: arrays from a segment."""

    def prepare(self, segment: Segment, targets: Mapping[str, np.ndarray] | None = None) -> PreparedSample: ...


@dataclass(frozen=True, eq=False)
class Item:
    """An utterance with its targets folded and the modalities taken from it."""

    utterance: Utterance
    targets: dict[str, np.ndarray]
    modalities: frozenset[Modality]

    @property
    def length(self) -> float:
        """Roughly how many tokens, from the letters of text and the seconds (or the file's size) of sound."""
        u = self.utterance
        tokens = 1.0
        if "text" in self.modalities and u.text:
            tokens += (len(u.text) + sum(len(turn) for turn in u.context)) / 4
        if "speech" in self.modalities and u.media is not None:
            seconds = u.end - (u.start or 0) if u.end is not None else u.media.stat().st_size / 20_000
            tokens += 50 * seconds
        return tokens


@dataclass(frozen=True, eq=False)
class Gathered:
    """A source as read: items to train on, items that choose the epoch, and what was left out."""

    source: Source
    train: list[Item]
    dev: list[Item]
    unlabelled: int
    """Utterances of both splits without a label of any of the model's tasks."""
    reading: Reading

    def describe(self) -> str:
        """One line for the log."""
        lost = f", {self.unlabelled} left out: no label of the model's tasks" if self.unlabelled else ""
        problems = f", {len(self.reading.problems)} problems in its files" if self.reading.problems else ""
        return f"{self.source.corpus}: {len(self.train)} train, {len(self.dev)} dev{lost}{problems}"


def gather(recipe: Recipe, source: Source, tasks: Sequence[Task], limit: int | None = None) -> Gathered:
    """Read a source and fold its labels; `limit` items at most a split.

    Raises DataError when its folder or a label is wrong, or when it has nothing that the model reads.
    """
    reading = read(source.corpus, recipe.source_root(source), None, **source.options)
    reads = frozenset(source.modalities or MODALITIES) & frozenset(recipe.model.encoders)
    found: dict[Split, list[Item]] = {"train": [], "dev": []}
    unlabelled = 0
    for split, items in found.items():
        if not (source.train if split == "train" else source.evaluate):
            continue
        for utterance in _some(reading.split(split), limit):
            targets = {task.name: _target(source, utterance, task) for task in tasks}
            if all(np.isnan(t).any() for t in targets.values()):
                unlabelled += 1
            elif there := reads & modalities_of(utterance):
                items.append(Item(utterance, targets, there))
    if not any(found.values()):
        raise DataError(
            f"{source.corpus} has no utterance to learn from: {len(reading.utterances)} read, {unlabelled} without a "
            f"label of {', '.join(t.name for t in tasks)}; the model reads {', '.join(sorted(recipe.model.encoders))}"
        )
    return Gathered(source, found["train"], found["dev"], unlabelled, reading)


def _some(utterances: Sequence[Utterance], limit: int | None) -> Sequence[Utterance]:
    """At most `limit` of them, spread over the whole, always the same."""
    if limit is None or len(utterances) <= limit:
        return utterances
    chosen = np.random.default_rng(0).permutation(len(utterances))[:limit]
    return [utterances[i] for i in sorted(chosen)]


def _target(source: Source, utterance: Utterance, task: Task) -> np.ndarray:
    if source.tasks is not None and task.name not in source.tasks:
        return np.full(task.width, np.nan, np.float32)
    return fold(utterance.corpus, utterance.labels, task, source.labels.get(task.name))


def modalities_of(utterance: Utterance) -> frozenset[Modality]:
    """What an utterance should have, told from its text and its file's ending (a video: speech and face)."""
    found: set[Modality] = set()
    if utterance.text:
        found.add("text")
    if utterance.media is not None:
        kind = utterance.media.suffix.lower()
        found |= {"face"} if kind in IMAGES else {"speech"} if kind in SOUNDS else {"speech", "face"}
    return frozenset(found)


class MediaCache:
    """Decoded segments in memory, at most `limit` bytes; the least recently used leave first."""

    def __init__(self, limit: int, load: Callable[[Utterance], Segment] = load_segment) -> None:
        self.limit = limit
        self.load = load
        self._held: OrderedDict[tuple[str, str], Segment] = OrderedDict()
        self._bytes = 0

    def __call__(self, utterance: Utterance) -> Segment:
        key = (utterance.corpus, utterance.id)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        segment = self.load(utterance)
        self._held[key] = segment
        self._bytes += _size(segment)
        while self._bytes > self.limit and self._held:
            self._bytes -= _size(self._held.popitem(last=False)[1])
        return segment


def _size(segment: Segment) -> int:
    sound = 0 if segment.waveform is None else segment.waveform.nbytes
    return 512 + sound + sum(track.crops.nbytes for track in segment.faces)


class Samples(Dataset[PreparedSample]):
    """Items, then composed samples: `samples[epoch, index]` is always the same, whatever ran before or beside it.

    `augment` None leaves samples as they are (dev). Indices from `len(items)` on are composed.
    """

    def __init__(
        self,
        items: Sequence[Item],
        model: Prepares,
        cache: Callable[[Utterance], Segment],
        *,
        seed: int,
        augment: Augment | None = None,
        composer: Composer | None = None,
        modality_dropout: float = 0.0,
    ) -> None:
        self.items = items
        self.model = model
        self.cache = cache
        self.seed = seed
        self.augment = augment
        self.composer = composer
        self.modality_dropout = modality_dropout
        self._lengths = np.array([item.length for item in items])
        self._voices = [i for i, item in enumerate(items) if "speech" in item.modalities]

    def __len__(self) -> int:
        return len(self.items) + (self.composer.size if self.composer else 0)

    def lengths(self, indices: np.ndarray, epoch: int) -> np.ndarray:
        """Rough token counts, to batch samples of like length."""
        out = np.empty(len(indices))
        plain = indices < len(self.items)
        out[plain] = self._lengths[indices[plain]]
        out[~plain] = [sum(self._lengths[i] for i in self._draw(epoch, int(n)).parts.values()) for n in indices[~plain]]
        return out

    def __getitem__(self, key: Key) -> PreparedSample:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        if index < len(self.items):
            item = self.items[index]
            segment = self.cache(item.utterance).without(*(set(MODALITIES) - item.modalities))
            targets = item.targets
            if self.modality_dropout and rng.random() < self.modality_dropout:
                segment = keep_random(segment, rng)
        else:
            assert self.composer is not None
            segment, targets = self.composer.build(self._draw(epoch, index), self.items, self.cache, rng)
        return self._prepare(segment, targets, rng)

    def _draw(self, epoch: int, index: int) -> Draw:
        assert self.composer is not None
        return self.composer.draw(np.random.default_rng([self.seed, epoch, index, 1]), index - len(self.items))

    def _prepare(self, segment: Segment, targets: dict[str, np.ndarray], rng: np.random.Generator) -> PreparedSample:
        if self.augment is None:
            return self.model.prepare(segment, targets)
        changed = self._augmented(segment, self.augment, rng)
        sample = self.model.prepare(changed, targets)
        speech = sample.inputs.get("speech")
        spectral = speech is not None and "values" in speech and speech["values"].ndim == 2
        if speech is not None and spectral and rng.random() < self.augment.speech.mask:
            speech["values"] = mask_features(speech["values"], self.augment.speech, rng)
        return sample

    def _augmented(self, segment: Segment, options: Augment, rng: np.random.Generator) -> Segment:
        if segment.words:
            context = () if rng.random() < options.text.context else segment.context
            segment = replace(segment, words=augment_words(segment.words, options.text, rng), context=context)
        if segment.waveform is not None and segment.waveform.size:
            waveform = augment_speech(segment.waveform, options.speech, rng, lambda: self._voice(rng))
            segment = replace(segment, waveform=waveform)
        if segment.faces:
            faces = tuple(replace(t, crops=augment_faces(t.crops, options.face, rng)) for t in segment.faces)
            segment = replace(segment, faces=faces)
        return segment

    def _voice(self, rng: np.random.Generator) -> np.ndarray | None:
        """Another sample's sound, to babble in the background."""
        if not self._voices:
            return None
        return self.cache(self.items[self._voices[rng.integers(len(self._voices))]].utterance).waveform


def keep_random(segment: Segment, rng: np.random.Generator) -> Segment:
    """One of the non-empty subsets of what the segment has, all equally likely."""
    there = sorted(segment.present)
    subsets = [c for n in range(1, len(there) + 1) for c in combinations(there, n)]
    if not subsets:
        return segment
    kept = subsets[rng.integers(len(subsets))]
    return segment.without(*(m for m in MODALITIES if m not in kept))
