"""Padding, presence and absence of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.prepared import PreparedSample


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


def test_knowing_the_same_modalities_erases_nobody():
    """Who is present stays present, whatever the order they are asked for in; the inputs and targets stay too."""
    batch = collate([sample(2), sample(None)])
    known = batch.knowing(("face", "speech", "text"))
    assert known.present["speech"].tolist() == [True, False]
    assert known.inputs.keys() == {"speech"} and known.targets.keys() == {"intensity"}
    assert list(known.present) == ["face", "speech", "text"]
    assert known.present["face"].dtype == torch.bool


def test_a_sample_is_as_long_as_its_longest_modality():
    arrays = [{"mask": np.ones(n, bool)} for n in (3, 8)]
    assert PreparedSample({"text": arrays[0], "speech": arrays[1], "face": None}).length == 8
    assert PreparedSample({"text": None}).length == 0


def test_padding_keeps_every_value_and_fills_up_with_zeros():
    rows = [{"mask": np.ones(n, bool), "values": np.arange(1, n + 1, dtype=np.float32)} for n in (1, 3)]
    batch = collate([PreparedSample({"text": row}) for row in rows])
    assert batch.inputs["text"]["values"].tolist() == [[1, 0, 0], [1, 2, 3]]
    assert batch.inputs["text"]["mask"].tolist() == [[True, False, False], [True, True, True]]
    assert batch.inputs["text"]["values"].dtype == torch.float32


def test_taking_a_modality_from_rows_keeps_the_inputs_while_a_row_has_them():
    batch = collate([sample(2), sample(3)])
    first = batch.without("speech", rows=torch.tensor([True, False]))
    assert first.inputs.keys() == {"speech"}
    assert first.without("speech", rows=torch.tensor([False, True])).inputs == {}
    assert first.targets is batch.targets


def test_a_batch_moves_with_all_that_it_holds():
    moved = collate([sample(2)]).to("meta", non_blocking=True)
    tensors = [*moved.inputs["speech"].values(), *moved.present.values(), *moved.targets.values()]
    assert len(tensors) == 6 and {t.device.type for t in tensors} == {"meta"}
