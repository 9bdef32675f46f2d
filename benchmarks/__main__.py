"""Measure everything, or some of it: `uv run python -m benchmarks [--only 1,2] [--smoke] [--out FOLDER]`."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import Line, Setting

FIGURES = range(1, 11)


def figure(number: int, setting: Setting) -> list[Line]:
    """The rows of one figure."""
    from benchmarks.figures import end_to_end, gpu, jobs, many, process, service, shares, streaming, training

    works: dict[int, Callable[[Setting], list[Line]]] = {
        1: lambda s: end_to_end.measure(s, {1}),
        2: lambda s: end_to_end.measure(s, {2}),
        3: lambda s: many.measure(s) + jobs.throughput(s),
        4: lambda s: process.memory(s) + jobs.memory(s),
        5: process.startup,
        6: shares.measure,
        7: streaming.measure,
        8: training.measure,
        9: gpu.measure,
        10: service.measure,
    }
    return works[number](setting)


def table(lines: list[Line]) -> str:
    """Rows as Markdown."""
    rows = ["| figure | what | measured | goal | |", "|---|---|---|---|---|"]
    for line in sorted(lines, key=lambda line: line.figure):
        measured = "–" if line.value is None else f"{line.value:.3g} {line.unit}".strip()
        goal = "–" if line.goal is None else f"{'≤' if line.at_most else '≥'} {line.goal:g}"
        mark = {True: "met", False: "missed", None: ""}[line.met]
        rows.append(f"| {line.figure} | {line.what} | {measured} | {goal} | {mark} |")
    return "\n".join(rows)


def machine() -> dict[str, object]:
    """What the numbers were taken on."""
    import torch

    from emofuse.media.prefetch import cores

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": cores(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def main() -> int:
    """Print the table; write benchmarks.json, in which figures not measured this time stay as they were."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", default="", metavar="1,2", help="these figures; the others keep what was measured")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: that it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured")
    parser.add_argument("--minutes", type=float, default=5.0, help="at twice what a service can do (figure 10)")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "emofuse-benchmarks")
    parser.add_argument("--out", type=Path, default=None, metavar="FOLDER", help="for benchmarks.json and shares.png")
    arguments = parser.parse_args()
    chosen = [int(number) for number in arguments.only.split(",") if number] or list(FIGURES)
    if not set(chosen) <= set(FIGURES):
        parser.error(f"--only takes figures 1 to 10, not {arguments.only}")
    out = arguments.out or arguments.work
    for folder in (arguments.work, out):
        folder.mkdir(parents=True, exist_ok=True)
    setting = Setting(arguments.work, arguments.smoke, arguments.rounds, arguments.minutes)
    report = out / ("smoke.json" if arguments.smoke else "benchmarks.json")
    kept = json.loads(report.read_text("utf-8"))["lines"] if report.is_file() else []
    lines = [Line(**line) for line in kept if line["figure"] not in chosen]
    for number in chosen:
        began = time.perf_counter()
        lines += figure(number, setting)
        sys.stderr.write(f"figure {number}: {time.perf_counter() - began:.0f} s\n")
        part = report.with_suffix(".part")
        told = {"machine": machine(), "lines": [asdict(line) for line in lines]}
        part.write_text(json.dumps(told, indent=2), "utf-8")
        part.replace(report)
    shares = setting.work / "shares.png"
    if shares.is_file() and out != setting.work:
        (out / "shares.png").write_bytes(shares.read_bytes())
    sys.stdout.write(table(lines) + f"\n\n{report}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
