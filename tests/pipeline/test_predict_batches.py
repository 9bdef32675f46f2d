"""Segments through the model in batches: in order, and as if each had been alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emofuse.pipeline.predict_batches import PADDED_SECONDS, buckets, predict_batches


@given(st.lists(st.floats(0, 120), max_size=40))
def test_buckets_hold_each_index_once_and_no_more_than_fits(seconds):
    groups = buckets(seconds)
    assert sorted(i for group in groups for i in group) == list(range(len(seconds)))
    for group in groups:
        lengths = [seconds[i] for i in group]
        assert len(group) == 1 or max(lengths) * len(group) <= PADDED_SECONDS
        assert max(lengths) <= max(2 * min(lengths), 2.0)


@pytest.mark.parametrize("size", [1, 3, 16])
def test_batches_change_nothing(tiny_model, make_segment, size):
    segments = [make_segment(i) for i in range(7)]
    segments[2] = segments[2].without("speech", "text")
    segments[4] = segments[4].without("face")
    alone = [p for i, s in enumerate(segments) for _, p in predict_batches(tiny_model, [(i, 5, s)], 1)]
    together = list(predict_batches(tiny_model, ((i, 5, s) for i, s in enumerate(segments)), size))
    assert [key for key, _ in together] == list(range(7))
    for (_, p), one in zip(together, alone, strict=True):
        assert p is not None and one is not None
        assert (p.start, p.end, p.person, p.present) == (one.start, one.end, 5, one.present)
        assert p.emotions == pytest.approx(one.emotions, abs=1e-5)
        assert p.intensity == pytest.approx(one.intensity, abs=1e-5) and p.valence is None
        assert set(p.by_modality) == p.present
        assert np.linalg.norm(p.embedding) == pytest.approx(1, abs=1e-5)


def test_what_the_model_cannot_read_has_no_prediction(tiny_model, make_segment):
    empty = make_segment(0).without("text", "speech", "face")
    assert list(predict_batches(tiny_model, [("a", None, empty)], 4)) == [("a", None)]


def test_no_more_segments_are_held_than_a_batch(tiny_model, make_segment):
    taken = []

    def source():
        for i in range(9):
            taken.append(i)
            yield i, None, make_segment(i)

    for done, (key, _) in enumerate(predict_batches(tiny_model, source(), 3)):
        assert key == done and len(taken) <= done // 3 * 3 + 3
