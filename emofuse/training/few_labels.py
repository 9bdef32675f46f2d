"""Few-label training: pseudo-labels where the model is sure, and a query for labels where it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from emofuse.batch import collate
from emofuse.corpora.manifest.reader import Manifest
from emofuse.corpora.manifest.write import write_manifest
from emofuse.data.examples import read_by
from emofuse.errors import DataError, RecipeError, nearest
from emofuse.model.model import EmotionModel
from emofuse.model.predict import GIVEN, predict
from emofuse.tasks import Task
from emofuse.types import Utterance

Query = Literal["entropy", "margin", "bald"]
QUERIES: tuple[Query, ...] = ("entropy", "margin", "bald")


@dataclass(frozen=True)
class Labelled:
    """What pseudo-labelling wrote."""

    manifest: Path
    given: int
    """Rows that were labelled already and are kept as they are."""
    taken: dict[str, int]
    """Class → rows that the model was sure of."""
    left: int
    """Rows below the threshold, which are not in the manifest."""


@dataclass(frozen=True)
class Suggestion:
    """An utterance to label, and how much it would teach: higher is more."""

    utterance: Utterance
    score: float
    guess: dict[str, float]
    """Class → probability as the model sees it now."""


def pseudo_label(
    model: EmotionModel,
    manifest: str | Path,
    out: str | Path,
    *,
    task: str = "emotion",
    threshold: float = 0.9,
    most: int | None = None,
    soft: bool = False,
    batch_size: int = 16,
    **options: Any,
) -> Labelled:
    """Write a manifest with the labelled train rows of `manifest` and those that the model is sure of (Lee 2013).

    A row without a label of `task` is taken when its calibrated top probability reaches `threshold`; `most` keeps the
    surest so many of each class, against drift to the frequent ones; `soft` writes the distribution in place of the
    class. Dev and test rows are copied and never labelled. `options` go to the manifest's reader. Raises DataError.
    """
    chosen = _task(model, task)
    if not 0 < threshold <= 1:
        raise DataError(f"threshold is a probability above 0 and up to 1, got {threshold}")
    rows = Manifest().read(manifest, None, **options).utterances
    kept = [u for u in rows if u.split != "train" or not _unlabelled(u, chosen)]
    pool = [u for u in rows if u.split == "train" and _unlabelled(u, chosen)]
    found = list(zip(pool, probabilities(model, pool, chosen, batch_size), strict=True))
    sure = sorted((f for f in found if f[1].max() >= threshold), key=lambda f: -f[1].max())
    taken: Counter[str] = Counter()
    new: list[Utterance] = []
    for utterance, p in sure:
        name = chosen.classes[int(p.argmax())]
        if most is None or taken[name] < most:
            taken[name] += 1
            label = {c: round(float(v), 4) for c, v in zip(chosen.classes, p, strict=True)} if soft else name
            new.append(replace(utterance, labels={**utterance.labels, task: label}))
    order = {u.id: i for i, u in enumerate(rows)}
    everything = sorted([*kept, *new], key=lambda u: order[u.id])
    path = write_manifest(everything, out, (task,))
    return Labelled(path, len(rows) - len(pool), dict(taken), len(pool) - len(new))


def suggest(
    model: EmotionModel,
    manifest: str | Path,
    out: str | Path,
    *,
    by: Query = "entropy",
    n: int = 50,
    task: str = "emotion",
    passes: int = 10,
    seed: int = 0,
    batch_size: int = 16,
    **options: Any,
) -> list[Suggestion]:
    """Write a manifest of the `n` unlabelled train rows from which the model would learn most, and return them.

    `by`: the entropy of the prediction; `margin`, the smallest lead of the first class over the second; `bald`, what
    `passes` of the model with dropout on disagree about (Houlsby et al. 2011, eq. 2; dropout as in Gal et al. 2017).
    The column of `task` is empty, to be filled in. Raises DataError when no row is unlabelled.
    """
    chosen = _task(model, task)
    if by not in QUERIES:
        raise DataError(f"by {by!r}; {nearest(by, QUERIES)}")
    rows = Manifest().read(manifest, "train", **options).utterances
    pool = [u for u in rows if _unlabelled(u, chosen)]
    if not pool:
        raise DataError(f"every train row of {manifest} has a label of {task}; add rows whose column {task} is empty")
    p = probabilities(model, pool, chosen, batch_size)
    if by == "bald":
        with dropout_on(model, seed):
            scores = bald(np.stack([probabilities(model, pool, chosen, batch_size) for _ in range(passes)]))
    else:
        scores = entropy(p) if by == "entropy" else margin(p)
    best = np.argsort(-scores, kind="stable")[:n]
    found = [
        Suggestion(pool[i], float(scores[i]), dict(zip(chosen.classes, p[i].astype(float).tolist(), strict=True)))
        for i in best
    ]
    write_manifest((s.utterance for s in found), out, (task,))
    return found


def entropy(p: Float[np.ndarray, "n classes"]) -> Float[np.ndarray, " n"]:
    """Of each row, in nats."""
    return -(p * np.log(p.clip(1e-12))).sum(-1)


def margin(p: Float[np.ndarray, "n classes"]) -> Float[np.ndarray, " n"]:
    """One less the lead of the first class over the second."""
    first, second = -np.sort(-p, axis=-1)[:, :2].T
    return 1 - (first - second)


def bald(p: Float[np.ndarray, "passes n classes"]) -> Float[np.ndarray, " n"]:
    """Entropy of the mean less the mean of the entropies: mutual information of prediction and weights."""
    return entropy(p.mean(0)) - entropy(p).mean(0)


def probabilities(
    model: EmotionModel, utterances: Sequence[Utterance], task: Task, batch_size: int
) -> Float[np.ndarray, "n classes"]:
    """Calibrated class probabilities of utterances, with the modalities each has, in the mode the model is in."""
    if not utterances:
        return np.zeros((0, task.width))
    starts, read = range(0, len(utterances), batch_size), read_by(model)
    batches = (collate([model.prepare(read(u)) for u in utterances[i : i + batch_size]]) for i in starts)
    return predict(model, batches).values[GIVEN][task.name]


@contextmanager
def dropout_on(model: nn.Module, seed: int) -> Iterator[None]:
    """Dropout layers draw, everything else stays in evaluation mode, and the caller's random state comes back."""
    layers = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    if not any(layer.p for layer in layers):
        raise RecipeError("the model has no dropout, so BALD has nothing to disagree about; query by entropy or margin")
    before = [layer.training for layer in layers]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            for layer in layers:
                layer.train()
            yield
        finally:
            for layer, mode in zip(layers, before, strict=True):
                layer.train(mode)


def _task(model: EmotionModel, name: str) -> Task:
    found = {t.name: t for t in model.tasks if t.exclusive}
    if name not in found:
        raise DataError(f"the model has no task with one class a row called {name!r}; {nearest(name, found)}")
    return found[name]


def _unlabelled(utterance: Utterance, task: Task) -> bool:
    return bool(np.isnan(Manifest().fold(utterance.labels, task)).any())
