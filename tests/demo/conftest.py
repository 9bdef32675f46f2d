"""A pipeline around a tiny model, the page around it, and a real browser to look at it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import json
import os
import secrets
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
