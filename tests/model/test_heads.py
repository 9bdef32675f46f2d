"""Pooling of tokens: what each way reads, and what padding on either side changes."""

from __future__ import annotations

import pytest
import torch

from emofuse.model.heads import Pool

STATES = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]).bool()


def test_the_last_is_that_of_the_real_tokens():
    pool = Pool(8, "last")
    expected = torch.stack([STATES[0, 4], STATES[1, 1], STATES[2, 3]])
    assert torch.allclose(pool(STATES, MASK), pool.norm(expected), atol=1e-6)
    assert [name for name, _ in pool.named_parameters()] == ["norm.weight", "norm.bias"]


def test_the_mean_is_that_of_the_real_tokens():
    pool = Pool(8, "mean")
    expected = torch.stack([STATES[0].mean(0), STATES[1, :2].mean(0), STATES[2, 2:4].mean(0)])
    assert torch.allclose(pool(STATES, MASK), pool.norm(expected), atol=1e-6)


@pytest.mark.parametrize("kind", ["attention", "statistics", "mean", "last"])
def test_padding_and_rows_without_tokens_leave_finite_numbers_and_other_rows(kind):
    torch.manual_seed(0)
    pool = Pool(8, kind)
    found = pool(STATES, MASK)
    assert found.shape == (3, pool.dim)
    assert torch.allclose(pool(STATES[1:2, :2], MASK[1:2, :2]), found[1:2], atol=1e-6)
    assert torch.allclose(pool(STATES.roll(1, 1)[2:], MASK.roll(1, 1)[2:]), found[2:], atol=1e-6)
    assert pool(STATES, torch.zeros_like(MASK)).isfinite().all()
