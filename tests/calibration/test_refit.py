"""Calibration of a whole model on dev data: which samples count, how much, and what is laid into it."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.calibration.evidence import Evidence, evidence_of, held_out
from emofuse.calibration.refit import FEWEST, SCORES, calibrate
from emofuse.calibration.temperature import softmax
from emofuse.data.batches import batches
from emofuse.data.examples import Example
from emofuse.evaluation.predict import predict_examples
from emofuse.metrics import ece, ece_by_chance
from emofuse.modalities import MODALITIES, subset_name, subsets_of
from emofuse.model.predict import predict


def drawn(temperature: float, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of seven classes, and labels drawn from their softmax at `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 7)) * 2
    return logits, np.eye(7)[[rng.choice(7, p=p) for p in softmax(logits, temperature)]]


def test_evidence_is_what_an_evaluation_sees_under_each_subset(tiny_model, samples: list[Example]):
    found = evidence_of("mine", predict(tiny_model, (b for _, b in batches(tiny_model, samples, 8)), subsets_of()))
    seen = predict_examples(tiny_model, samples, batch_size=8)
    for subset in subsets_of():
        bits = sum(1 << MODALITIES.index(m) for m in subset)
        (own,) = [e for e in found if (e.task, e.subset, e.unimodal) == ("emotion", bits, False)]
        rows = seen.rows(subset_name(subset), "emotion")
        expected = seen.logits[subset_name(subset)]["emotion"][rows]
        assert len(own.logits) == rows.sum()
        np.testing.assert_allclose(np.sort(own.logits, 0), np.sort(expected, 0), atol=1e-4)
    unimodal = {(e.task, e.subset) for e in found if e.unimodal}
    assert {s for t, s in unimodal if t == "emotion"} == {1, 2, 4}
    whole = evidence_of("c", seen, composed=True)
    assert all(e.composed for e in whole)
    assert sum(len(e.logits) for e in whole if (e.task, e.unimodal) == ("emotion", False)) == 21


def test_every_source_counts_the_same_and_recordings_come_first(tiny_model):
    large, small, other = drawn(0.5, 2000), drawn(2.0, 100, 1), drawn(8.0, 200, 2)
    real = [Evidence("large", "emotion", 1, *large), Evidence("small", "emotion", 1, *small)]
    composed = [Evidence("composed", "emotion", s, *other, composed=True) for s in (1, 5)]
    few = [Evidence("few", "emotion", 2, *drawn(3.0, FEWEST - 1, 3))]
    found = calibrate(tiny_model, [*real, *composed, *few])
    assert found["text"]["emotion"].sources == ("large", "small")
    assert 0.7 < found["text"]["emotion"].temperature < 2.0
    assert found["text+face"]["emotion"].temperature == pytest.approx(8.0, rel=0.4)
    assert "speech" not in found
    head = tiny_model.heads["emotion"].temperature.tolist()
    assert head[1] == pytest.approx(found["text"]["emotion"].temperature)
    assert head[2] == 1.0
    assert set(tiny_model.conformal) == {"text", "text+face"}
    assert set(tiny_model.conformal["text"]["emotion"].scores) == {"large", "small"}


def test_the_coverage_holds_on_the_other_half_of_dev(tiny_model):
    logits, targets = drawn(2.0, 4000)
    calibrate(tiny_model, [Evidence("dev", "emotion", 7, logits[::2], targets[::2])])
    probs = softmax(logits[1::2], float(tiny_model.heads["emotion"].temperature[7]))
    for coverage in (0.8, 0.9, 0.95):
        predictor = tiny_model.conformal["text+speech+face"]["emotion"].at(coverage)
        assert predictor.assess(probs, targets[1::2])["coverage"] == pytest.approx(coverage, abs=0.02)


def test_prediction_sets_rest_on_speakers_who_chose_neither_epoch_nor_temperature(tiny_model):
    speakers = [f"speaker {i % 40}" for i in range(1200)]
    held = held_out(speakers)
    assert 300 < held.sum() < 900 and (held == held_out(speakers)).all()
    assert all(len({h for h, s in zip(held, speakers, strict=True) if s == name}) == 1 for name in set(speakers))
    cold, hot = drawn(0.5, 1200), drawn(4.0, 1200, 1)
    logits, targets = (np.where(held[:, None], b, a) for a, b in zip(cold, hot, strict=True))
    found = calibrate(tiny_model, [Evidence("dev", "emotion", 1, logits, targets, held=held)])["text"]["emotion"]
    assert found.temperature == pytest.approx(0.5, rel=0.2) and found.held == held.sum() == 1200 - found.n
    probs = softmax(logits[held], found.temperature)
    odd = np.sort(1 - probs[np.arange(len(probs)), targets[held].argmax(1)])
    kept = np.array(tiny_model.conformal["text"]["emotion"].scores["dev"])
    assert len(kept) == min(SCORES, held.sum()) and np.abs(kept[:, None] - odd).min(axis=1).max() < 1e-6


def test_too_few_to_hold_any_out_are_all_used_which_is_said(tiny_model):
    logits, targets = drawn(1.0, 120)
    held = np.arange(120) < FEWEST - 1
    found = calibrate(tiny_model, [Evidence("dev", "emotion", 1, logits, targets, held=held)])["text"]["emotion"]
    assert found.n == 120 and found.held == 0
    assert tiny_model.conformal["text"]["emotion"].n == 120


def test_votes_count_as_their_leading_class(tiny_model):
    logits, targets = drawn(1.0, 3000)
    votes = 0.6 * targets + 0.4 / 7
    found = calibrate(tiny_model, [Evidence("dev", "emotion", 1, logits, votes)])["text"]["emotion"]
    assert found.temperature == pytest.approx(1.0, rel=0.1)
    assert found.after["ece"] < 2 * found.chance + 0.01


def test_chance_is_the_ece_of_confidence_that_is_right():
    rng = np.random.default_rng(0)
    logits, _ = drawn(1.0, 300)
    probs = softmax(logits)
    seen = [ece(np.eye(7)[[rng.choice(7, p=p) for p in probs]], probs) for _ in range(60)]
    assert ece_by_chance(probs) == pytest.approx(np.mean(seen), rel=0.1)
    assert ece_by_chance(softmax(drawn(1.0, 6000)[0])) < ece_by_chance(probs) / 3
