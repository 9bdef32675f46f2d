"""Familiarity fitted: what a model was trained on, described by the states of a sample of its training data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy import optimize
from torch import Tensor, nn

from emofuse.calibration.parts import Parts
from emofuse.calibration.temperature import softmax
from emofuse.modalities import Modality, ordered
from emofuse.model.familiarity import FURTHEST, NEIGHBOURS, Familiarity
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task, majority

COMPONENTS = 32
REFERENCE = 1600
"""Training states that are kept, the same number of each source, while …"""
LARGEST = 300_000
"""… what is stored of a modality stays within so many bytes."""
GENTLEST = 0.2
"""The least slope. Development data resemble training data and cannot show what a stranger costs: of two voices'
corpora that were left out of training in turn, each fitted 0.20 and 0.25."""
FEWEST = 50


def fit_familiarity(
    model: EmotionModel, train: Sequence[Parts], dev: Sequence[Parts], modalities: Collection[Modality] | None = None
) -> dict[Modality, float]:
    """Lay into the model what the training states of these modalities (None = all) are like; returns the slopes.

    `dev` says which distances are usual, and may hold sources that were left out of training. A modality without FEWEST
    samples of either keeps the description that it has, if any.
    """
    found: dict[Modality, nn.Module] = {}
    for modality in model.modalities if modalities is None else ordered(modalities):
        training = [rows for p in train if len(rows := _states(p, modality))]
        usual = [rows for p in dev if len(rows := _states(p, modality))]
        if min(sum(map(len, training)), sum(map(len, usual))) >= FEWEST:
            known = describe(training, usual)
            known.slope.fill_(_slope(model, known, modality, dev))
            found[modality] = known
    model.familiarity = nn.ModuleDict(dict(model.familiarity.items()) | found).to(model.device)
    return {m: float(known.slope) for m, known in found.items()}  # type: ignore[arg-type]


def describe(
    training: Sequence[Float[np.ndarray, "_ state"]], usual: Sequence[Float[np.ndarray, "_ state"]]
) -> Familiarity:
    """From the states of each source of training and of development data; its slope is GENTLEST."""
    sample = _sample(training)
    width = sample.shape[1]
    spread = sample.std(0)
    spread = np.maximum(spread, 1e-2 * np.median(spread) + 1e-6)
    _, lengths, axes = np.linalg.svd((sample - sample.mean(0)) / spread, full_matrices=False)
    kept = min(COMPONENTS, int((lengths > 1e-3 * lengths[0]).sum()))
    scale = np.sqrt(len(sample)) / lengths[:kept]
    components = _half(axes[:kept].T * scale / spread[:, None])
    offset = _half(sample.mean(0) @ components.numpy())
    most = max(NEIGHBOURS, (LARGEST - 2 * width * kept - 4096) // (2 * kept))
    chosen = np.random.default_rng(0).permutation(len(sample))[:most]
    known = Familiarity(
        {
            "components": components,
            "offset": offset,
            "reference": _half(sample[chosen] @ components.numpy() - offset.numpy()),
            "quantiles": torch.zeros(101),
            "slope": torch.tensor(GENTLEST),
        }
    )
    known.quantiles.copy_(_percentiles([known(torch.from_numpy(rows)) for rows in usual]))
    return known


def _states(parts: Parts, modality: Modality) -> Float[np.ndarray, "_ state"]:
    states = parts.states[modality]
    return states[~np.isnan(states[:, 0])]


def _sample(sources: Sequence[np.ndarray]) -> np.ndarray:
    """As many of each source, as far as it has them."""
    rng, share = np.random.default_rng(0), REFERENCE // len(sources)
    return np.concatenate([rows[rng.permutation(len(rows))[:share]] for rows in sources]).astype(np.float64)


def _half(values: np.ndarray) -> Tensor:
    """Rounded as it is stored, so that the distances are those of the checkpoint."""
    return torch.from_numpy(np.asarray(values, np.float32)).half().float()


def _percentiles(distances: Sequence[Tensor]) -> Float[Tensor, "101"]:
    """Of the distance of a sample of a random source."""
    values = np.concatenate([d.numpy() for d in distances])
    shares = np.concatenate([np.full(len(d), 1 / (len(d) * len(distances))) for d in distances])
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(shares[order]) - shares[order] / 2
    return torch.from_numpy(np.interp(np.linspace(0, 1, 101), reached, values[order]).astype(np.float32))


def _slope(model: EmotionModel, known: Familiarity, modality: Modality, dev: Sequence[Parts]) -> float:
    """At which the modality's own head is most likely right, over sources that count the same; GENTLEST at least."""
    task = next((t for t in model.tasks if t.exclusive), None)
    rows = [(p, p.rows(task.name, modality)) for p in dev] if task is not None else []
    rows = [(p, kept) for p, kept in rows if kept.sum() >= FEWEST]
    if task is None or not rows:
        return GENTLEST
    spreads = [known.spreads(known(torch.from_numpy(p.states[modality][kept]))).numpy() for p, kept in rows]

    def loss(values: np.ndarray) -> float:
        level, slope = values
        each = zip(rows, spreads, strict=True)
        return float(np.mean([_nll(task, p, modality, kept, np.exp(level + slope * s)) for (p, kept), s in each]))

    found = optimize.minimize(loss, [0.0, GENTLEST], method="L-BFGS-B", bounds=[(-3, 3), (GENTLEST, 6 / FURTHEST)])
    return float(found.x[1])


def _nll(task: Task, parts: Parts, modality: Modality, kept: np.ndarray, heat: np.ndarray) -> float:
    probs = softmax(parts.logits[modality][task.name][kept] / heat[:, None])
    return float(-(majority(parts.targets[task.name][kept]) * np.log(probs + 1e-9)).sum(1).mean())
