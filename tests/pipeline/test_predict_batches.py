"""Segments through the model in batches: in order, and as if each had been alone."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emofuse.pipeline.predict_batches import PADDED_SECONDS, buckets, buckets_of_words, predict_batches


@given(st.lists(st.floats(0, 120), max_size=40))
def test_buckets_hold_each_index_once_and_no_more_than_fits(seconds):
    groups = buckets(seconds)
    assert sorted(i for group in groups for i in group) == list(range(len(seconds)))
    for group in groups:
        lengths = [seconds[i] for i in group]
        assert len(group) == 1 or max(lengths) * len(group) <= PADDED_SECONDS
        assert max(lengths) <= max(2 * min(lengths), 2.0)


def pieces_of(groups, pieces, call):
    return sum(call + len(group) * max(pieces[i] for i in group) for group in groups)


@given(st.lists(st.integers(0, 60), max_size=9), st.integers(0, 80))
def test_buckets_of_words_cost_the_fewest_pieces(pieces, call):
    groups = buckets_of_words(pieces, limit=120, call=call)
    assert sorted(i for group in groups for i in group) == list(range(len(pieces)))
    assert all(len(group) == 1 or len(group) * max(pieces[i] for i in group) <= 120 for group in groups)
    order = sorted(range(len(pieces)), key=pieces.__getitem__)
    for cuts in product([False, True], repeat=max(0, len(pieces) - 1)):
        ends = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), len(order)]
        other = [order[a:b] for a, b in pairwise(ends) if b > a]
        if all(len(group) == 1 or len(group) * pieces[group[-1]] <= 120 for group in other):
            assert pieces_of(groups, pieces, call) <= pieces_of(other, pieces, call)


def test_a_few_words_of_several_lengths_are_one_call_and_many_are_not():
    assert buckets_of_words([7, 17, 23]) == [[0, 1, 2]]
    assert buckets_of_words([5, 40] * 16) == [list(range(0, 32, 2)), list(range(1, 32, 2))]


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("size", [1, 3, 16])
def test_batches_change_nothing(tiny_model, make_segment, size, words):
    segments = [make_segment(i) for i in range(7)]
    segments[2] = segments[2].without("speech", "text")
    segments[4] = segments[4].without("face")
    if words:
        segments = [make_segment(i).only("text") for i in range(7)]
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
