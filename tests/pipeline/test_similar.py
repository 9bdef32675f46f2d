"""Neighbours and clusters of embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.pipeline.similar import Embeddings


@pytest.fixture
def states() -> np.ndarray:
    """Two bundles of directions about a large common part, as states of one kind have it."""
    rng = np.random.default_rng(0)
    common = 10 * np.ones(8)
    bundles = np.repeat([[1.0] * 4 + [0.0] * 4, [0.0] * 4 + [1.0] * 4], 10, axis=0)
    return common + bundles + 0.1 * rng.standard_normal((20, 8))


def test_neighbours_are_of_the_own_bundle_whatever_all_share(states: np.ndarray):
    kept = Embeddings(states, ["text"] * 20)
    assert all({i // 10 for i, _ in kept.neighbours(row, 9)} == {row // 10} for row in range(20))
    cosines = [c for _, c in kept.neighbours(3, 19)]
    assert cosines == sorted(cosines, reverse=True) and len(cosines) == 19 and max(cosines) <= 1 + 1e-9
    assert 3 not in {i for i, _ in kept.neighbours(3, 19)}
    assert {i // 10 for i, _ in kept.nearest(states[15], "text", 5)} == {1}


def test_each_kind_is_compared_by_what_differs_within_it(states: np.ndarray):
    """A second kind with another common part is told apart within itself just the same."""
    other = states - 10 + np.linspace(-20, 20, 8)
    kept = Embeddings(np.concatenate([states, other]), ["text"] * 20 + ["speech"] * 20)
    assert {i % 20 // 10 for i, _ in kept.neighbours(25, 9)} == {0}
    assert kept.nearest(np.ones(8), "face", 1)[0][0] in range(40), "a kind that nothing is of is compared as it is"


def test_clusters_are_the_bundles_with_what_leads_in_them(states: np.ndarray):
    emotions = ["joy"] * 9 + ["fear"] + ["sadness"] * 9 + [None]
    first, second = Embeddings(states, ["text"] * 20).clusters(2, emotions)
    assert sorted(first.rows.tolist()) in (list(range(10)), list(range(10, 20)))
    assert {len(first.rows), len(second.rows)} == {10}
    joyful = first if "joy" in first.emotions else second
    assert joyful.emotions == {"joy": 9, "fear": 1}
    assert len(Embeddings(states[:3], ["text"] * 3).clusters(9, ["joy"] * 3)) <= 3


def test_what_is_alone_of_its_kind_is_compared_as_it_is():
    kept = Embeddings(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]]), ["text", "text", "speech"])
    (first, cosine), (second, _) = kept.neighbours(2, 2)
    assert (first, second) == (0, 1) and cosine > 0.5
