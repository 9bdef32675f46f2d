"""How a ratio is measured: its sides take turns in one run, and medians are compared."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SMOKE_SECONDS = 5.0


@dataclass(frozen=True)
class Setting:
    """Where scratch files go, and whether everything is in its smallest form."""

    work: Path
    smoke: bool = False
    rounds: int = 5
    minutes: float = 5.0
    """At twice what a service can do."""

    @property
    def seconds(self) -> float:
        """Of that."""
        return SMOKE_SECONDS if self.smoke else 60 * self.minutes

    @property
    def turns(self) -> int:
        """How often each side is measured."""
        return 1 if self.smoke else self.rounds


@dataclass(frozen=True)
class Line:
    """One row of the table: a figure against its goal."""

    figure: int
    what: str
    value: float | None
    unit: str = "×"
    goal: float | None = None
    at_most: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none, or nothing could be measured."""
        if self.value is None or self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def alternate(sides: Mapping[str, Callable[[], object]], turns: int, warm: bool = True) -> dict[str, float]:
    """Median seconds of each side; they take turns, so that a slow moment meets all alike."""
    if warm:
        for work in sides.values():
            work()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, work in sides.items():
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(took) for name, took in seconds.items()}


def python(*arguments: str) -> None:
    """Run this Python with arguments, its stdout thrown away; raises where it fails."""
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


_WEIGH = """import os, sys
process = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(process, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))"""


def weigh(*arguments: str) -> float:
    """Peak MiB of this Python with arguments, in a process of its own; raises where it fails.

    A small process stands between: the system counts what a process was forked from as its own (getrusage(2)), and
    whoever measures may hold a gigabyte.
    """
    command = [sys.executable, "-S", "-c", _WEIGH, sys.executable, *arguments]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB elsewhere
    return int(told.split()[-1]) * unit / 2**20


def peak(clip: Path, *arguments: str) -> tuple[float, float]:
    """(MiB, seconds) of `emofuse predict` on a clip in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch, "answer.json")
        began = time.perf_counter()
        mib = weigh("-m", "emofuse", "predict", str(clip), "--json", str(answer), *arguments)
        took = time.perf_counter() - began
        assert json.loads(answer.read_text("utf-8"))["segments"]
    return mib, took
