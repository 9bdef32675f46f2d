"""Padding, presence and absence of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.batch import PreparedSample, collate


def sample(length: int | None, target: float = 0.0) -> PreparedSample:
    arrays = None
    if length is not None:
        arrays = {
            "values": np.full((length, 2), 1.0, np.float32),
            "mask": np.ones(length, bool),
            "level": np.float32(3),
        }
    return PreparedSample({"text": None, "speech": arrays}, {"intensity": np.array([target], np.float32)})


def test_collate_pads_to_the_longest_and_marks_who_is_present():
    batch = collate([sample(2), sample(None), sample(5, np.nan)])
    assert batch.inputs.keys() == {"speech"}
    assert batch.inputs["speech"]["values"].shape == (3, 5, 2)
    assert batch.inputs["speech"]["level"].tolist() == [3, 0, 3]
    assert batch.inputs["speech"]["mask"].sum(1).tolist() == [2, 0, 5]
    assert batch.present["speech"].tolist() == [True, False, True]
    assert batch.present["text"].tolist() == [False, False, False]
    assert batch.targets["intensity"].isnan().squeeze(1).tolist() == [False, False, True]
    assert len(batch) == 3


def test_subset_index_is_the_bit_mask_of_presence():
    batch = collate([sample(2), sample(None)])
    assert batch.subset_index().tolist() == [2, 0]


def test_without_takes_away_rows_or_the_whole_modality():
    batch = collate([sample(2), sample(3)])
    assert batch.without("speech", rows=torch.tensor([True, False])).present["speech"].tolist() == [False, True]
    gone = batch.without("speech")
    assert "speech" not in gone.inputs
    assert batch.present["speech"].all(), "the batch it was taken from is unchanged"
    assert "face" not in batch.without("face").present


def test_collate_refuses_nothing_and_strangers():
    with pytest.raises(ValueError, match="at least one"):
        collate([])
    with pytest.raises(ValueError, match="modalities differ"):
        collate([sample(2), PreparedSample({"text": None})])
    with pytest.raises(ValueError, match=r"tasks differ \(emotion; polarity\)"):
        collate([PreparedSample({"text": None}, {t: np.zeros(2)}) for t in ("emotion", "polarity")])
    arrays = [{"mask": np.ones(2, bool), name: np.zeros(2)} for name in ("values", "states")]
    with pytest.raises(ValueError, match=r"arrays of speech differ \(mask, values; mask, states\)"):
        collate([PreparedSample({"speech": a}) for a in arrays])


def test_knowing_more_modalities_keeps_who_is_present():
    batch = collate([sample(2), sample(None)]).knowing(("text", "speech", "face"))
    assert {m: p.tolist() for m, p in batch.present.items()} == {
        "text": [False, False], "speech": [True, False], "face": [False, False],
    }  # fmt: skip
