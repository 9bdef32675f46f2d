"""Polarity exists wherever emotion does, and never contradicts it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emofuse.batch import collate
from emofuse.calibration.evidence import evidence_of
from emofuse.calibration.refit import calibrate
from emofuse.modalities import mask_of
from emofuse.model.polarity import SIGNS, pooled, with_polarity
from emofuse.model.predict import predict
from emofuse.tasks import EMOTIONS, POLARITIES

NEGATIVE, NEUTRAL, POSITIVE = range(3)


def shares(size: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(st.floats(0, 1), min_size=size, max_size=size).map(lambda row: (np.array(row) + 1e-9)).map(
        lambda row: row / row.sum()
    )  # fmt: skip


@given(shares(7), shares(3))
def test_opposite_signs_are_never_both_held_with_more_than_four_fifths(emotions, own):
    polarity = pooled(own[None], emotions[None])[0]
    assert polarity.sum() == pytest.approx(1)
    for emotion, confidence in zip(EMOTIONS, emotions, strict=True):
        opposite = {"joy": NEGATIVE, "neutral": None, "surprise": None}.get(emotion, POSITIVE)
        if confidence > 0.8 and opposite is not None:
            assert polarity[opposite] < 0.6


def test_joy_turns_a_neutral_polarity_positive():
    emotions = np.array([[0.03, 0.93, 0.01, 0.01, 0.0, 0.0, 0.02]])
    polarity = pooled(np.array([[0.05, 0.75, 0.2]]), emotions)[0]
    assert POLARITIES[polarity.argmax()] == "positive" and (SIGNS.sum(axis=1) == 1).all()


def not_trained(model, *modalities):
    for kept in modalities:
        model.heads["polarity"].supported_subsets[mask_of({kept}, model.modalities)] = False
    return model


def test_voices_and_faces_have_the_polarity_of_their_emotions(tiny_model, make_segment):
    model = not_trained(tiny_model, "speech", "face")
    for kept in ("speech", "face"):
        gone = set(model.modalities) - {kept}
        found = model.predict(collate([model.prepare(make_segment(i).without(*gone)) for i in range(3)])).tasks
        np.testing.assert_allclose(found["polarity"], found["emotion"] @ SIGNS, atol=1e-6)
        assert model.derived(frozenset({kept})) == {"polarity": ("emotion",)}
    words = collate([model.prepare(make_segment(0).without("speech", "face"))])
    with torch.no_grad():
        own = model.heads["polarity"].decode(model(words).logits["polarity"], words.subset_index())
    found = model.predict(words).tasks
    np.testing.assert_allclose(found["polarity"], pooled(own.numpy(), found["emotion"]), atol=1e-6)
    assert model.derived(frozenset({"text"})) == {"polarity": ("emotion", "polarity")}


def test_without_emotions_the_head_speaks_for_itself_and_without_both_nobody_does():
    nothing, own = torch.full((1, 7), torch.nan), torch.tensor([[0.2, 0.3, 0.5]])
    assert with_polarity({"emotion": nothing, "polarity": own})["polarity"].tolist() == own.tolist()
    assert with_polarity({"emotion": nothing, "polarity": nothing[:, :3]})["polarity"].isnan().all()


def test_prediction_sets_promise_of_the_polarity_that_is_answered(tiny_model, make_segment):
    targets = {"emotion": np.eye(7, dtype=np.float32), "polarity": np.eye(3, dtype=np.float32)}
    targets["intensity"] = np.zeros((1, 1), np.float32)
    prepared = [
        tiny_model.prepare(make_segment(i).without("face"), {t: rows[i % len(rows)] for t, rows in targets.items()})
        for i in range(60)
    ]
    found = predict(tiny_model, [collate(prepared)])
    calibrate(tiny_model, evidence_of("dev", found))
    after = predict(tiny_model, [collate(prepared)])
    truth = after.targets["polarity"].argmax(axis=1)
    odd = np.sort(1 - after.values["as given"]["polarity"][np.arange(60), truth])
    (scores,) = tiny_model.conformal["text+speech"]["polarity"].scores.values()
    np.testing.assert_allclose(scores, odd, atol=1e-5)
