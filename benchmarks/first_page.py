"""How long after the model is loaded the demo's first page shows: `python -m benchmarks.first_page [MODEL] [ROUNDS]`.

Each round serves the page anew and opens it in a browser that has not seen it; the clock runs from the loaded model to
the first box that can be used. Needs the extra `demo`, playwright, and chromium or google-chrome.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time

import emofuse
from emofuse.demo.server import serve


def main(model: str = "emofuse-small", rounds: str = "3") -> None:
    """Print the seconds of each round and their median."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if program is None:
        sys.exit("no browser: install chromium or google-chrome")
    pipeline, taken = emofuse.load(model), []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(int(rounds)):
            began = time.perf_counter()
            served = serve(pipeline)
            up = time.perf_counter()
            tab = browser.new_context().new_page()
            tab.goto(served.url)
            tab.wait_for_selector("emofuse-empty .emo-blank")
            taken.append(time.perf_counter() - began)
            sys.stdout.write(f"served after {up - began:.2f} s, first page after {taken[-1]:.2f} s\n")
            tab.context.close()
            served.close()
        browser.close()
    sys.stdout.write(f"median {statistics.median(taken):.2f} s\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
