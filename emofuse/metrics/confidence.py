"""How far stated confidence can be trusted: proper scores (NLL, Brier) and calibration error.

`probs` are rows that sum to 1; `targets` are rows of the same width: one-hot, or the annotators' distribution. Whether
a prediction is right is decided by the target's leading class. Empty input: NaN and a `MetricWarning`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from emofuse.metrics.undefined import pair, warn
from emofuse.tasks import leading

Binning = Literal["width", "mass"]


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Mean confidence, share right and count of each bin that holds samples."""

    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    count: Int[np.ndarray, " bins"]

    @property
    def ece(self) -> float:
        """The gap between confidence and accuracy, averaged by count; NaN without samples."""
        if not self.count.sum():
            return float("nan")
        return float(np.dot(self.count, np.abs(self.confidence - self.accuracy)) / self.count.sum())


def nll(targets: Float[np.ndarray, "n k"], probs: Float[np.ndarray, "n k"]) -> float:
    """Cross-entropy −Σ t·log p per sample, in nats; a probability of 0 counts as the smallest normal float64."""
    targets, probs = pair("NLL", targets, probs, name="probs", axes=2)
    if not len(targets):
        return float("nan")
    return float(-np.mean(np.sum(targets * np.log(np.maximum(probs, np.finfo(np.float64).tiny)), axis=1)))


def brier(targets: Float[np.ndarray, "n k"], probs: Float[np.ndarray, "n k"]) -> float:
    """Squared distance Σ (p − t)² per sample, 0 to 2 (Brier 1950, the original multi-class form, not halved)."""
    targets, probs = pair("the Brier score", targets, probs, name="probs", axes=2)
    return float(np.mean(np.sum((probs - targets) ** 2, axis=1))) if len(targets) else float("nan")


def reliability_curve(
    targets: Float[np.ndarray, "n k"], probs: Float[np.ndarray, "n k"], *, bins: int = 15, binning: Binning = "width"
) -> ReliabilityCurve:
    """Confidence of the leading class against how often it is right.

    Bins are (low, high] of equal width (Guo et al. 2017), or hold equal numbers of samples ("mass", Nguyen & O'Connor
    2015); equal confidences always share a bin, so the order of the samples changes nothing. Rows that several classes
    lead alike are left out.
    """
    targets, probs = pair("the reliability curve", targets, probs, name="probs", axes=2)
    truth = leading(targets)
    probs, truth = probs[truth >= 0], truth[truth >= 0]
    if not len(truth):
        return ReliabilityCurve(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    confidence = probs.max(axis=1)
    right = (probs.argmax(axis=1) == truth).astype(np.float64)
    if binning == "width":
        edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    else:
        ends = np.ceil(np.arange(1, bins) * len(confidence) / bins).astype(int) - 1
        edges = np.sort(confidence)[np.maximum(ends, 0)]
    which = np.searchsorted(edges, confidence, side="left")
    count = np.bincount(which, minlength=bins)
    held = count > 0
    mean = [np.bincount(which, weights=v, minlength=bins)[held] / count[held] for v in (confidence, right)]
    return ReliabilityCurve(mean[0], mean[1], count[held])


def ece(
    targets: Float[np.ndarray, "n k"], probs: Float[np.ndarray, "n k"], *, bins: int = 15, binning: Binning = "width"
) -> float:
    """Expected calibration error of the leading class (Naeini et al. 2015); 0 is calibrated, NaN when empty."""
    return reliability_curve(targets, probs, bins=bins, binning=binning).ece


def ece_by_chance(probs: Float[np.ndarray, "n k"], *, bins: int = 15, draws: int = 200, seed: int = 0) -> float:
    """The ECE that this many samples show on average where the confidence is exactly right; 0 only for infinitely many.

    Truths are drawn from the stated confidences (the consistency resampling of Bröcker & Smith 2007). An ECE near it
    cannot be told from 0. NaN when empty.
    """
    confidence = np.asarray(probs, dtype=np.float64).max(axis=1) if len(probs) else np.empty(0)
    if not len(confidence):
        warn("the ECE of no samples is undefined: NaN")
        return float("nan")
    which = np.searchsorted(np.linspace(0.0, 1.0, bins + 1)[1:-1], confidence, side="left")
    rng = np.random.default_rng(seed)
    gaps = [
        np.abs(np.bincount(which, (rng.random(len(confidence)) < confidence) - confidence)).sum() for _ in range(draws)
    ]
    return float(np.mean(gaps) / len(confidence))
