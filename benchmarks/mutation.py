"""The mutation score on a seeded sample: mutants of the rooms of [tool.mutmut] that some test notices.

    uv run --group mutation python -m benchmarks.mutation                       # 400 mutants, seed 0
    uv run --group mutation python -m benchmarks.mutation --sample 100 --only "emofuse.metrics.*"

All mutants take hours on one core; a sample says in minutes what the score is, to within a few points. It prints a row
a module and the survivors; the exit code is 1 where the score is below `--least`. Mutants that were tried since their
function last changed keep their result, so that it can be stopped and started again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

MUTANTS = Path("mutants")
SMALLEST = "emofuse.metrics.undefined*"
"""Run for its side effect: mutmut makes the mutants of all modules and finds out which test calls what."""
KILLED = frozenset({1, 3, 24, 36, 37, 152, 255, -24, -9, -11})
"""Exit codes of a mutant that a test failed for, or that ran out of time or crashed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=400, help="mutants that are tried")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="*", help="a pattern of mutants' names, as in mutmut run")
    parser.add_argument("--least", type=float, default=0.8, help="the score that is enough")
    args = parser.parse_args()
    _mutmut(SMALLEST)
    before = results()
    every = [name for name in before if fnmatch(name, args.only)]
    if not every:
        parser.error(f"no mutant is called {args.only}; names begin as modules do, emofuse.metrics.task.…")
    chosen = drawn(every, args.sample, args.seed)
    _mutmut(*_tested([name for name in chosen if before[name] is None]))
    found = results()
    score = report({name: found[name] in KILLED for name in chosen}, len(every))
    return 0 if score >= args.least else 1


def results() -> dict[str, int | None]:
    """Exit code by mutant, None where it was not tried since its function changed."""
    found: dict[str, int | None] = {}
    for path in sorted(MUTANTS.rglob("*.meta")):
        found |= json.loads(path.read_text("utf-8"))["exit_code_by_key"]
    return found


def drawn(names: Sequence[str], number: int, seed: int) -> list[str]:
    """A simple random sample without replacement, in an order that does not depend on the file system."""
    return sorted(random.Random(seed).sample(sorted(names), min(number, len(names))))


def report(killed: Mapping[str, bool], of: int) -> float:
    """Print a row a module, the score with its 95 % interval among `of` mutants, and the survivors; the score."""
    modules: dict[str, Counter[bool]] = defaultdict(Counter)
    for name, dead in killed.items():
        modules[name.split(".x")[0]][dead] += 1
    for module, count in sorted(modules.items()):
        print(f"{module:32} {count[True]:4} of {count.total():4}  {count[True] / count.total():4.0%}")  # noqa: T201
    score = sum(killed.values()) / len(killed)
    error = 1.96 * math.sqrt(score * (1 - score) / len(killed) * (1 - len(killed) / of))
    print(f"{'all':32} {sum(killed.values()):4} of {len(killed):4}  {score:4.0%} ± {error:.0%}, of {of} mutants")  # noqa: T201
    for name, dead in sorted(killed.items()):
        if not dead:
            print(f"survived: {name}")  # noqa: T201
    return score


def _tested(names: Sequence[str]) -> list[str]:
    """Those whose function some test calls; the others survive without a run."""
    tests = json.loads((MUTANTS / "mutmut-stats.json").read_text("utf-8"))["tests_by_mangled_function_name"]
    return [name for name in names if tests.get(name.rpartition("__mutmut_")[0])]


def _mutmut(*names: str) -> None:
    """Run mutmut on these mutants, in one process; raises RuntimeError where it could not."""
    if not names:
        return
    done = subprocess.run(["mutmut", "run", "--max-children", "1", *names], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"mutmut run ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())
