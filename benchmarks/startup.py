"""Show how long the command line takes to answer, beside what importing its two heaviest packages alone takes.

uv run python benchmarks/startup.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[1] / "demo" / "samples" / "sample.mp4"
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import torch, transformers": ["-c", "import torch, transformers"],
    "import emofuse": ["-c", "import emofuse"],
    "emofuse --help": ["-m", "emofuse", "--help"],
    "emofuse predict --text": ["-m", "emofuse", "predict", "--text", "I can't believe it!"],
    "emofuse predict sample.mp4": ["-m", "emofuse", "predict", str(SAMPLE)],
}


def main() -> None:
    """Print the median of seconds by command; the rounds are interleaved, so that a slow moment meets all alike."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - began)
    report = {name: round(statistics.median(took), 3) for name, took in seconds.items()}
    print(json.dumps(report, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
