"""Values worked out by hand."""

from __future__ import annotations

from math import e, log

import numpy as np
import pytest
import torch

from emofuse.model.losses import (
    categorical_loss,
    class_weights,
    contrastive_loss,
    labelled,
    multilabel_loss,
    rdrop_loss,
    scalar_loss,
)

EVEN = torch.zeros(1, 2)
"""Logits of (1/2, 1/2)."""
LEAN = torch.tensor([[0.0, log(3)]])
"""Logits of (1/4, 3/4)."""
FIRST, SECOND = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
ONE = torch.tensor([True])
NAN = torch.full((1, 2), torch.nan)


def near(value: float):
    return pytest.approx(value, rel=1e-5)


def test_cross_entropy_with_classes_and_with_votes():
    assert categorical_loss(LEAN, SECOND, ONE).item() == near(log(4 / 3))
    votes = torch.tensor([[0.4, 0.6]])
    assert categorical_loss(LEAN, votes, ONE).item() == near(0.4 * log(4) + 0.6 * log(4 / 3))
    assert categorical_loss(LEAN, votes, ONE, soft=False).item() == near(log(4 / 3))


def test_class_weights_weigh_rows_and_the_mean():
    logits, targets = torch.cat([EVEN, LEAN]), torch.cat([FIRST, SECOND])
    loss = categorical_loss(logits, targets, torch.tensor([True, True]), weights=torch.tensor([1.0, 3.0]))
    assert loss.item() == near((log(2) + 3 * log(4 / 3)) / 4)


def test_focal_smoothing_and_logit_adjustment():
    assert categorical_loss(LEAN, SECOND, ONE, focal=2).item() == near(0.25**2 * log(4 / 3))
    assert categorical_loss(LEAN, SECOND, ONE, smoothing=0.2).item() == near(0.1 * log(4) + 0.9 * log(4 / 3))
    prior = torch.tensor([0.25, 0.75])
    assert categorical_loss(EVEN, FIRST, ONE, prior=prior, adjustment=1).item() == near(log(4))


def test_unlabelled_rows_weigh_nothing_and_get_no_gradient():
    logits = torch.cat([LEAN, EVEN]).requires_grad_()
    targets = torch.cat([SECOND, NAN])
    loss = categorical_loss(logits, targets, labelled(targets), smoothing=0.1, focal=1, weights=torch.ones(2))
    assert loss.item() == near(categorical_loss(LEAN, SECOND, ONE, smoothing=0.1, focal=1).item())
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[1].tolist() == [0, 0]
    assert logits.grad[0].abs().sum() > 0


def test_nothing_labelled_is_zero_with_a_gradient_of_zero():
    logits = EVEN.clone().requires_grad_()
    mask = labelled(NAN)
    total = categorical_loss(logits, NAN, mask) + multilabel_loss(logits, NAN, mask)
    total = total + scalar_loss(logits[:, 0], NAN[:, 0], mask, 2.0)
    total.backward()
    assert total.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


def test_multilabel_weighs_the_positives():
    assert multilabel_loss(EVEN, FIRST, ONE).item() == near(log(2))
    assert multilabel_loss(EVEN, FIRST, ONE, weights=torch.tensor([2.0, 5.0])).item() == near(3 * log(2) / 2)
    assert multilabel_loss(LEAN, SECOND, ONE, focal=2).item() == near((0.5**2 * log(2) + 0.25**2 * log(4 / 3)) / 2)


def test_scalar_is_square_near_and_straight_far():
    target = torch.tensor([0.0])
    assert scalar_loss(torch.tensor([0.02]), target, ONE, 2.0).item() == near(0.5 * 0.01**2 / 0.1 * 10)
    assert scalar_loss(torch.tensor([1.0]), target, ONE, 2.0).item() == near((0.5 - 0.05) * 10)


def test_rdrop_is_the_mean_of_both_divergences():
    forth = 0.25 * log(0.25 / 0.5) + 0.75 * log(0.75 / 0.5)
    back = 0.5 * log(0.5 / 0.25) + 0.5 * log(0.5 / 0.75)
    assert rdrop_loss(LEAN, EVEN, ONE).item() == near((forth + back) / 2)
    assert rdrop_loss(LEAN, LEAN, ONE).item() == near(0)


def test_contrast_draws_one_class_together():
    states = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    mask = torch.tensor([True, True, True])
    loss = contrastive_loss(states, torch.tensor([0, 0, 1]), mask, 1.0)
    assert loss.item() == near(log(e + 1) - 1)
    assert contrastive_loss(states, torch.tensor([0, 1, 2]), mask, 1.0).item() == 0


def test_class_weights_by_hand():
    counts = np.array([30.0, 10.0, 0.0])
    assert class_weights("none", counts) is None
    assert class_weights("inverse", counts) == pytest.approx([2 / 3, 2, 1])
    root = class_weights("inverse_sqrt", counts)
    assert root is not None
    assert root[1] / root[0] == near(3**0.5)
    effective = class_weights("effective", counts)
    assert effective is not None
    assert effective[1] / effective[0] == near((1 - 0.999**30) / (1 - 0.999**10))
    assert (root[:2] * counts[:2]).sum() / 40 == near(1)
