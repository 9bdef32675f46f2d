"""A reference of development data, and how far other predictions are from it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from emofuse.errors import CheckpointError, DataError
from emofuse.modalities import mask_of
from emofuse.model.predict import GIVEN, Predictions
from emofuse.pipeline.drift import FILE, DriftWindow, Reference, batch_rows, features, prediction_row
from emofuse.tasks import TASKS


def rows(n: int, shift: float, seed: int = 0) -> list[dict]:
    """Predictions whose joy is larger the larger the shift."""
    rng = np.random.default_rng(seed)
    joy = 1 / (1 + np.exp(-(rng.standard_normal(n) + shift)))
    return [
        {"emotions.joy": float(j), "emotions.sadness": float(1 - j), "present": "text", "valence": 0.1, "text": "hush"}
        for j in joy
    ]


def test_features_are_numbers_the_leading_emotion_and_what_is_present(make_prediction):
    found = features(prediction_row(make_prediction(emotion="joy", share=0.7, unfamiliarity={"text": 0.4})))
    assert found["emotion"] == "joy" and found["confidence"] == 0.7 and found["present"] == "text+speech+face"
    assert found["emotions.joy"] == 0.7 and found["unfamiliarity.text"] == 0.4 and found["valence"] == 0.25
    assert not {"start", "text", "source", "arousal"} & found.keys()


def test_what_has_drifted_is_found_and_what_has_not_is_not():
    reference = Reference.of(rows(2000, 0.0))
    same = {each.feature: each for each in reference.against(rows(1000, 0.0, seed=1))}
    assert not any(each.drifted for each in same.values()) and same["emotions.joy"].psi < 0.05
    moved = reference.against(rows(1000, 1.5, seed=2))
    assert {each.feature for each in moved if each.drifted} >= {"emotions.joy", "emotion", "emotions.sadness"}
    assert moved[0].psi >= moved[-1].psi and moved[0].actual == 1000


def test_few_predictions_do_not_cry_drift():
    reference = Reference.of(rows(2000, 0.0))
    assert not any(each.drifted for each in reference.against(rows(12, 0.0, seed=3)))


def test_a_window_forgets_the_oldest():
    window = DriftWindow(Reference.of(rows(2000, 0.0)), 500)
    for row in rows(500, 2.0, seed=4):
        window.add(row)
    assert window.drift()[0].drifted
    for row in rows(500, 0.0, seed=5):
        window.add(row)
    assert not any(each.drifted for each in window.drift()) and window.drift()[0].actual == 500


def test_a_modality_that_was_never_missing_is_a_bin_of_its_own():
    reference = Reference.of(rows(500, 0.0))
    changed = [row | {"present": "speech"} for row in rows(500, 0.0, seed=6)]
    assert next(each for each in reference.against(changed) if each.feature == "present").drifted


def test_a_reference_is_the_same_once_saved_and_read(tmp_path):
    reference = Reference.of(rows(300, 0.0))
    assert reference.save(tmp_path).name == FILE and Reference.load(tmp_path) == reference
    assert Reference.load(None) is None and Reference.load(tmp_path / "elsewhere") is None
    for damaged in (
        "[]",
        "{",
        '{"valence": {"counts": [1], "edges": [1, 2]}}',
        '{"x": {"counts": [1, -1], "edges": [0]}}',
    ):
        (tmp_path / FILE).write_text(damaged)
        with pytest.raises(CheckpointError, match="no reference of drift"):
            Reference.load(tmp_path)
    with pytest.raises(DataError, match="no predictions"):
        Reference.of([])


def test_a_reference_of_a_forward_loop_is_that_of_the_same_rows():
    tasks = [TASKS["emotion"], TASKS["valence"]]
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(7), 50)
    values = {"emotion": shares, "valence": rng.uniform(-1, 1, (50, 1))}
    both = ("text", "face")
    table = Predictions(both, np.full(50, mask_of(frozenset(both), both)), {}, {}, {GIVEN: values})
    expected = [
        {f"emotions.{c}": float(v) for c, v in zip(TASKS["emotion"].classes, shares[i], strict=True)}
        | {"valence": float(values["valence"][i, 0]), "present": "text+face"}
        for i in range(50)
    ]
    assert Reference.of_development(table, tasks) == Reference.of(expected)


def test_batch_folders_are_read_and_others_refused(tmp_path):
    (tmp_path / "out" / "segments").mkdir(parents=True)
    for part in range(2):
        table = pyarrow.Table.from_pylist([row | {"embedding": [0.0] * 4} for row in rows(20, 0.0, seed=part)])
        parquet.write_table(table, tmp_path / "out" / "segments" / f"part-{part}.parquet")
    found = list(batch_rows(tmp_path / "out"))
    assert len(found) == 40 and found[0].keys() == {"emotions.joy", "emotions.sadness", "present", "valence"}
    wrong = [{"emotions.joy": 0.5, "valence": 0.1}, {"emotions.joy": 50.0, "valence": 0.1}]
    parquet.write_table(pyarrow.Table.from_pylist(wrong), tmp_path / "out" / "shares.parquet")
    with pytest.raises(
        DataError, match=r"shares\.parquet, row 2: the column 'emotions\.joy' holds '50\.0', and joy is a"
    ):
        list(batch_rows(tmp_path / "out" / "shares.parquet"))
    (tmp_path / "out" / "segments" / "part-0.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(batch_rows(tmp_path / "out"))
    with pytest.raises(DataError, match="holds no segments"):
        list(batch_rows(tmp_path))


@pytest.mark.parametrize(
    ("column", "cells", "said"),
    [
        ("emotions.anger", ["0.5", "much"], "row 2: the column 'emotions.anger' holds 'much'"),
        ("emotions.anger", [0.5, float("inf")], "row 2: the column 'emotions.anger' holds 'inf'"),
        ("unfamiliarity.text", ["1.5", "far"], "row 2: the column 'unfamiliarity.text' holds 'far'"),
        ("present", [1, 2], "row 1: present is '1', not modalities"),
    ],
)
def test_cells_that_no_prediction_has_are_refused_with_their_row(tmp_path, column, cells, said):
    parquet.write_table(pyarrow.table({column: cells}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=said):
        list(batch_rows(tmp_path / "p.parquet"))


def test_decimals_and_texts_of_numbers_are_numbers_and_empty_cells_none(tmp_path):
    cells = {"emotions.anger": [Decimal("0.25"), None], "emotions.joy": ["0.5", ""]}
    parquet.write_table(pyarrow.table(cells), tmp_path / "p.parquet")
    assert next(map(features, batch_rows(tmp_path / "p.parquet")))["emotions.anger"] == 0.25
    assert [row["emotions.joy"] for row in batch_rows(tmp_path / "p.parquet")] == [0.5, None]
