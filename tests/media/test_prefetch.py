"""Iterators read beside: order, errors, and no thread left behind."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from functools import partial

import pytest

from emofuse.media.prefetch import DEPTH, ahead


def counting(start, count, pause=0.0):
    for i in range(count):
        time.sleep(pause)
        yield start + i


def readers():
    return [t for t in threading.enumerate() if t.name == "emofuse-reader"]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_order_is_that_of_the_sources_whoever_is_quicker(workers):
    sources = [
        partial(counting, 0, 3, 0.01),
        partial(counting, 10, 4),
        partial(counting, 20, 2, 0.005),
        partial(iter, ()),
    ]
    assert list(ahead(sources, workers)) == [0, 1, 2, 10, 11, 12, 13, 20, 21]
    assert not readers()


def test_a_source_is_read_ahead_but_not_far():
    taken = []

    def source():
        for i in range(200):
            taken.append(i)
            yield i

    with closing(ahead([source], 1)) as items:
        assert next(items) == 0
        deadline = time.monotonic() + 20
        while len(taken) < DEPTH + 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert DEPTH < len(taken) <= DEPTH + 3
    assert not readers()


def test_an_error_comes_where_its_item_would_have():
    def broken():
        yield 1
        raise ValueError("cut off")

    items = ahead([broken, partial(counting, 5, 2)], 2)
    assert next(items) == 1
    with pytest.raises(ValueError, match="cut off"):
        next(items)
    assert not readers()


@pytest.mark.parametrize("begun", [False, True])
def test_an_interrupt_while_a_thread_is_being_started_is_what_is_raised(monkeypatch, begun):
    start = threading.Thread.start

    def interrupted(thread):
        if not (first := not readers()) and not begun:
            raise KeyboardInterrupt
        start(thread)
        if not first:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(ahead([partial(counting, 0, 3), partial(counting, 5, 2)], 2))
    assert not readers()
