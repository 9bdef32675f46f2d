"""The model's queue by itself: order, places, waits, capacity."""

from __future__ import annotations

import threading
import time

import pytest

from emofuse.demo.queueing import FullError, ModelQueue, Ticket


def test_the_wait_is_what_the_work_of_those_before_still_takes(monkeypatch):
    queue, now = ModelQueue(waiting=4, each=4), [100.0]
    monkeypatch.setattr("emofuse.demo.queueing.time.monotonic", lambda: now[0])
    first, second, third = (queue.join("a", seconds) for seconds in (20.0, 8.0, 5.0))
    assert list(first.places()) == [0] and second.wait() == 20.0 and third.wait() == 28.0
    now[0] += 15.0
    assert third.wait() == 13.0
    now[0] += 60.0
    assert second.wait() == 1.0 and third.wait() == 9.0
    first.leave()
    assert second.wait() == 0.0 and third.wait() == 8.0
    second.give_up()
    assert queue.join("b", None).wait() is not None and queue.join("b", 1.0).wait() is None


def test_the_model_is_had_in_order_of_arrival_and_a_full_house_is_told():
    queue = ModelQueue(waiting=2, each=2)
    first, second, third = (queue.join(who) for who in ("a", "b", "a"))
    with pytest.raises(FullError):
        queue.join("c")
    assert list(first.places()) == [0]
    told = [ticket.places() for ticket in (second, third)]
    assert [next(places) for places in told] == [1, 2]
    second.give_up()
    assert next(told[1]) == 1 and next(told[0], None) is None
    with pytest.raises(FullError):
        queue.join("a")
    first.give_up()
    assert list(first.places()) == [0]
    first.leave()
    assert list(told[1]) == [0]


def test_forty_are_served_in_order_and_never_two_at_once():
    queue, served, busy = ModelQueue(waiting=39, each=1), [], threading.Lock()

    def visit(number: int, ticket: Ticket) -> None:
        assert list(ticket.places())[-1] == 0 and busy.acquire(blocking=False)
        time.sleep(0.002)
        served.append(number)
        busy.release()
        ticket.leave()

    tickets = [queue.join(str(number)) for number in range(40)]
    visits = [threading.Thread(target=visit, args=(n, ticket)) for n, ticket in enumerate(tickets)]
    for one in reversed(visits):
        one.start()
    for one in visits:
        one.join(20)
    assert served == list(range(40))
