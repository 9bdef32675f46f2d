"""Pools of parts that err together: accuracy, confidence and coverage on simulated people, by how alike they err.

    python -m benchmarks.correlated_parts

Both pools are fitted on parts of different people, as composed samples are, and answer for parts of one person.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import special, stats

from emofuse.calibration.composition import compose, opinions_of
from emofuse.calibration.pools import SIZE, Drawn, fit_pool, pooled_evidence
from emofuse.calibration.refit import fit_head
from emofuse.calibration.temperature import softmax
from emofuse.metrics import ece, nll
from emofuse.model.conformal import ConformalScores
from emofuse.model.pool import OpinionPool
from emofuse.tasks import TASKS

CLASSES = 7
CLARITY = {"text": 2.0, "speech": 1.5, "face": 1.8}
"""Of the true class over the others, in units of the noise."""
COMMON = (0.0, 0.27, 0.53)
"""Share of the noise that one person's parts have in common: rank correlations of about 0, 0.25 and 0.5."""
Answer = Callable[[Float[np.ndarray, "n m classes"]], Float[np.ndarray, "n classes"]]


@dataclass(frozen=True)
class Line:
    """How a pool did on people whose parts err alike to a degree."""

    correlation: float
    pool: str
    accuracy: float
    confidence: float
    nll: float
    ece: float
    coverage: float
    size: float


def people(n: int, common: float, seed: int) -> tuple[Float[np.ndarray, "n m classes"], Int[np.ndarray, " n"]]:
    """Calibrated log-probabilities of the parts of n people, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    noise = np.sqrt(common) * rng.standard_normal((n, 1, CLASSES))
    noise = noise + np.sqrt(1 - common) * rng.standard_normal((n, len(CLARITY), CLASSES))
    clarity = np.array(list(CLARITY.values()))[:, None]
    scores = np.eye(CLASSES)[labels][:, None] * clarity + noise
    return special.log_softmax(scores * clarity, axis=2), labels


def product() -> tuple[Answer, ConformalScores]:
    """The weighted sum, most likely on parts of different people."""
    parts, labels = people(SIZE, 0.0, 1)
    targets = np.eye(CLASSES)[labels]
    weights, _ = fit_pool([Drawn("dev", parts, targets)], caution=0.0)

    def answer(given: np.ndarray) -> np.ndarray:
        return softmax(np.einsum("m,nmk->nk", weights / len(CLARITY), given))

    return answer, ConformalScores.fit(answer(parts), targets, classes=TASKS["emotion"].classes)


def mean() -> tuple[Answer, ConformalScores]:
    """The opinion pool, on composed parts with correlated errors."""
    task, alone = TASKS["emotion"], [people(SIZE, 0.0, seed) for seed in (1, 2, 3)]
    columns = {
        m: opinions_of([parts[:, j]], [np.eye(CLASSES)[labels]])
        for j, (m, (parts, labels)) in enumerate(zip(CLARITY, alone, strict=True))
    }
    parts, labels = compose(columns, SIZE)
    drawn = Drawn("composed", parts, np.eye(CLASSES)[labels])
    pool, places = OpinionPool(task, len(CLARITY), 8, corrected=False), list(range(len(CLARITY)))
    weights, bias = fit_pool([drawn])
    pool.lay(7, places, weights, bias)
    evidence = pooled_evidence(pool, task, 7, places, drawn)
    temperature = fit_head(task, [evidence], coldest=1.0).temperature

    def answer(given: np.ndarray) -> np.ndarray:
        said = pooled_evidence(pool, task, 7, places, Drawn("people", given, np.empty((len(given), CLASSES))))
        return softmax(said.logits, temperature)

    probs = softmax(evidence.logits, temperature)
    return answer, ConformalScores.fit(probs, evidence.targets, classes=task.classes, method="aps")


def lines(n: int = 20_000) -> Iterator[Line]:
    """Both pools at each correlation."""
    for name, (answer, scores) in (("product", product()), ("mean", mean())):
        sets = scores.at(0.9)
        for common in COMMON:
            parts, labels = people(n, common, 9)
            probs, targets = answer(parts), np.eye(CLASSES)[labels]
            clear = parts[np.arange(n), :, labels]
            found = sets.assess(probs, labels)
            yield Line(
                correlation=float(stats.spearmanr(clear[:, 0], clear[:, 1]).statistic),
                pool=name,
                accuracy=float((probs.argmax(1) == labels).mean()),
                confidence=float(probs.max(1).mean()),
                nll=nll(targets, probs),
                ece=ece(targets, probs),
                coverage=found["coverage"],
                size=found["size"],
            )


def main() -> int:
    """Print the table."""
    names = list(Line.__annotations__)
    sys.stdout.write("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|\n")
    for line in lines():
        cells = [v if isinstance(v := getattr(line, name), str) else f"{v:.3f}" for name in names]
        sys.stdout.write("| " + " | ".join(cells) + " |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
