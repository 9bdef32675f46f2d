"""The clip as a whole: a weighted mean that stays a distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emofuse.pipeline.aggregate import aggregate
from emofuse.types import Prediction


def test_nothing_gives_nothing():
    assert aggregate([]) is None


def test_a_single_prediction_is_the_whole(make_prediction):
    one = make_prediction(1.0, 3.0)
    whole = aggregate([one])
    assert whole is not None
    assert whole.emotions == pytest.approx(one.emotions)
    assert whole.by_modality == {m: pytest.approx(v) for m, v in one.by_modality.items()}
    assert (whole.start, whole.end, whole.person, whole.present) == (1.0, 3.0, 0, one.present)
    assert (whole.valence, whole.arousal) == (pytest.approx(0.25), None)


def test_seconds_times_modalities_are_the_weights(make_prediction):
    long = make_prediction(0.0, 3.0, "joy", 1.0, ("text", "speech", "face"))
    short = make_prediction(3.0, 4.0, "anger", 1.0, ("face",))
    whole = aggregate([long, short])
    assert whole is not None and whole.emotions is not None
    assert whole.emotions["joy"] == pytest.approx(0.9)
    assert whole.emotions["anger"] == pytest.approx(0.1)


def test_a_modality_is_averaged_where_it_is_there(make_prediction):
    first = make_prediction(0.0, 1.0, "joy", 1.0, ("speech",))
    second = make_prediction(1.0, 4.0, "anger", 1.0, ("face",))
    whole = aggregate([first, second])
    assert whole is not None
    assert whole.by_modality["speech"] == pytest.approx(first.by_modality["speech"])
    assert whole.present == {"speech", "face"}


def test_without_time_all_count_alike(make_prediction):
    whole = aggregate([make_prediction(0, 0, "joy", 1.0), make_prediction(0, 0, "anger", 1.0)])
    assert whole is not None and whole.emotions is not None
    assert whole.emotions["joy"] == pytest.approx(0.5)


def test_what_only_some_know_is_the_mean_of_those(make_prediction):
    whole = aggregate([make_prediction(valence=None), make_prediction(valence=-0.5), make_prediction(valence=None)])
    assert whole is not None and whole.valence == pytest.approx(-0.5)


def test_further_heads_are_averaged_too(make_prediction):
    one = make_prediction(others={"sarcasm": {"literal": 1.0, "sarcastic": 0.0}, "sentiment": 3.0})
    two = make_prediction(others={"sarcasm": {"literal": 0.0, "sarcastic": 1.0}, "sentiment": -1.0})
    whole = aggregate([one, two])
    assert whole is not None
    assert whole.others == {"sarcasm": {"literal": 0.5, "sarcastic": 0.5}, "sentiment": 1.0}


def test_several_people_make_nobody_in_particular(make_prediction):
    whole = aggregate([make_prediction(person=0), make_prediction(person=1)])
    assert whole is not None and whole.person is None


def test_embeddings_that_cancel_have_no_direction(make_prediction):
    east, west = np.array([1.0, 0.0], np.float32), np.array([-1.0, 0.0], np.float32)
    whole = aggregate([make_prediction(embedding=east), make_prediction(embedding=west)])
    assert whole is not None and whole.embedding is None


@given(
    st.lists(
        st.tuples(st.floats(0.01, 1e4), st.sampled_from(["joy", "fear"]), st.floats(0, 1), st.integers(0, 2**31)),
        min_size=1,
        max_size=8,
    )
)
def test_it_stays_a_distribution_and_the_embedding_of_unit_length(parts):
    predictions = []
    for seconds, emotion, share, seed in parts:
        vector = np.random.default_rng(seed).standard_normal(4)
        shares = {"joy": 0.0, "fear": 0.0} | {emotion: share}
        shares["neutral"] = 1 - share
        unit = (vector / np.linalg.norm(vector)).astype(np.float32)
        predictions.append(Prediction(0.0, seconds, None, frozenset({"text"}), shares, embedding=unit))
    whole = aggregate(predictions)
    assert whole is not None and whole.emotions is not None and whole.embedding is not None
    assert sum(whole.emotions.values()) == pytest.approx(1)
    assert all(-1e-9 <= share <= 1 + 1e-9 for share in whole.emotions.values())
    assert np.linalg.norm(whole.embedding) == pytest.approx(1, abs=1e-5)
