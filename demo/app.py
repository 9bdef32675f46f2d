"""The demo as a script: `python demo/app.py`, the same as `emofuse demo` with what is set below."""

from __future__ import annotations

import sys

import emofuse
from emofuse.demo.server import serve


def main() -> None:
    """Load the model that ships and serve the page on this machine until interrupted."""
    served = serve(emofuse.load())
    served.wait(lambda: sys.stdout.write(f"{served.url}\n"))


if __name__ == "__main__":
    main()
