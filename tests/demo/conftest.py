"""A pipeline around a tiny model, the page around it, and a real browser to look at it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.demo.settings import Settings
from emofuse.media.decode import read_audio
from emofuse.pipeline.pipeline import Pipeline

PATIENCE = 90_000
"""Milliseconds a browser may take for one thing on a busy machine."""


@pytest.fixture(scope="session")
def pipeline(tiny_pipeline) -> Pipeline:
    """The whole pipeline around a model with random weights."""
    return tiny_pipeline()


@pytest.fixture(scope="session")
def samples(repository: Path) -> Path:
    """The folder of the examples."""
    return repository / "demo" / "samples"


@pytest.fixture(scope="session")
def clip(samples: Path) -> Path:
    """The clip that comes with the project."""
    return samples / "sample.mp4"


@pytest.fixture(scope="session")
def words(clip: Path) -> str:
    """What is said in it, as its srt file has it."""
    return clip.with_suffix(".srt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def voice(clip: Path) -> np.ndarray:
    """Its sound: 16 kHz mono."""
    return read_audio(clip)


@pytest.fixture
def settings() -> Settings:
    """What the page takes by default."""
    return Settings()


@pytest.fixture(scope="session")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the served page writes corrections."""
    return tmp_path_factory.mktemp("corrections") / "feedback"


@contextlib.contextmanager
def serving(pipeline: Pipeline, settings: Settings) -> Iterator[Any]:
    """A page that is served for as long as the block lasts.

    Gradio makes event loops that it never closes where none is running; here one is running while the page is made.
    """
    from emofuse.demo.server import serve

    async def start() -> Any:
        return serve(pipeline, settings=settings)

    names = ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "GRADIO_ANALYTICS_CACHE_FREQUENCY")
    before = {name: os.environ.get(name) for name in names}
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            page = loop.run_until_complete(start())
        else:
            page = serve(pipeline, settings=settings)
        try:
            yield page
        finally:
            page.close()
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture(scope="session")
def start(pipeline: Pipeline) -> Any:
    """Serves pages of other settings: `with start(Settings(...)) as page`."""
    return functools.partial(serving, pipeline)


@pytest.fixture(scope="session")
def served(pipeline: Pipeline, corrections: Path) -> Iterator[Any]:
    """The page, served around the tiny model for all tests."""
    with serving(pipeline, Settings(feedback=corrections, minutes=0.5, characters=2000, orphaned=10)) as page:
        yield page


class Caller:
    """A browser without a screen: it opens the page, then sends whatever it likes over a socket of its own."""

    def __init__(self, served: Any, page: str | None = None) -> None:
        import httpx

        self.served, self.page = served, page or secrets.token_hex(6)
        self.http = httpx.Client(base_url=served.url, timeout=60, trust_env=False)
        self.http.get("/").raise_for_status()

    def upload(self, name: str, content: bytes, **sent: Any) -> Any:
        """The answer to an upload."""
        return self.http.post("/gradio_api/upload", files={"files": (name, content)}, **sent)

    def give(self, name: str, content: bytes) -> dict[str, Any]:
        """An upload as a box of the page names it."""
        (path,) = self.upload(name, content).raise_for_status().json()
        return named(path)

    def body(self, handler: str, *data: Any) -> dict[str, Any]:
        """What the page would send to call one of its handlers."""
        found = next(i for i, fn in self.served.page.fns.items() if fn.api_name == handler)
        return {"data": list(data), "fn_index": found, "session_hash": self.page}

    def run(self, handler: str, *data: Any) -> Any:
        """The answer of a handler that is not queued."""
        return self.http.post("/gradio_api/run/predict", json=self.body(handler, *data))

    def join(self, handler: str, *data: Any) -> Any:
        """The answer to the wish to be queued."""
        return self.http.post("/gradio_api/queue/join", json=self.body(handler, *data))

    def queue(self, handler: str, *data: Any) -> list[Any]:
        """The last that a queued handler sent."""
        self.join(handler, *data).raise_for_status()
        last: list[Any] = []
        for said in self.messages():
            last = (said.get("output") or {}).get("data") or last
        return last

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the server tells this page, until its work is done."""
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.page}) as lines:
            lines.raise_for_status()
            for line in lines.iter_lines():
                if line.startswith("data: "):
                    said = json.loads(line[6:])
                    yield said
                    if said["msg"] in ("process_completed", "close_stream", "unexpected_error"):
                        return


def named(path: str) -> dict[str, Any]:
    """A path as Gradio's boxes name a file."""
    return {"path": path, "url": f"/gradio_api/file={path}", "meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="session")
def shown() -> Any:
    """Reads what a component of the page was sent: data as they are, or how they differ from what was sent before."""

    def read(sent: Any, before: Any = None) -> Any:
        if not isinstance(sent, list):
            return sent
        value = copy.deepcopy(before)
        for action, path, new in sent:
            value = _changed(value, action, path, new)
        return value

    return read


def _changed(value: Any, action: str, path: list[Any], new: Any) -> Any:
    """A value after one of Gradio's changes: `action` at the place that `path` leads to."""
    if not path:
        return new
    place = value
    for step in path[:-1]:
        place = place[step]
    if action == "delete":
        del place[path[-1]]
    elif action == "append":
        place[path[-1]] += new
    elif action == "add" and isinstance(place, list):
        place.insert(path[-1], new)
    else:
        place[path[-1]] = new
    return value


@pytest.fixture
def call() -> Iterator[Any]:
    """Opens browsers without a screen: `call(page)`."""
    opened: list[Caller] = []

    def open_one(served: Any, page: str | None = None) -> Caller:
        opened.append(Caller(served, page))
        return opened[-1]

    yield open_one
    for one in opened:
        one.http.close()


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
