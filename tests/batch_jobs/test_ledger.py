"""What a ledger says after processes that ended well, on purpose, or not at all."""

from __future__ import annotations

import pytest

from emofuse.batch_jobs.ledger import Ledger, release
from emofuse.errors import OutputError


def killed(path, *clips, done=()):
    """A turn of a process that was killed while clips were open."""
    ledger = Ledger(path)
    with pytest.raises(MemoryError), ledger.turn():
        for clip in clips:
            ledger.open(clip)
        for clip in done:
            ledger.close(clip)
        raise MemoryError
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + b'{"clo')  # as kill -9 leaves it: no end, and half a line


def test_every_clip_that_was_open_at_a_death_has_lost_an_attempt(tmp_path):
    path = tmp_path / "00000.jsonl"
    assert not Ledger(path).lost and Ledger(path).deaths == 0
    killed(path, 0, 1, 2, done=[0])
    assert Ledger(path).lost == {1: 1, 2: 1} and Ledger(path).deaths == 1
    killed(path, 2)
    ledger = Ledger(path)
    assert ledger.lost == {1: 1, 2: 2} == ledger.tries and ledger.deaths == 2


def test_who_was_read_alone_and_did_no_harm_is_cleared(tmp_path):
    path = tmp_path / "00000.jsonl"
    killed(path, 0, 1)
    ledger = Ledger(path)
    with ledger.turn():
        ledger.open(0)
        ledger.clear(0)
        ledger.give_up(1, "no good", 2)
    again = Ledger(path)
    assert again.lost == {1: 1} and again.tries == {0: 1, 1: 1} and again.aside == {1: ("no good", 2)}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OutputError])
def test_leaving_on_purpose_costs_no_attempt(tmp_path, error):
    path = tmp_path / "00000.jsonl"
    ledger = Ledger(path)
    with pytest.raises(error), ledger.turn():
        ledger.open(0)
        raise error
    assert not Ledger(path).lost and Ledger(path).deaths == 0
    killed(path, 0)
    release(path)
    assert not Ledger(path).lost and Ledger(path).deaths == 0


def test_an_error_of_the_whole_is_a_death(tmp_path):
    path = tmp_path / "00000.jsonl"
    ledger = Ledger(path)
    with pytest.raises(RuntimeError), ledger.turn():
        ledger.open(3)
        raise RuntimeError("out of memory")
    assert Ledger(path).lost == {3: 1}


def test_an_error_that_an_interrupt_brought_about_costs_no_attempt_and_is_no_try(tmp_path):
    path = tmp_path / "00000.jsonl"
    ledger = Ledger(path)
    with pytest.raises(KeyboardInterrupt), ledger.turn():
        ledger.open(0)
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("cannot join thread before it is started")
    assert not Ledger(path).lost and Ledger(path).deaths == 0
