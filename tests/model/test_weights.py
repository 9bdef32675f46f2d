"""Weights at rest: what is stored is read back, within the rounding that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors import safe_open

from emofuse.batch import collate
from emofuse.model import weights
from emofuse.model.model import EmotionModel
from emofuse.model.weights import pack, rounded, stored_as


@pytest.fixture
def small_tables(monkeypatch):
    monkeypatch.setattr(weights, "TABLE", 1)


def test_a_table_in_eight_bits_is_near_in_every_row(small_tables):
    table = torch.randn(50, 16) * torch.logspace(-3, 2, 50)[:, None]
    table[7] = 0
    state = {"a.word_embeddings.weight": table, "a.dense.weight": torch.randn(4, 4), "a.steps": torch.tensor(3)}
    packed = pack(state, "compact")
    assert packed["a.word_embeddings.weight"].dtype == torch.int8
    assert packed["a.dense.weight"].dtype == torch.float16
    found = rounded(state, "compact")
    assert found.keys() == state.keys()
    error = (found["a.word_embeddings.weight"] - table).abs().amax(1)
    assert bool((error <= table.abs().amax(1) / 200).all())
    assert found["a.steps"].dtype == torch.int64


@pytest.mark.parametrize("stored", ["float32", "float16", "compact"])
def test_packing_what_was_packed_changes_nothing(small_tables, stored):
    state = {"e.embeddings.weight": torch.randn(9, 8), "w": torch.randn(3)}
    once = rounded(state, stored)
    twice = rounded(once, stored)
    assert all(torch.allclose(once[name], twice[name], atol=1e-3) for name in state)


def test_a_compact_checkpoint_answers_as_before(tiny_model, make_segment, tmp_path, small_tables):
    batch = collate([tiny_model.prepare(make_segment(i)) for i in range(3)])
    folder = tiny_model.save_pretrained(tmp_path / "compact", dtype="compact")
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert stored_as({n: file.get_slice(n).get_dtype() for n in file.keys()}) == "compact"  # noqa: SIM118
    loaded = EmotionModel.from_pretrained(folder)
    np.testing.assert_allclose(
        tiny_model.predict(batch).tasks["emotion"], loaded.predict(batch).tasks["emotion"], atol=2e-2
    )
