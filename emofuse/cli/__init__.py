"""The command line; heavy packages are imported by the commands that need them, never to show help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code: 0, 2 with one line on stderr, or 3 where some clips failed."""
    from emofuse.cli.app import run

    raise SystemExit(run(arguments))
