"""Levels of an intensity: thirds of what a model answers on development data, every source alike."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.calibration.levels import terciles, terciles_of
from emofuse.data.batches import batches
from emofuse.model.predict import predict


def test_a_third_of_the_answers_lies_in_each_level():
    values = np.random.default_rng(0).beta(2, 5, 3000)
    weak, medium = terciles([values])
    assert [(values < weak).mean(), (values < medium).mean()] == pytest.approx([1 / 3, 2 / 3], abs=0.01)


def test_sources_count_the_same_and_few_answers_say_nothing():
    weak, medium = terciles([np.full(10_000, 0.9), np.linspace(0, 0.1, 60), np.linspace(0.2, 0.3, 60)])
    assert weak == pytest.approx(0.15, abs=0.06)
    assert medium >= 0.29
    assert terciles([np.zeros(30), np.zeros(19), np.zeros(0)]) is None


def test_levels_of_predictions_rest_on_what_is_labelled(tiny_model, samples, monkeypatch):
    found = predict(tiny_model, (b for _, b in batches(tiny_model, samples, 8)))
    assert terciles_of([found]) == {}
    monkeypatch.setattr("emofuse.calibration.levels.FEWEST", 4)
    values, targets = found.values["as given"]["intensity"], found.targets["intensity"]
    values[:, 0] = np.linspace(0, 1, len(values))
    targets[-12:] = np.nan
    assert terciles_of([found])["intensity"] == pytest.approx(terciles([values[:-12, 0]]))
    assert terciles_of([found])["intensity"][1] < 0.5
