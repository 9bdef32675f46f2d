"""The opinion pool: never surer than its parts, a mean to begin with, one part alone as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emofuse.batch import collate
from emofuse.modalities import MODALITIES, mask_of
from emofuse.model.model import EmotionModel
from emofuse.model.pool import OpinionPool, no_surer
from emofuse.tasks import TASKS

FINITE = st.floats(-30, 30, allow_nan=False, width=32)


@pytest.fixture
def pooling_config(tiny_config):
    fusion = tiny_config.fusion.model_copy(update={"pool": "mean", "unimodal": "passthrough"})
    return tiny_config.model_copy(update={"fusion": fusion})


def pool_of(task: str = "emotion") -> OpinionPool:
    return OpinionPool(TASKS[task], 3, 8, corrected=True)


def subset_of(has: torch.Tensor) -> torch.Tensor:
    return (has.long() * torch.tensor([1, 2, 4])).sum(1)


@given(
    parts=arrays(np.float32, (4, 3, 7), elements=FINITE),
    weights=arrays(np.float32, (8, 3), elements=st.floats(-5, 8, width=32)),
    bias=arrays(np.float32, (8, 7), elements=st.floats(-5, 5, width=32)),
    correction=arrays(np.float32, (4, 7), elements=st.floats(-20, 20, width=32)),
    mask=st.integers(1, 7),
)
def test_a_fused_answer_is_never_surer_than_its_surest_part(parts, weights, bias, correction, mask):
    pool = pool_of()
    with torch.no_grad():
        pool.weights.copy_(torch.from_numpy(weights))
        pool.bias.copy_(torch.from_numpy(bias))
    has = torch.tensor([[bool(mask & bit) for bit in (1, 2, 4)]] * 4)
    several = bin(mask).count("1") > 1
    given_ = torch.from_numpy(correction) * several
    fused = pool(torch.from_numpy(parts), has, subset_of(has), given_).softmax(-1).amax(-1)
    surest = torch.from_numpy(parts).softmax(-1).amax(-1).masked_fill(~has, 0).amax(1)
    assert (fused <= surest + 1e-4).all()


def test_recordings_may_teach_it_more_confidence():
    pool = pool_of()
    parts = torch.zeros(1, 3, 7)
    parts[..., 2] = 1.0
    has = torch.tensor([[True, True, False]])
    before = pool(parts, has, subset_of(has), torch.zeros(1, 7)).softmax(-1)[0, 2].item()
    pool.lay(3, [0, 1], np.array([2.0, 2.0]), np.zeros(7))
    composed = pool(parts, has, subset_of(has), torch.zeros(1, 7)).softmax(-1)[0, 2].item()
    pool.recorded[3] = True
    recorded = pool(parts, has, subset_of(has), torch.zeros(1, 7)).softmax(-1)[0, 2].item()
    assert before == pytest.approx(composed, abs=1e-5)
    assert recorded > before + 0.15


def test_it_starts_as_the_mean_of_its_parts():
    parts, has = torch.randn(5, 3, 7), torch.tensor([[True, False, True]] * 5)
    fused = pool_of()(parts, has, subset_of(has), torch.zeros(5, 7)).softmax(-1)
    mean = parts[:, [0, 2]].log_softmax(-1).mean(1).softmax(-1)
    surest = parts[:, [0, 2]].softmax(-1).amax(-1).amax(1, keepdim=True)
    torch.testing.assert_close(fused, no_surer(mean.log(), surest).softmax(-1))


def test_weights_are_laid_in_units_of_the_mean():
    pool, has = pool_of(), torch.tensor([[True, True, True]])
    pool.lay(7, [0, 1, 2], np.array([0.5, 1.0, 2.0]), np.arange(7.0))
    torch.testing.assert_close(pool.shares(has, torch.tensor([7])), torch.tensor([[0.5, 1.0, 2.0]]) / 3)
    assert pool.bias[7].tolist() == list(range(7))
    assert not pool.bias[3].any()


def test_a_scalar_is_the_weighted_mean_of_the_parts_that_learnt_it():
    pool = pool_of("valence")
    pool.lay(3, [0, 1], np.array([3.0, 1.0]), np.zeros(1))
    parts = torch.tensor([[[0.8], [0.0], [9.0]]])
    both, one = torch.tensor([[True, True, False]]), torch.tensor([[True, False, False]])
    assert pool(parts, both, torch.tensor([3]), torch.zeros(1, 1)).item() == pytest.approx(0.6)
    assert pool(parts, one, torch.tensor([5]), torch.zeros(1, 1)).item() == pytest.approx(0.8)


def test_a_modality_alone_answers_as_its_own_head_and_the_fused_no_surer(pooling_config, make_segment):
    torch.manual_seed(0)
    model = EmotionModel(pooling_config).eval()
    for head in model.heads.values():
        torch.nn.init.normal_(head.linear.weight, std=3.0)
    for own in model.modality_heads.values():
        own.tasks["emotion"].temperature[:] = 0.3
    kept = [("text",), ("speech",), ("text", "face"), MODALITIES]
    segments = [make_segment(i).without(*(set(MODALITIES) - set(k))) for i, k in enumerate(kept)]
    found = model.predict(collate([model.prepare(s) for s in segments]))
    for row, modalities in enumerate(kept):
        parts = [found.by_modality[m]["emotion"][row] for m in modalities]
        if len(parts) == 1:
            np.testing.assert_allclose(found.tasks["emotion"][row], parts[0], atol=1e-5)
        assert found.tasks["emotion"][row].max() <= max(p.max() for p in parts) + 1e-5


def test_a_head_that_learnt_nothing_has_no_say(pooling_config, make_segment):
    torch.manual_seed(0)
    model = EmotionModel(pooling_config).eval()
    batch = collate([model.prepare(make_segment(1).without("speech"))])
    model.modality_heads["face"].tasks["polarity"].supported_subsets[4] = False
    found, fused = model.predict(batch), model(batch).logits["polarity"].softmax(-1).detach()
    np.testing.assert_allclose(fused[0], found.by_modality["text"]["polarity"][0], atol=1e-5)
    assert np.isnan(found.by_modality["face"]["polarity"][0]).all()


def test_saving_keeps_the_pool(pooling_config, make_segment, tmp_path):
    torch.manual_seed(0)
    model = EmotionModel(pooling_config).eval()
    mask = mask_of(("text", "face"), MODALITIES)
    model.pools["emotion"].lay(mask, [0, 2], np.array([0.2, 1.9]), np.linspace(-1, 1, 7))
    model.pools["emotion"].recorded[mask] = True
    batch = collate([model.prepare(make_segment(1).without("speech"))])
    loaded = EmotionModel.from_pretrained(model.save_pretrained(tmp_path / "m"))
    assert bool(loaded.pools["emotion"].recorded[mask])
    np.testing.assert_allclose(model.predict(batch).tasks["emotion"], loaded.predict(batch).tasks["emotion"], atol=1e-6)


def test_the_correction_counts_only_where_it_was_kept(pooling_config, make_segment):
    torch.manual_seed(0)
    model = EmotionModel(pooling_config).eval()
    torch.nn.init.normal_(model.heads["emotion"].linear.weight, std=1.0)
    batch = collate([model.prepare(make_segment(0))])
    with_it = model(batch).logits["emotion"]
    model.pools["emotion"].corrected[7] = False
    without = model(batch).logits["emotion"]
    assert (with_it - without).abs().max() > 1e-3
    torch.nn.init.zeros_(model.heads["emotion"].linear.weight)
    torch.testing.assert_close(without, model(batch).logits["emotion"])


def test_the_state_of_a_transformer_that_never_learnt_is_the_parts_side_by_side(pooling_config, make_segment):
    """Near where the parts are near: whatever the untrained transformer would say has no place in it."""
    fusion = pooling_config.fusion.model_copy(update={"correction": "never"})
    model = EmotionModel(pooling_config.model_copy(update={"fusion": fusion})).eval()
    segments = [make_segment(0), make_segment(1), make_segment(0).without("face")]
    with torch.no_grad():
        state = model(collate([model.prepare(s) for s in segments])).state
        torch.nn.init.normal_(model.fusion.queries)
        again = model(collate([model.prepare(s) for s in segments])).state
    torch.testing.assert_close(state.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(again, state)
    width = model.modality_heads["face"].pool.dim
    assert not state[2, -width:].any() and state[0, -width:].any()
    torch.testing.assert_close(state[2, :-width], torch.nn.functional.normalize(state[0, :-width], dim=0))
