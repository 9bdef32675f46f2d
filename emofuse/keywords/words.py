"""Keywords: the lemmas that moved an answer most over a collection, with intervals over its documents."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from emofuse.keywords.documents import Documents
from emofuse.metrics.intervals import resampled_sums

LEAST = 3
"""Documents that a keyword is in, at least: an interval over fewer says little."""


@dataclass(frozen=True)
class Keyword:
    """A lemma, and how far its words moved the answer over all documents, from words that say nothing."""

    lemma: str
    score: float
    """Sum of log-odds (of a scalar: of its units)."""
    low: float
    high: float
    """95 % of the sum, over documents drawn anew."""
    count: int
    documents: int

    def to_dict(self) -> dict[str, Any]:
        """JSON's types."""
        return asdict(self) | {"each": self.score / self.count}


def keywords(found: Documents, *, least: int = LEAST, resamples: int = 1000) -> list[Keyword]:
    """Every lemma that is in `least` documents, the one that speaks most for it first, against it last."""
    documents, counts = found.in_documents(), np.asarray(found.counts.sum(axis=0)).ravel()
    kept = np.flatnonzero(documents >= least)
    scores = found.scores[:, kept]
    low, high = np.quantile(resampled_sums(scores, resamples=resamples), (0.025, 0.975), axis=0)
    sums = np.asarray(scores.sum(axis=0)).ravel()
    numbers = zip(sums.tolist(), low.tolist(), high.tolist(), kept.tolist(), strict=True)
    made = [Keyword(found.lemmas[at], *each, int(counts[at]), int(documents[at])) for *each, at in numbers]
    return sorted(made, key=lambda keyword: -keyword.score)
