"""Similar predictions: nearest neighbours and clusters of embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Cluster:
    """Predictions that lie together."""

    rows: Int[np.ndarray, " n"]
    """The most central first."""
    emotions: dict[str, int]
    """Leading emotion → rows, the most frequent first."""


class Embeddings:
    """Fused states of many predictions, compared by the cosine once what all of their kind share is taken away.

    The states of voices are all much alike, and so are those of texts: what tells them apart is what differs from the
    mean of those with the same modalities.
    """

    def __init__(self, states: Float[np.ndarray, "n dim"], present: Sequence[str]) -> None:
        """`present`: the modalities of each, as a text (see `modalities.subset_name`)."""
        self.present = np.array(present)
        several = sorted(kind for kind, count in Counter(present).items() if count > 1)
        self.means = {kind: states[self.present == kind].mean(axis=0) for kind in several}
        self.states = self._centred(np.asarray(states, np.float64), self.present)

    def _centred(self, states: Float[np.ndarray, "n dim"], present: np.ndarray) -> Float[np.ndarray, "n dim"]:
        """At unit length; of a kind that nothing else is of, as they are."""
        nothing = np.zeros(states.shape[1])
        moved = states - np.stack([self.means.get(kind, nothing) for kind in present])
        return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)

    def nearest(self, state: Float[np.ndarray, " dim"], present: str, most: int = 10) -> list[tuple[int, float]]:
        """(row, cosine) of those nearest to another state."""
        return self._ranked(self._centred(np.asarray(state, np.float64)[None], np.array([present]))[0], most)

    def neighbours(self, row: int, most: int = 10) -> list[tuple[int, float]]:
        """(row, cosine) of those nearest to one of its own, which is not among them."""
        return [found for found in self._ranked(self.states[row], most + 1) if found[0] != row][:most]

    def _ranked(self, unit: Float[np.ndarray, " dim"], most: int) -> list[tuple[int, float]]:
        cosines = self.states @ unit
        return [(int(i), float(cosines[i])) for i in np.argsort(-cosines, kind="stable")[:most]]

    def clusters(self, count: int, emotions: Sequence[str | None]) -> list[Cluster]:
        """k-means of the directions (k-means++, seed 0), the largest first; `emotions` are the rows' leading ones."""
        from scipy.cluster.vq import kmeans2

        centres, owner = kmeans2(self.states, min(count, len(self.states)), minit="++", seed=0)
        found = []
        for number in np.unique(owner):
            rows = np.flatnonzero(owner == number)
            central = rows[np.argsort(-(self.states[rows] @ centres[number]), kind="stable")]
            told = Counter(emotion for i in rows.tolist() if (emotion := emotions[i]) is not None)
            found.append(Cluster(central, dict(told.most_common())))
        return sorted(found, key=lambda each: -len(each.rows))
