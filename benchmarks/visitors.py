"""Forty visitors of the demo at once, over real sockets: `uv run python -m benchmarks.visitors [--visitors 40]`.

Each opens the page, asks at the same moment for one sentence to be answered, and waits. Printed: seconds until an
answer was finished (median, 90th percentile, longest), how many answers came before one that was asked for earlier,
and seconds until a visitor over capacity was told so.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import secrets
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx

import emofuse
from emofuse.demo.server import Served, serve
from emofuse.demo.settings import Settings

SENTENCE = "We made it all the way to space, and I can't believe it!"


def said(html: object) -> dict[str, Any]:
    """The state that a status element of the page holds."""
    packed = re.search(r'data-state="([^"]+)"', html if isinstance(html, str) else "")
    return json.loads(base64.b64decode(packed[1])) if packed else {}


def visit(served: Served, together: threading.Barrier) -> tuple[float, int | None, float, str]:
    """(when it joined, the first place it was told, seconds until the end, the last stage or error)."""
    page = secrets.token_hex(6)
    handler = next(i for i, fn in served.page.fns.items() if fn.api_name == "run_text")
    with httpx.Client(base_url=served.url, timeout=600, trust_env=False) as http:
        http.get("/").raise_for_status()
        together.wait()
        began, place, last = time.monotonic(), None, ""
        body = {"data": [SENTENCE], "fn_index": handler, "session_hash": page}
        http.post("/gradio_api/queue/join", json=body).raise_for_status()
        with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": page}) as lines:
            for line in lines.iter_lines():
                told = json.loads(line[6:]) if line.startswith("data: ") else {}
                data = (told.get("output") or {}).get("data") or [None]
                state = said(data[0] if isinstance(data[0], str) else (data[0] or [[None]])[-1][-1])
                place = state.get("place", 0) if state and place is None else place
                last = state.get("error") or state.get("stage") or last
                if told.get("msg") == "process_completed":
                    break
    return began, place, time.monotonic() - began, last


def measure(visitors: int, waiting: int) -> list[tuple[float, int | None, float, str]]:
    """Every visit to a page where so many may wait."""
    served, together = serve(emofuse.load(), settings=Settings(queue=waiting)), threading.Barrier(visitors)
    try:
        with ThreadPoolExecutor(visitors) as pool:
            return [one.result() for one in [pool.submit(visit, served, together) for _ in range(visitors)]]
    finally:
        served.close()


def main() -> int:
    """Print both measurements: a queue that takes everybody, and the default one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=40)
    visitors = parser.parse_args().visitors
    visits = measure(visitors, visitors - 1)
    took = sorted(seconds for *_, seconds, last in visits if last == "finished")
    order = [place or 0 for _, place, *_ in sorted(visits, key=lambda one: one[0] + one[2])]
    early = sum(later < earlier for earlier, later in pairwise(order))
    refused = [one[2] for one in measure(visitors, Settings().queue) if one[3] == "error_full"]
    sys.stdout.write(
        f"{len(took)} of {visitors} answered: median {statistics.median(took):.1f} s, "
        f"90 % within {took[int(0.9 * (len(took) - 1))]:.1f} s, longest {took[-1]:.1f} s; "
        f"{early} came before one that had asked earlier\n"
        f"with {Settings().queue} waiting: {len(refused)} refused, the last after {max(refused):.2f} s\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
