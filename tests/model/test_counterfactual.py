"""Counterfactuals: answers to variants are those of the variants themselves, and the search finds what it claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import numpy as np
import pytest

from emofuse.batch import collate
from emofuse.model.counterfactual import Parts, Replies, search, silenced, towards, windows, without_words


def predicted(model, segment) -> np.ndarray:
    return model.predict(collate([model.prepare(segment)])).tasks["emotion"][0]


def test_a_reply_to_a_variant_is_what_the_model_says_of_it(tiny_model, make_segment):
    segment = make_segment(3)
    replies = Replies(tiny_model, segment, tiny_model.tasks[0])
    fewer = [without_words(segment, frozenset({i})) for i in range(len(segment.words))]
    for variant, reply in zip(fewer, replies(fewer, "text"), strict=True):
        assert reply == pytest.approx(predicted(tiny_model, variant), abs=1e-5)
    quiet = [silenced(segment, frozenset({i})) for i in range(len(windows(segment)))]
    for variant, reply in zip(quiet, replies(quiet, "speech"), strict=True):
        assert reply == pytest.approx(predicted(tiny_model, variant), abs=1e-5)
    gone = [frozenset(), frozenset({"text"}), frozenset({"speech", "face"})]
    for some, reply in zip(gone, replies.without(gone), strict=True):
        assert reply == pytest.approx(predicted(tiny_model, segment.without(*some)), abs=1e-5)


def test_windows_cover_the_sound_and_silence_only_what_they_name(make_segment):
    segment = make_segment(2)
    spans = windows(segment)
    assert spans[0][0] == 0 and spans[-1][1] == pytest.approx(len(segment.waveform) / 16_000)
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    quiet = silenced(segment, frozenset({0})).waveform
    edge = round(spans[0][1] * 16_000)
    assert not quiet[:edge].any() and np.array_equal(quiet[edge:], segment.waveform[edge:])
    assert segment.waveform[:edge].any(), "the segment itself is as it was"


def needs(*sets: Parts, parts: int) -> tuple[Callable[[Sequence[Parts]], np.ndarray], list[Parts]]:
    """Margins above 0 where one of these sets is gone, growing with how much of one is; and what was asked for."""
    asked: list[Parts] = []

    def margins(given: Sequence[Parts]) -> np.ndarray:
        asked.extend(given)
        return np.array([max(len(gone & s) / len(s) for s in sets) - 0.99 for gone in given])

    return margins, asked


@pytest.mark.parametrize("wanted", [{4}, {1, 7}, {2, 5, 8}, {0, 3, 6, 9}])
def test_what_is_needed_is_found_and_no_more(wanted):
    margins, asked = needs(frozenset(wanted), parts=12)
    found = search(margins, 12, 8)
    assert found.changed and found.gone == wanted and found.tried == len(asked)
    assert found.least == min(len(wanted), 3), "of three or more, pairs alone were ruled out"


def test_two_that_only_help_together_are_found_where_pairs_are_tried():
    def margins(given: Sequence[Parts]) -> np.ndarray:
        return np.array([1.0 if {2, 6} <= gone else -0.5 - 0.1 * (2 in gone) for gone in given])

    assert search(margins, 10, 8).gone == {2, 6}
    greedy = search(margins, 10, 8, pairs=0)
    assert greedy.changed and len(greedy.gone) == 2, "and what greed took in vain is put back"
    assert greedy.least == 2


def test_where_nothing_helps_the_nearest_is_told_and_the_bound_holds():
    margins, asked = needs(frozenset(range(20)), parts=20)
    found = search(margins, 20, 3, pairs=0)
    assert not found.changed and len(found.gone) == 3 and found.tried == len(asked) <= 20 * 3
    assert search(margins, 1, 8) == search(margins, 0, 8), "never all of it"


def test_the_bound_is_the_least_there_is_by_trying_everything():
    """Random margins over every set of six parts: no smaller set does it than the bound says."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        level = {frozenset(s): rng.normal(-0.8, 0.5) for n in range(1, 7) for s in combinations(range(6), n)}
        found = search(lambda given, level=level: np.array([level[gone] for gone in given]), 6, 5)
        smallest = min((len(s) for s, margin in level.items() if margin > 0), default=9)
        assert found.least <= smallest or smallest == 9
        if found.changed:
            assert level[found.gone] > 0 and len(found.gone) >= smallest
            assert len(found.gone) == smallest or smallest > 2
            assert all(level[found.gone - {i}] <= 0 for i in found.gone if len(found.gone) > 1)


def test_a_margin_of_what_was_never_learnt_never_leads():
    answers = np.array([[0.5, 0.3, 0.2], [np.nan] * 3])
    assert towards(answers, 0) == pytest.approx([0.2, -np.inf]) and towards(answers, 1)[0] == pytest.approx(-0.2)
