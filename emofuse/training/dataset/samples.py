"""Training samples as functions of (seed, epoch, index): loaded, augmented, mixed, composed, prepared."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from emofuse.data.compose import Composer, Draw
from emofuse.data.examples import Example, Prepares
from emofuse.data.load import holds_features, load_segment
from emofuse.data.preparation import Preparation
from emofuse.errors import RecipeError, nearest
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.prepared import PreparedSample
from emofuse.training.dataset.augment.mixup import blend, blend_targets, share
from emofuse.training.dataset.augment.rewrite import Rewritten, rewrite
from emofuse.training.dataset.augment.segment import augment_segment, augmented, streams_of
from emofuse.training.dataset.augment.speech import mask_features, mask_waveform
from emofuse.training.dataset.cache import Arrays, InputCache
from emofuse.training.dataset.sampler import Key
from emofuse.training.dataset.sources import blocks
from emofuse.training.recipe.augmentation import Augment
from emofuse.types import Segment, Utterance

Inputs = dict[Modality, Arrays | None]


class MediaCache:
    """Decoded segments in memory, at most `limit` bytes; the least recently used leave first."""

    def __init__(self, limit: int, load: Callable[[Utterance], Segment] = load_segment) -> None:
        self.limit = limit
        self.load = load
        self._held: OrderedDict[Hashable, Segment] = OrderedDict()
        self._bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        """What a worker is sent: it begins with nothing in memory."""
        return self.__dict__ | {"_held": OrderedDict(), "_bytes": 0}

    def __call__(self, utterance: Utterance) -> Segment:
        key = _loaded(utterance)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        segment = self.load(utterance)
        self._held[key] = segment
        self._bytes += _size(segment)
        while self._bytes > self.limit and self._held:
            self._bytes -= _size(self._held.popitem(last=False)[1])
        return segment


def _loaded(utterance: Utterance) -> Hashable:
    """All that a segment is read from: two manifests may give different rows the same id."""
    u = utterance
    said = (u.text, u.context, u.after, u.speaker, repr(u.labels))
    return u.corpus, u.id, u.media, u.stored, u.start, u.end, u.face_crop, *said, *sorted(u.extras.items())


def _size(segment: Segment) -> int:
    sound = 0 if segment.waveform is None else segment.waveform.nbytes
    return 512 + sound + sum(track.crops.nbytes for track in segment.faces)


class Samples(Dataset[PreparedSample]):
    """Examples, then composed samples: `samples[epoch, index]` is always the same, whatever ran before or beside it.

    `augment` None leaves samples as they are (dev). Indices from `len(examples)` on are composed. `store` gives the
    inputs of modalities that are not augmented; composed samples, whose times are their own, do without.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        model: Prepares,
        cache: Callable[[Utterance], Segment],
        *,
        seed: int,
        augment: Augment | None = None,
        composer: Composer | None = None,
        modality_dropout: float = 0.0,
        store: InputCache | None = None,
        groups: str | None = None,
        rewritten: Rewritten | None = None,
    ) -> None:
        """`groups`: the kind of group that each sample's number is told by (see `group_names`)."""
        self.rewritten = rewritten or {}
        self.examples = examples
        self.model = model
        self.cache = cache
        self.seed = seed
        self.augment = augment
        self.composer = composer
        self.modality_dropout = modality_dropout
        self.store = None if composer else store
        self._stored = self.store.modalities - augmented(augment) if self.store else frozenset()
        self._lengths = np.array([e.length for e in examples])
        self._blocks = blocks(examples)
        self._kind = groups
        self.group_names = group_names(examples, groups) if groups else ()
        self._voices = [i for i, e in enumerate(examples) if "speech" in e.modalities]
        self._alike: dict[tuple[str, frozenset[Modality]], list[Example]] = {}
        if augment and augment.mixup:
            for example in filter(_can_blend, examples):
                self._alike.setdefault(_kind(example), []).append(example)

    def __getstate__(self) -> dict[str, Any]:
        """What a worker is sent: the weights stay behind."""
        bare = Preparation(self.model) if isinstance(self.model, EmotionModel) else self.model
        return self.__dict__ | {"model": bare}

    def __len__(self) -> int:
        return len(self.examples) + (self.composer.size if self.composer else 0)

    def cluster(self, key: Key) -> str:
        """Whose sample it is: the speaker, dialogue or video; of a composed one that of its first part, whose half of
        the people all its parts are of. One name for all where its parts may be of either half: nothing is held out."""
        epoch, index = key
        if index < len(self.examples):
            return self.examples[index].cluster
        draw = self._draw(epoch, index)
        return "composed" if draw.side is None else self.examples[next(iter(draw.parts.values()))].cluster

    def lengths(self, indices: np.ndarray, epoch: int) -> np.ndarray:
        """Rough token counts, to batch samples of like length."""
        out = np.empty(len(indices))
        plain = indices < len(self.examples)
        out[plain] = self._lengths[indices[plain]]
        out[~plain] = [sum(self._lengths[i] for i in self._draw(epoch, int(n)).parts.values()) for n in indices[~plain]]
        return out

    def shards(self, indices: np.ndarray) -> np.ndarray:
        """int64, the shard of each that has to be fetched; 0 where none has to be."""
        return np.zeros(len(indices), np.int64) if self._blocks is None else self._blocks.numbers[indices]

    def __getitem__(self, key: Key) -> PreparedSample:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        if index >= len(self.examples):
            assert self.composer is not None
            segment, targets = self.composer.build(self._draw(epoch, index), self.examples, self.cache, rng)
            unknown = len(self.group_names) if self._kind else None  # its parts are of different people
            return PreparedSample(self._prepare(segment, rng), targets, unknown)
        example = self.examples[index]
        inputs = self._inputs(example, rng)
        targets = example.targets
        if self.augment and self.augment.mixup and _can_blend(example):
            inputs, targets = self._blended(example, inputs, np.random.default_rng([self.seed, epoch, index, 2]))
        if self.modality_dropout and rng.random() < self.modality_dropout:
            inputs = keep_random(inputs, rng)
        return PreparedSample(inputs, targets, self._group(example))

    def _group(self, example: Example) -> int | None:
        """The number of its group, the one after the last where that is not known; None where none is asked for."""
        if self._kind is None:
            return None
        name = example.groups.get(self._kind)
        return len(self.group_names) if name is None else self.group_names.index(name)

    def _blended(
        self, example: Example, inputs: Inputs, rng: np.random.Generator
    ) -> tuple[Inputs, Mapping[str, np.ndarray]]:
        """With another of its kind, at the chance of mixup; as they are where one lacks what the other has."""
        assert self.augment is not None
        if rng.random() >= self.augment.mixup:
            return inputs, example.targets
        alike = self._alike[_kind(example)]
        other = alike[rng.integers(len(alike))]
        found = self._inputs(other, rng)
        if any((inputs[m] is None) != (found[m] is None) for m in inputs):
            return inputs, example.targets
        kept = share(self.augment.mixup_alpha, rng)
        mixed: Inputs = dict.fromkeys(inputs)
        for modality, one in inputs.items():
            two = found[modality]
            if one is not None and two is not None:
                mixed[modality] = blend(one, two, kept)
        return mixed, blend_targets(example.targets, other.targets, kept)

    def _inputs(self, example: Example, rng: np.random.Generator) -> Inputs:
        """Of each modality the example has: from the store where it is not augmented, else of the decoded segment."""
        inputs: Inputs = dict.fromkeys(self.model.modalities)
        load = partial(example.load, self.cache)
        stored: frozenset[Modality] = frozenset()
        if self.store and not holds_features(example.utterance):
            stored = example.modalities & self._stored
            inputs |= {m: self.store.inputs(m, example.utterance, load) for m in self.model.modalities if m in stored}
        rest = example.modalities - stored
        if rest:
            fresh = self._prepare(load().only(*rest), rng)
            inputs |= {m: arrays for m, arrays in fresh.items() if m in rest}
        return inputs

    def _draw(self, epoch: int, index: int) -> Draw:
        assert self.composer is not None
        return self.composer.draw(np.random.default_rng([self.seed, epoch, index, 1]), index - len(self.examples))

    def _prepare(self, segment: Segment, rng: np.random.Generator) -> Inputs:
        if self.augment is None:
            return self.model.prepare(segment).inputs
        if self.rewritten:
            segment = rewrite(segment, self.rewritten, self.augment.text.rewrite, rng)
        streams = streams_of(rng)
        inputs = self.model.prepare(augment_segment(segment, self.augment, streams, self._voice)).inputs
        speech = inputs.get("speech")
        if speech is not None and "values" in speech and streams["speech"].random() < self.augment.speech.mask:
            mask = mask_features if speech["values"].ndim == 2 else mask_waveform
            speech["values"] = mask(speech["values"], self.augment.speech, streams["speech"])
        return inputs

    def _voice(self, rng: np.random.Generator) -> np.ndarray | None:
        """Another sample's sound, to babble in the background."""
        if not self._voices:
            return None
        return self.examples[self._voices[rng.integers(len(self._voices))]].load(self.cache).waveform


def group_names(examples: Sequence[Example], kind: str) -> tuple[str, ...]:
    """The groups of a kind among the examples, in their numbers' order. Raises RecipeError where there are not two."""
    names = tuple(sorted({e.groups[kind] for e in examples if kind in e.groups}))
    if len(names) < 2:
        known = sorted({k for e in examples for k in e.groups})
        raise RecipeError(
            f"loss.groups.by {kind!r}: the training samples are of {len(names)} such group(s), and a loss by group "
            f"needs two; {nearest(kind, known)}"
        )
    return names


def _kind(example: Example) -> tuple[str, frozenset[Modality]]:
    """What samples must share to be blended: their corpus and their modalities."""
    return example.utterance.corpus, example.modalities


def _can_blend(example: Example) -> bool:
    """Sound and pictures can be added; words cannot."""
    return not holds_features(example.utterance) and "text" not in example.modalities


def keep_random(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    """One of the non-empty subsets of the modalities that are there, all equally likely."""
    there = sorted(m for m, arrays in inputs.items() if arrays is not None)
    subsets = [c for n in range(1, len(there) + 1) for c in combinations(there, n)]
    if not subsets:
        return inputs
    kept = subsets[rng.integers(len(subsets))]
    return {m: arrays if m in kept else None for m, arrays in inputs.items()}
