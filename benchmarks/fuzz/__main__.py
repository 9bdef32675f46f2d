"""The fuzz campaign: mutated media, transcripts, recipes, manifests and checkpoints, read in processes of their own.

    python -m benchmarks.fuzz                          # 1,000 media files, 300 of each other kind, seed 0
    python -m benchmarks.fuzz --share 0.1 --seed 7     # a tenth of them, others
    python -m benchmarks.fuzz --only media:421         # one again, its file kept in the current folder

It prints a row a kind, and each file that crashed, hung or ended in a traceback; the exit code is 1 if one did.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from benchmarks.fuzz.seeds import REPOSITORY, SEEDS

COUNTS = {"media": 1000, "transcripts": 300, "recipes": 300, "manifests": 300, "checkpoints": 300}
IN_A_ROW = 100
"""Files that one process reads, so that its start is paid once."""
WALL_SECONDS = 600
"""After which a process that says nothing more is ended."""
FAULTS = ("error", "hang", "crash")


def outcomes(kind: str, seed: int, first: int, last: int) -> Iterator[dict[str, object]]:
    """How each file went; a process that dies or falls silent is one that its file crashed or hung."""
    while first < last:
        began = None
        with tempfile.TemporaryFile("w+") as errors:
            worker = _started(kind, seed, first, last, errors)
            for told in _lines(worker):
                began = told["number"] if told["outcome"] == "began" else None
                if began is None:
                    first = told["number"] + 1
                    yield told
            errors.seek(0)
            said = errors.read()[-2000:]
        if began is not None:
            yield {"number": began, "outcome": "crash", "why": f"the process ended with {worker.returncode}\n{said}"}
            first = began + 1
        elif first < last:
            raise SystemExit(f"the worker of {kind} ended with {worker.returncode} between two files: {said}")


def _started(kind: str, seed: int, first: int, last: int, errors: IO[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.fuzz.worker", kind, *map(str, (seed, first, last))]
    return subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment()
    )


def _lines(worker: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What a worker says; it is ended when it says nothing for too long."""
    assert worker.stdout is not None
    timer = threading.Timer(WALL_SECONDS, worker.kill)
    timer.start()
    for line in worker.stdout:
        timer.cancel()
        yield json.loads(line)
        timer = threading.Timer(WALL_SECONDS, worker.kill)
        timer.start()
    timer.cancel()
    worker.wait()


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONFAULTHANDLER": "1"}


def campaign(counts: dict[str, int], seed: int) -> int:
    """Prints a row a kind; the number of files that were not read or refused as they should be."""
    faults = 0
    print(f"seed {seed}\n| kind | files | read | refused | traceback | hang | crash |\n| --- |{' --- |' * 6}")  # noqa: T201
    for kind, count in counts.items():
        tally: Counter[str] = Counter()
        failed = []
        for first in range(0, count, IN_A_ROW):
            for told in outcomes(kind, seed, first, min(count, first + IN_A_ROW)):
                tally[str(told["outcome"])] += 1
                failed += [told] if told["outcome"] in FAULTS else []
        row = [tally[name] for name in ("read", "refused", *FAULTS)]
        print(f"| {kind} | {sum(row)} | {' | '.join(map(str, row))} |", flush=True)  # noqa: T201
        for told in failed:
            print(f"{kind}:{told['number']} {told['outcome']}\n{told['why']}", file=sys.stderr, flush=True)  # noqa: T201
        faults += len(failed)
    return faults


def again(kind: str, seed: int, number: int) -> int:
    """One file once more, in this process; it is kept in a temporary folder of its own, whose path is told."""
    from benchmarks.fuzz.worker import attempt, write_mutant

    with tempfile.TemporaryDirectory() as scratch:
        seeds = SEEDS[kind](Path(scratch))
        kept = Path(tempfile.mkdtemp(prefix=f"{kind}-{number}-"))
        told = attempt(kind, path := write_mutant(kind, seed, number, seeds, kept), seeds)
    print(f"{path}: {told['outcome']}\n{told['why']}")  # noqa: T201
    return told["outcome"] in FAULTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(COUNTS)}; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the files of each kind")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="one file again")
    given = parser.parse_args()
    if given.only:
        kind, _, number = given.only.partition(":")
        raise SystemExit(again(kind, given.seed, int(number)))
    chosen = {kind: max(1, round(given.share * COUNTS[kind])) for kind in given.kinds or COUNTS}
    raise SystemExit(campaign(chosen, given.seed) > 0)


if __name__ == "__main__":
    main()
