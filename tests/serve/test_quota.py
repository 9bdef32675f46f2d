"""Media-seconds by caller and hour."""

from __future__ import annotations

import pytest

from emofuse.serve.keys import Caller, add_key
from emofuse.serve.problems import RefusedError
from emofuse.serve.quota import Quotas

ANN, BOB, RICH = Caller("ann"), Caller("bob"), Caller("rich", 1000.0)


class Clock:
    """A clock that is set by hand."""

    now = 7200.0 + 600

    def __call__(self) -> float:
        return self.now


def test_each_caller_has_its_own_and_the_next_hour_is_new():
    clock = Clock()
    quotas = Quotas(100.0, clock)
    quotas.charge(ANN, 70)
    quotas.charge(BOB, 100)
    quotas.charge(RICH, 900)
    with pytest.raises(RefusedError) as refused:
        quotas.charge(ANN, 31)
    assert refused.value.status == 429 and refused.value.retry_after == pytest.approx(3000)
    assert "100" in refused.value.message and quotas.left(ANN) == 30
    quotas.charge(ANN, 30)
    assert quotas.left(ANN) == 0 and quotas.left(RICH) == 100
    clock.now += 3600
    assert quotas.left(ANN) == 100


def test_what_was_read_already_counts_even_beyond_the_limit():
    clock = Clock()
    quotas = Quotas(100.0, clock)
    quotas.charge(ANN, 90)
    quotas.add(ANN, 30)
    assert quotas.saved() == (2, {"ann": 120.0}) and quotas.left(ANN) == 0
    with pytest.raises(RefusedError):
        quotas.charge(ANN, 1)
    clock.now += 3600
    assert quotas.left(ANN) == 100


def test_without_a_quota_nothing_is_refused_but_counted():
    quotas = Quotas(None, Clock())
    quotas.charge(ANN, 1e9)
    assert quotas.left(ANN) is None and quotas.saved()[1] == {"ann": 1e9}


def test_what_was_used_is_taken_up_again_in_the_same_hour_alone():
    clock = Clock()
    quotas = Quotas(100.0, clock)
    quotas.restore(2, {"ann": 60.0})
    quotas.restore(1, {"bob": 60.0})
    assert quotas.left(ANN) == 40 and quotas.left(BOB) == 100


def test_a_key_of_four_seconds_an_hour_gets_one_clip_of_three(serve, tmp_path, wav):
    key = add_key(tmp_path / "keys", "ann", 4)
    running = serve(keys=tmp_path / "keys")
    headers = {"Authorization": f"Bearer {key}"}
    first, second = (
        running.client.post("/v1/analyze", files={"file": ("a.wav", wav)}, headers=headers) for _ in range(2)
    )
    assert first.status_code == 200
    assert second.status_code == 429 and second.json()["error"]["code"] == "quota"
    assert 1 <= int(second.headers["retry-after"]) <= 3600
