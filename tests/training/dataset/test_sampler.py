"""What an epoch sees depends on the seed and the epoch alone, and nothing is seen more often than its share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from emofuse.training.dataset.sampler import Blocks, Buckets, Shares


def test_each_source_goes_round_evenly_over_the_epochs():
    shares = Shares([10, 7], [0.5, 2.0], composed=3, seed=4)
    assert len(shares) == 5 + 14 + 3
    seen = Counter(int(i) for epoch in range(4) for i in shares.epoch(epoch))
    assert all(seen[i] == 2 for i in range(10))
    assert all(seen[i] == 8 for i in range(10, 17))
    assert all(seen[i] == 4 for i in range(17, 20))


def test_an_epoch_is_the_same_whichever_ran_before_it():
    one, other = (Shares([20, 5], [0.3, 1.0], 0, seed=1) for _ in range(2))
    for epoch in range(5):
        one.epoch(epoch)
    np.testing.assert_array_equal(one.epoch(3), other.epoch(3))
    assert not np.array_equal(one.epoch(3), Shares([20, 5], [0.3, 1.0], 0, seed=2).epoch(3))


def test_a_source_without_items_gives_none():
    assert sorted(Shares([0, 4], [1.0, 1.0], 0, seed=0).epoch(0)) == [0, 1, 2, 3]


def lengths(indices: np.ndarray, epoch: int) -> np.ndarray:
    return (indices * 37 % 101).astype(float)


def test_batches_hold_every_sample_once_and_like_lengths_together():
    shares = Shares([100], [1.0], 0, seed=0)
    batches = list(Buckets(shares, lengths, 8))
    assert sorted(i for batch in batches for _, i in batch) == list(range(100))
    spread = np.mean([np.ptp([lengths(np.array([i]), 0)[0] for _, i in batch]) for batch in batches])
    assert spread < 0.25 * 100
    assert {epoch for batch in batches for epoch, _ in batch} == {0}


def test_processes_share_an_epoch_in_equal_numbers_of_batches():
    shares = Shares([64], [1.0], 0, seed=0)
    parts = [list(Buckets(shares, lengths, 8, rank=r, world=2)) for r in range(2)]
    assert [len(p) for p in parts] == [4, 4]
    assert sorted(i for part in parts for batch in part for _, i in batch) == list(range(64))


def test_another_epoch_has_another_order():
    batches = Buckets(Shares([40], [1.0], 0, seed=0), lengths, 8)
    first = list(batches)
    batches.set_epoch(1)
    second = list(batches)
    assert [[i for _, i in b] for b in first] != [[i for _, i in b] for b in second]
    batches.set_epoch(0)
    assert list(batches) == first


def test_balanced_sources_give_classes_and_speakers_in_turn():
    """Class 0 has a speaker with one item and one with four, class 1 a speaker with two."""
    cells = [[np.array([0]), np.array([1, 2, 3, 4])], [np.array([5, 6])]]
    shares = Shares([7], [8 / 7], 0, seed=3, cells=[cells])
    epochs = [shares.epoch(e) for e in range(4)]
    assert all((epoch < 5).sum() == 4 and (epoch == 0).sum() == 2 for epoch in epochs)
    seen = np.concatenate(epochs)
    assert [int((seen == place).sum()) for place in range(7)] == [8, 2, 2, 2, 2, 8, 8]
    assert np.array_equal(Shares([7], [8 / 7], 0, seed=3, cells=[cells]).epoch(2), epochs[2])
    assert not np.array_equal(Shares([7], [8 / 7], 0, seed=4, cells=[cells]).epoch(2), epochs[2])


def in_shards(count: int = 12, each: int = 10, window: int = 2) -> Blocks:
    return Blocks(np.repeat(np.arange(count), each), window)


def streamed(rank: int, world: int, epoch: int = 0, weight: float = 1.0) -> Buckets:
    blocks = in_shards()
    shares = Shares([120, 40], [weight, 1.0], 0, 3, None, [blocks, None])
    buckets = Buckets(shares, lambda indices, _: indices % 7, 4, rank=rank, world=world, pool=3)
    buckets.set_epoch(epoch)
    return buckets


def test_a_streamed_epoch_holds_everything_once_and_few_shards_at_a_time():
    seen = [index for batch in streamed(0, 1) for _, index in batch]
    assert sorted(seen) == list(range(160))
    shards = [index // 10 for index in seen if index < 120]
    first, last = ({s: at for at, s in order} for order in (reversed([*enumerate(shards)]), enumerate(shards)))
    live = [sum(first[s] <= at <= last[s] for s in first) for at in range(len(shards))]
    assert max(live) <= 4  # a window of two, and the next where a pool reaches into it
    assert seen != [index for batch in streamed(0, 1, epoch=1) for _, index in batch]
    assert seen == [index for batch in streamed(0, 1) for _, index in batch]


def test_processes_read_shards_of_their_own():
    parts = [[index for batch in streamed(rank, 2) for _, index in batch] for rank in (0, 1)]
    one, two = ({index // 10 for index in part if index < 120} for part in parts)
    assert not one & two and len(one) == len(two) == 6
    assert not set(parts[0]) & set(parts[1])
    assert len(streamed(0, 2)) == len(streamed(1, 2)) == 20


@pytest.mark.parametrize("weight", [0.25, 0.5, 2.0])
def test_a_streamed_source_goes_on_where_the_epoch_before_stopped(weight):
    rounds = round(1 / weight) if weight < 1 else 1
    seen = [i for e in range(rounds) for batch in streamed(0, 1, e, weight) for _, i in batch if i < 120]
    assert sorted(seen) == sorted(list(range(120)) * round(max(1, weight)))


@pytest.mark.parametrize("blocks", [None, [in_shards(10), None, None]])
def test_drawn_shares_are_as_the_weights_ask(blocks):
    sizes, weights = [100, 40, 60], [0.5, 3.0, 0.25]
    shares = Shares(sizes, weights, 0, 1, None, blocks)
    drawn = np.zeros(3)
    for epoch in range(8):
        buckets = Buckets(shares, lambda indices, _: indices % 5, 5)
        buckets.set_epoch(epoch)
        indices = np.array([index for batch in buckets for _, index in batch])
        drawn += np.histogram(indices, [0, 100, 140, 200])[0]
    asked = np.array([w * n for w, n in zip(weights, sizes, strict=True)])
    assert np.array_equal(drawn, 8 * asked)  # 50, 120 and 15 of every epoch's 185
