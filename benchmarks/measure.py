"""How a ratio is measured: its sides take turns in one run, and medians are compared."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Setting:
    """Where scratch files go, and whether everything is in its smallest form."""

    work: Path
    smoke: bool = False
    rounds: int = 5

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


def peak(clip: Path, *arguments: str) -> tuple[float, float]:
    """(MiB, seconds) of `emofuse predict` on a clip in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch, "answer.json")
        command = [sys.executable, "-m", "emofuse", "predict", str(clip), "--json", str(answer), *arguments]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        if status != 0:
            raise RuntimeError(f"{' '.join(command)} failed")
        assert json.loads(answer.read_text("utf-8"))["segments"]
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB elsewhere
    return usage.ru_maxrss * unit / 2**20, took
