"""Assembled data of a run: samples and their shares, dev sets, caches and class counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emofuse.calibration.evidence import held_out
from emofuse.corpora.registry import protocol_of
from emofuse.data.compose import Composer
from emofuse.data.examples import Example, read_by
from emofuse.data.load import takes_long
from emofuse.errors import RecipeError
from emofuse.model.model import EmotionModel
from emofuse.training.dataset.augment.rewrite import Rewritten, rewritten
from emofuse.training.dataset.cache import DiskCache, InputCache, SegmentCache
from emofuse.training.dataset.sampler import Shares
from emofuse.training.dataset.samples import MediaCache, Samples
from emofuse.training.dataset.sources import SourceExamples, read_source, standardise
from emofuse.training.recipe.schema import Recipe
from emofuse.training.validate import DevSet


@dataclass
class Data:
    """What a run learns from and is chosen on."""

    gathered: list[SourceExamples]
    samples: Samples
    shares: Shares
    dev: list[DevSet]
    counts: dict[str, np.ndarray]
    """Expected samples a class in one epoch, by task."""
    priors: dict[str, tuple[float, ...]]
    """Mean target of an epoch's labelled samples, by task; none of a task without."""


def assemble(
    recipe: Recipe, seed: int, model: EmotionModel, limit: int | None, gathered: list[SourceExamples] | None = None
) -> Data:
    """Read every source, unless they are `gathered`.

    Raises DataError when there is nothing to train on or to choose by.
    """
    gathered = gathered or [read_source(recipe, source, model.tasks, limit) for source in recipe.data.sources]
    examples = [example for g in gathered for example in g.train]
    if "all" not in recipe.model.init:
        standardise(model, examples, set(recipe.model.encoders) - set(recipe.model.init))
    cache, store = caches(recipe, model)
    compose = recipe.data.compose
    composer = Composer(examples, compose, _fewer(compose.size, limit)) if compose else None
    samples = Samples(
        examples,
        model,
        cache,
        seed=seed,
        augment=recipe.augment,
        composer=composer,
        modality_dropout=recipe.data.modality_dropout,
        store=store,
        groups=recipe.loss.groups.by if recipe.loss.groups else None,
        rewritten=_rewritten(recipe, examples),
    )
    weights = [s.weight for s in recipe.data.sources]
    sizes, composed = [len(g.train) for g in gathered], composer.size if composer else 0
    shares = Shares(sizes, weights, composed, seed, [g.cells for g in gathered], [g.blocks for g in gathered])
    if shares.streams:
        _check_streamed(recipe)
    if not len(shares):
        raise RecipeError("no source has anything to train on; set data.sources.N.train to true for one")
    dev = dev_sets(recipe, gathered, model, cache, limit, store)
    counts, labelled = _counts(gathered, model)
    priors = {task: tuple((counts[task] / n).tolist()) for task, n in labelled.items() if n}
    return Data(gathered, samples, shares, dev, counts, priors)


def _check_streamed(recipe: Recipe) -> None:
    """What takes samples from anywhere in the data would fetch a shard for each of them."""
    anywhere = {
        "data.compose": recipe.data.compose is not None,
        "data.sources.N.balance": any(source.balance for source in recipe.data.sources),
        "augment.mixup": recipe.augment.mixup > 0,
        "augment.speech.babble": recipe.augment.speech.babble > 0,
    }
    for key, asked in anywhere.items():
        if asked:
            raise RecipeError(
                f"{key} takes samples from all over the data, and shards at an address are read in their order: leave "
                f"{key} out, or copy the shards to this disk and leave the option address out"
            )


def _rewritten(recipe: Recipe, examples: Sequence[Example]) -> Rewritten | None:
    """Other ways to say the training texts, kept beside the run or in the cache of the recipe."""
    options = recipe.augment.text
    if not options.rewrite:
        return None
    folder = Path(recipe.data.cache.folder if recipe.data.cache else recipe.folder) / "rewritten"
    texts = (e.utterance.text or "" for e in examples if "text" in e.modalities)
    return rewritten(texts, options, folder)


def caches(recipe: Recipe, model: EmotionModel) -> tuple[MediaCache, InputCache | None]:
    """Decoded media in memory, over what the recipe keeps on disk."""
    options, memory = recipe.data.cache, recipe.data.cache_mb << 20
    if options is None:
        return MediaCache(memory, read_by(model)), None
    disk = DiskCache(options.folder, round(options.gb * 1e9))
    learns = {m for m, e in model.encoders.items() if any(p.requires_grad for p in e.parameters())}
    read_again = recipe.loss.adversarial != "none" or recipe.loss.distil is not None
    mixed = set(model.modalities) - {"text"} if recipe.augment.mixup else set()  # sound and pictures, not states
    frozen = set() if read_again else set(model.modalities) - learns - mixed
    segments = SegmentCache(disk, takes_long, model.face_options)
    return MediaCache(memory, segments), InputCache(disk, model, frozen)


def _fewer(size: int, limit: int | None) -> int:
    return size if limit is None else min(size, 7 * limit)


def dev_sets(
    recipe: Recipe,
    gathered: Sequence[SourceExamples],
    model: EmotionModel,
    cache: MediaCache,
    limit: int | None,
    store: InputCache | None = None,
) -> list[DevSet]:
    """One set a source with dev utterances, and one a subset of modalities where samples are composed."""
    sets = []
    for g in gathered:
        if g.dev:
            samples = Samples(g.dev, model, cache, seed=0, store=store)
            keys, threshold = [(0, i) for i in range(len(g.dev))], protocol_of(g.source.corpus).threshold
            sets.append(DevSet(_unused(g.source.corpus, sets), samples, keys, threshold=threshold))
    examples: list[Example] = [example for g in gathered for example in g.dev]
    if recipe.data.compose and examples:
        plain = recipe.data.compose.model_copy(update={"conflict": 0.0, "fewest": 1})
        each = _fewer(plain.dev_size, limit)
        sides = held_out([e.cluster for e in examples]).tolist()
        composer = Composer(examples, plain, 1, sides)
        number = len(composer.subsets)
        composer.size = each * number
        samples = Samples(examples, model, cache, seed=0, composer=composer)
        for i, subset in enumerate(composer.subsets):
            keys = [(0, len(examples) + i + number * k) for k in range(each)]
            sets.append(DevSet("composed " + "+".join(sorted(subset)), samples, keys, composed=True))
    if not sets:
        raise RecipeError("no source has a dev split to choose the epoch by; keep evaluate: true for one that has")
    return sets


def _unused(name: str, sets: Sequence[DevSet]) -> str:
    taken = sum(s.name.split("#")[0] == name for s in sets)
    return f"{name}#{taken + 1}" if taken else name


def _counts(gathered: Sequence[SourceExamples], model: EmotionModel) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Expected sums of the targets in one epoch, and expected labelled samples, by task."""
    counts, labelled = (
        {t.name: np.zeros(t.width) for t in model.tasks},
        dict.fromkeys((t.name for t in model.tasks), 0.0),
    )
    for g in gathered:
        for example, times in zip(g.train, g.times(), strict=True):
            for name, target in example.targets.items():
                counts[name] += times * np.nan_to_num(target)
                labelled[name] += times * (not np.isnan(target).any())
    return counts, labelled
