"""Entry point of `python -m emofuse`."""

from __future__ import annotations

from emofuse.cli import main

if __name__ == "__main__":
    main()
