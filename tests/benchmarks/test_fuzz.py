"""The fuzz campaign: its files follow from the seed, and what goes wrong in reading one is told apart."""

from __future__ import annotations

import sys
import time
from random import Random

import pytest

from emofuse.errors import MediaError


@pytest.fixture(autouse=True)
def importable(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository))
    yield
    for name in [n for n in sys.modules if n == "benchmarks" or n.startswith("benchmarks.")]:
        del sys.modules[name]


def test_mutants_follow_from_the_seed_and_are_never_the_file_itself():
    from benchmarks.fuzz.mutate import mutated

    data, others = bytes(range(256)) * 4, [b"RIFF" * 99, b"1\n2\n"]
    found = [mutated(data, others, Random(f"0/media/{n}")) for n in range(200)]
    assert found == [mutated(data, others, Random(f"0/media/{n}")) for n in range(200)]
    assert data not in found and len(set(found)) > 190
    assert [mutated(data, others, Random(f"1/media/{n}")) for n in range(200)] != found
    assert min(map(len, found)) < len(data) < max(map(len, found))


def test_every_mutation_takes_an_empty_file():
    from benchmarks.fuzz.mutate import MUTATIONS

    for mutation in MUTATIONS:
        for data in (b"", b"a"):
            mutation(bytearray(data), [b""], Random(0))


def test_refusals_errors_and_hangs_are_told_apart(monkeypatch, tmp_path):
    import signal

    from benchmarks.fuzz import worker

    def refuse(path, seeds):
        raise MediaError("no media")

    def fail(path, seeds):
        raise KeyError("a")

    def hang(path, seeds):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            path.exists()  # some calls of the system, as any reader makes: emulated kernels deliver signals at them

    monkeypatch.setattr(worker, "SECONDS", 0.05)
    before = signal.signal(signal.SIGPROF, worker._hang)
    try:
        for name, read in (("read", lambda path, seeds: None), ("refused", refuse), ("error", fail), ("hang", hang)):
            monkeypatch.setitem(worker.READ, "media", read)
            assert worker.attempt("media", tmp_path / "a", {})["outcome"] == name
    finally:
        signal.signal(signal.SIGPROF, before)


@pytest.mark.slow
def test_seeds_are_whole_files(tmp_path):
    """Each is read as it is: what is refused later was refused for its mutation."""
    from benchmarks.fuzz.seeds import SEEDS
    from benchmarks.fuzz.worker import READ

    for kind, make in SEEDS.items():
        (tmp_path / kind).mkdir()
        seeds = make(tmp_path / kind)
        for name, content in seeds.items():
            (tmp_path / name).write_bytes(content)
            READ[kind](tmp_path / name, seeds)
