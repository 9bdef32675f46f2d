"""Contributions of modalities over a clip."""

from __future__ import annotations

import pytest

from emofuse.demo.contributions import Kept, mean_contribution


def test_a_few_segments_are_kept_evenly():
    kept = Kept(4)
    for index in range(100):
        kept.push(index, None, None)  # type: ignore[arg-type]
    assert sorted(kept.items) == [0, 32, 64, 96]


def test_the_mean_of_contributions_weighs_by_seconds():
    parts = {
        0: {"emotion": "joy", "none": 0.1, "full": 0.5, "values": {"text": 0.4}},
        1: {"emotion": "joy", "none": 0.1, "full": 0.3, "values": {"text": 0.1, "face": 0.1}},
    }
    mean = mean_contribution(parts, {0: 3.0, 1: 1.0})
    assert mean["values"] == pytest.approx({"text": 0.325, "face": 0.025})
    assert mean["none"] + sum(mean["values"].values()) == pytest.approx(mean["full"])
