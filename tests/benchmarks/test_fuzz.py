"""The fuzz campaign: its files follow from the seed, and what goes wrong in reading one is told apart."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest


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


def test_refusals_errors_and_hangs_are_told_apart(repository, tmp_path):
    """In a process of its own: a timer's signal that comes late would end the process that runs the tests."""
    script = tmp_path / "attempts.py"
    script.write_text(ATTEMPTS)
    done = subprocess.run([sys.executable, script, repository], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["read", "refused", "error", "hang"], done.stderr


ATTEMPTS = """
import os, signal, sys, time
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from benchmarks.fuzz import worker
from emofuse.errors import MediaError


def refuse(path, seeds):
    raise MediaError("no media")


def fail(path, seeds):
    raise KeyError("a")


def hang(path, seeds):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        path.exists()  # some calls of the system, as any reader makes: emulated kernels deliver signals at them


signal.signal(signal.SIGPROF, worker._hang)
for read, seconds in ((lambda path, seeds: None, 20), (refuse, 20), (fail, 20), (hang, 0.05)):
    worker.SECONDS = seconds
    worker.READ["media"] = read
    print(worker.attempt("media", Path("a"), {})["outcome"], flush=True)
os._exit(0)
"""


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
