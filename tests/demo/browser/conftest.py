"""A real browser to look at the page with, and its visitors."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.demo.view import possible
from emofuse.types import Prediction

PATIENCE = 90_000
"""Milliseconds a browser may take for one thing on a busy machine."""


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory, voice: np.ndarray) -> Path:
    """What the browser's microphone hears: the clip's voice, as a WAV file."""
    import soundfile

    path = tmp_path_factory.mktemp("microphone") / "voice.wav"
    soundfile.write(path, np.repeat(voice, 3), 48_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="session")
def browser(spoken: Path) -> Iterator[Any]:
    """Chromium or Chrome as the system has it, with the voice at its microphone and a test picture at its camera."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    if program is None:
        pytest.skip("no browser: neither chromium nor google-chrome is installed (Debian: apt install chromium)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    arguments = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    arguments.append(f"--use-file-for-fake-audio-capture={spoken}")
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=program, args=arguments)
        yield window
        window.close()


def _told(message: Any) -> str:
    """A message of the console, and what it is about."""
    return f"{message.text} [{message.location.get('url', '')}]"


class Visit:
    """One visitor's tab, and everything that went wrong in it."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        options = {"viewport": {"width": 1280, "height": 1000}, "accept_downloads": True} | options
        self.context = browser.new_context(permissions=["microphone", "camera"], **options)
        self.context.set_default_timeout(PATIENCE)
        self.context.set_default_navigation_timeout(PATIENCE)
        self.tab = self.context.new_page()
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        own = (url, "data:", "blob:")
        self.tab.on("console", lambda m: self.errors.append(_told(m)) if m.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("request", lambda r: self.elsewhere.append(r.url) if not r.url.startswith(own) else None)
        self.url = url

    def open(self, query: str = "") -> Any:
        """The page, ready to be used."""
        self.tab.goto(self.url + query)
        self.tab.wait_for_selector("[data-testid=drop]")
        return self.tab

    def choose(self, panel: str) -> None:
        """Go to a tab of the page."""
        self.tab.locator(f"#emo-tab-{panel}-button").click()

    def put(self, *files: Path) -> None:
        """Put files into the box, in place of what lies there."""
        away = self.tab.locator("#emo-in-file .emo-drop-away")
        if away.count():
            away.click()
        self.tab.locator("#emo-in-file input[type=file]").set_input_files(files)

    def unfold(self) -> None:
        """Show the words and what else is folded under the box."""
        if not self.tab.locator("#emo-words-file textarea").is_visible():
            self.tab.locator("#emo-more-file button").first.click()
        self.tab.locator("#emo-words-file textarea").wait_for()

    def answer(self, panel: str, press: str | None = None) -> Any:
        """Press the button and wait for the whole answer; one that was there before does not count."""
        where = f"#emo-answer-{panel} .emo"
        before = self.tab.evaluate("(where) => document.querySelector(where)?.dataset.run ?? null", where)
        self.tab.locator(press or f"#emo-go-{panel}").click()
        self.tab.wait_for_function(
            "([where, before]) => { const it = document.querySelector(where)?.dataset;"
            " return it?.done === 'true' && it.run !== before }",
            arg=[where, before],
        )
        return self.tab.locator(f"#emo-answer-{panel}")

    def check(self) -> None:
        """Nothing was complained about, and nothing asked of another server, since last time."""
        errors, elsewhere = list(self.errors), list(self.elsewhere)
        self.errors.clear()
        self.elsewhere.clear()
        assert (errors, elsewhere) == ([], [])

    def download(self, panel: str, ending: str) -> str:
        """The text of a downloaded file."""
        with self.tab.expect_download() as waiting:
            self.tab.locator(f"#emo-answer-{panel} [data-testid=download-{ending}]").click()
        assert waiting.value.suggested_filename.endswith(f".{ending}")
        return Path(waiting.value.path()).read_text(encoding="utf-8")


@pytest.fixture
def visit(browser: Any, served: Any) -> Iterator[Any]:
    """Opens tabs of other sizes and languages; at the end, each is closed and none may have complained."""
    opened: list[Visit] = []

    def open_one(**options: Any) -> Visit:
        opened.append(Visit(browser, served.url, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.context.close()
    for one in opened:
        one.check()


@pytest.fixture(scope="session")
def everyday(browser: Any, served: Any) -> Iterator[Visit]:
    """An English visitor at a desk, for all tests: opening the page is most of what a short test takes."""
    one = Visit(browser, served.url)
    one.open()
    yield one
    one.context.close()


@pytest.fixture
def here(everyday: Visit, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """The everyday visitor; after a test that fails, the page is opened anew."""
    failed = request.session.testsfailed
    yield everyday
    everyday.check()
    if request.session.testsfailed > failed:
        everyday.open()


@pytest.fixture(scope="session")
def headline() -> Callable[[Prediction], str]:
    """What an answer leads with in English: the two or three emotions that it could be, else the leading one."""

    def said(prediction: Prediction) -> str:
        names = possible(prediction)["names"]
        if len(names) > 3:
            return "Not clear"
        return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)

    return said


@pytest.fixture(scope="session")
def left_behind(served: Any) -> Callable[..., list[str]]:
    """Files of uploads that are still on the server once it has had time to tidy up after other visits."""

    def files() -> list[str]:
        return [path.name for path in served.uploads.folder.rglob("*") if path.is_file()]

    def left(patience: float = 90.0) -> list[str]:
        until = time.monotonic() + patience
        while (found := files()) and time.monotonic() <= until:
            time.sleep(0.2)
        return found

    return left
