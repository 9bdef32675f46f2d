"""The promises of the model: absence is one mechanism, padding changes nothing, saving loses nothing."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.modalities import MODALITIES
from emofuse.model.kinds import task_loss
from emofuse.model.model import EmotionModel
from emofuse.tasks import TASKS
from emofuse.types import Tokens

SUBSETS = [s for n in (1, 2, 3) for s in combinations(MODALITIES, n)]


def assert_same(one, other, row_one=slice(None), row_other=slice(None), tolerance=1e-5):
    for name in one.tasks:
        np.testing.assert_allclose(one.tasks[name][row_one], other.tasks[name][row_other], atol=tolerance)
    np.testing.assert_allclose(one.embedding[row_one], other.embedding[row_other], atol=tolerance)


@pytest.mark.parametrize("kept", SUBSETS, ids="+".join)
def test_a_sample_scores_the_same_alone_and_in_a_batch(tiny_model, make_segment, kept):
    gone = [m for m in MODALITIES if m not in kept]
    segments = [make_segment(i) for i in range(4)]
    mixed = [tiny_model.prepare(s.without(*gone)) for s in segments] + [tiny_model.prepare(segments[0])]
    together = tiny_model.predict(collate(mixed))
    for i, prepared in enumerate(mixed):
        alone = tiny_model.predict(collate([prepared]))
        assert_same(alone, together, 0, i)
        for modality, tasks in alone.by_modality.items():
            np.testing.assert_allclose(tasks["emotion"][0], together.by_modality[modality]["emotion"][i], atol=1e-5)


@pytest.mark.parametrize("kept", SUBSETS, ids="+".join)
def test_taking_a_modality_away_equals_never_having_had_it(tiny_model, make_segment, kept):
    gone = [m for m in MODALITIES if m not in kept]
    segments = [make_segment(i) for i in range(3)]
    taken = tiny_model.predict(collate([tiny_model.prepare(s) for s in segments]).without(*gone))
    never = tiny_model.predict(collate([tiny_model.prepare(s.without(*gone)) for s in segments]))
    assert_same(taken, never, tolerance=1e-6)


def test_taking_a_modality_from_some_rows_leaves_the_others(tiny_model, make_segment):
    batch = collate([tiny_model.prepare(make_segment(i)) for i in range(3)])
    rows = torch.tensor([True, False, True])
    partly, whole = tiny_model.predict(batch.without("speech", rows=rows)), tiny_model.predict(batch)
    never = tiny_model.predict(batch.without("speech"))
    assert_same(partly, whole, 1, 1)
    assert_same(partly, never, [0, 2], [0, 2])
    assert np.abs(partly.tasks["emotion"][0] - whole.tasks["emotion"][0]).max() > 1e-4


@pytest.mark.parametrize("modality", MODALITIES)
def test_more_padding_changes_no_output(tiny_model, make_segment, modality):
    batch = collate([tiny_model.prepare(make_segment(i)) for i in range(3)])
    padded = {}
    for key, tensor in batch.inputs[modality].items():
        extra = tensor.new_ones(3, 7, *tensor.shape[2:]) if key != "mask" else tensor.new_zeros(3, 7)
        padded[key] = torch.cat([tensor, extra], 1) if tensor.ndim > 1 else tensor
    longer = type(batch)({**batch.inputs, modality: padded}, batch.present)
    assert_same(tiny_model.predict(batch), tiny_model.predict(longer))


def test_nothing_present_is_finite(tiny_model, make_segment):
    batch = collate([tiny_model.prepare(make_segment(0))]).without(*MODALITIES)
    assert np.isfinite(tiny_model.predict(batch).tasks["emotion"]).all()


def test_decoded_outputs_are_what_they_say(tiny_model, make_segment):
    decoded = tiny_model.predict(collate([tiny_model.prepare(make_segment(i)) for i in range(3)]))
    for task in tiny_model.tasks:
        values = decoded.tasks[task.name]
        if task.kind == "categorical":
            np.testing.assert_allclose(values.sum(1), 1, atol=1e-6)
        else:
            assert (values >= task.low).all() and (values <= task.high).all()
    np.testing.assert_allclose(np.linalg.norm(decoded.embedding, axis=1), 1, atol=1e-6)


def test_absent_modalities_have_no_line_of_their_own(tiny_model, make_segment):
    segments = [make_segment(0), make_segment(1).without("face")]
    decoded = tiny_model.predict(collate([tiny_model.prepare(s) for s in segments]))
    assert np.isfinite(decoded.by_modality["face"]["emotion"][0]).all()
    assert np.isnan(decoded.by_modality["face"]["emotion"][1]).all()


def test_temperature_belongs_to_the_subset(tiny_model, make_segment):
    batch = collate([tiny_model.prepare(make_segment(0)), tiny_model.prepare(make_segment(0).without("text", "face"))])
    before = tiny_model.predict(batch).tasks["emotion"]
    tiny_model.heads["emotion"].temperature[0b010] = 100.0
    after = tiny_model.predict(batch).tasks["emotion"]
    np.testing.assert_allclose(before[0], after[0], atol=1e-6)
    np.testing.assert_allclose(after[1], 1 / 7, atol=0.05)


def test_unlabelled_targets_give_no_loss_and_no_gradient(tiny_model, make_segment):
    batch = collate([tiny_model.prepare(make_segment(i)) for i in range(2)])
    task, logits = TASKS["emotion"], tiny_model(batch).logits["emotion"]
    target = torch.eye(7)[[1, 2]]
    half = torch.where(torch.tensor([[True], [False]]), target, torch.nan)
    first = task_loss(task, logits[:1], target[:1]).item()
    assert task_loss(task, logits, half).item() == pytest.approx(first, rel=1e-6)
    none = task_loss(task, logits, torch.full_like(target, torch.nan))
    assert none.item() == 0
    gradient = torch.autograd.grad(none, logits)[0]
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_fusion_starts_as_the_sum_of_what_each_modality_says(tiny_config, make_segment):
    model = EmotionModel(tiny_config).eval()
    outputs = model(collate([model.prepare(make_segment(i)) for i in range(2)]))
    total = sum(out["emotion"] for out in outputs.by_modality.values())
    torch.testing.assert_close(outputs.logits["emotion"], total)


@pytest.mark.parametrize("kept", SUBSETS, ids="+".join)
def test_a_single_modality_may_pass_through_fusion(tiny_config, make_segment, kept):
    fusion = tiny_config.fusion.model_copy(update={"unimodal": "passthrough"})
    torch.manual_seed(0)
    model = EmotionModel(tiny_config.model_copy(update={"fusion": fusion})).eval()
    for head in model.heads.values():
        torch.nn.init.normal_(head.linear.weight, std=0.3)
    gone = [m for m in MODALITIES if m not in kept]
    batch = collate([model.prepare(make_segment(0).without(*gone)), model.prepare(make_segment(1))])
    outputs = model(batch)
    pooled = sum(outputs.by_modality[m]["emotion"][0] for m in kept)
    same = torch.allclose(outputs.logits["emotion"][0], pooled, atol=1e-6)
    assert same == (len(kept) == 1)


def test_seconds_matter_to_fusion_but_the_clip_offset_does_not(tiny_model, make_segment):
    batch = collate([tiny_model.prepare(make_segment(3))])
    tokens = tiny_model.encode(batch)
    face = tokens["face"]
    moved = {**tokens, "face": Tokens(face.states, face.mask, face.times + 3)}
    here = tiny_model.fuse(tokens, batch.present).logits["emotion"]
    assert (here - tiny_model.fuse(moved, batch.present).logits["emotion"]).abs().max() > 1e-5


@pytest.mark.slow
def test_one_batch_can_be_overfitted(tiny_config, make_segment):
    torch.manual_seed(0)
    model = EmotionModel(tiny_config).train()
    batch = collate([model.prepare(make_segment(i)) for i in range(4)])
    target = torch.eye(7)[[0, 2, 4, 6]]
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        loss = task_loss(TASKS["emotion"], model(batch).logits["emotion"], target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert model.eval().predict(batch).tasks["emotion"].argmax(1).tolist() == [0, 2, 4, 6]


def test_every_parameter_gets_a_gradient(tiny_config, make_segment):
    torch.manual_seed(0)
    model = EmotionModel(tiny_config).eval()
    for head in model.heads.values():
        torch.nn.init.normal_(head.linear.weight)
    full = [model.prepare(make_segment(i)) for i in range(3)]
    lacking = [model.prepare(make_segment(i).without(m)) for i, m in enumerate(MODALITIES)]
    outputs = model(collate(full + lacking))
    (sum(v.square().sum() for v in outputs.logits.values())).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None and "masked_spec_embed" not in n]
    assert idle == []


def test_what_a_subset_is_not_supported_is_no_number(tiny_model, make_segment):
    batch = collate([tiny_model.prepare(make_segment(0)), tiny_model.prepare(make_segment(1).without("text"))])
    tiny_model.heads["intensity"].supported_subsets[0b110] = False
    decoded = tiny_model.predict(batch)
    assert np.isfinite(decoded.tasks["intensity"][0]).all() and np.isnan(decoded.tasks["intensity"][1]).all()
    assert np.isfinite(decoded.tasks["emotion"]).all()
