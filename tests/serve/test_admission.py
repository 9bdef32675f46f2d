"""Places: bounded in all and for each caller."""

from __future__ import annotations

import pytest

from emofuse.serve.admission import Admission
from emofuse.serve.problems import RefusedError
from emofuse.serve.settings import Settings


def test_places_are_bounded_in_all_and_for_each_and_come_back():
    admission = Admission(Settings(working=2, waiting=2, each=3))
    held = [admission.place("ann") for _ in range(3)]
    for place in held:
        place.__enter__()
    with pytest.raises(RefusedError) as refused, admission.place("ann"):
        pass
    assert refused.value.status == 429 and refused.value.retry_after >= 1
    with admission.place("bob"), pytest.raises(RefusedError), admission.place("eve"):
        pass
    held[0].__exit__(None, None, None)
    with admission.place("ann"):
        assert admission.count == 3
    assert admission.taken == {"ann": 2} and admission.refused == 2


def test_whoever_drains_takes_nobody():
    admission = Admission(Settings())
    admission.draining = True
    with pytest.raises(RefusedError) as refused, admission.place("ann"):
        pass
    assert refused.value.status == 503


def test_the_time_to_come_back_follows_the_time_requests_take(monkeypatch):
    admission = Admission(Settings(working=1, waiting=10))
    quick = admission.retry_after
    now = [0.0]
    monkeypatch.setattr("emofuse.serve.admission.time.monotonic", lambda: now[0])
    for _ in range(20):
        with admission.place("ann"):
            now[0] += 4.0
    assert admission.retry_after > 3 * quick and admission.retry_after <= 60
