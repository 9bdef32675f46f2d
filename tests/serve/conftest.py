"""A service around a tiny model, on a real socket."""

from __future__ import annotations

import contextlib
import io
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from emofuse.pipeline.pipeline import Pipeline
from emofuse.serve.app import create_app
from emofuse.serve.server import serving
from emofuse.serve.settings import Settings


@pytest.fixture(scope="session")
def pipeline(tiny_pipeline) -> Pipeline:
    """The whole pipeline around a model with random weights."""
    return tiny_pipeline()


@pytest.fixture(scope="session")
def clip(repository: Path) -> Path:
    """The clip that comes with the project."""
    return repository / "demo" / "samples" / "sample.mp4"


class Running:
    """A service on a socket: its address, its application, and a client of it."""

    def __init__(self, app: FastAPI, url: str) -> None:
        self.app, self.url, self.service = app, url, app.state.service
        self.client = httpx.Client(base_url=url, timeout=60)

    def analyze(self, **fields: object) -> httpx.Response:
        """A request of JSON fields."""
        return self.client.post("/v1/analyze", json=fields)

    @property
    def left_over(self) -> list[Path]:
        """What lies in the private folder."""
        return list(self.service.workspace.folder.iterdir())


@pytest.fixture
def serve(pipeline) -> Iterator[Callable[..., Running]]:
    """Starts services with the settings given; all end with the test."""
    with contextlib.ExitStack() as stack:

        def start(model: Pipeline = pipeline, **settings: object) -> Running:
            app = create_app(model, Settings(**settings))
            running = Running(app, stack.enter_context(serving(app)))
            stack.callback(running.client.close)
            return running

        yield start


@pytest.fixture(scope="session")
def running(pipeline) -> Iterator[Running]:
    """One service for all tests that leave it as it is."""
    app = create_app(pipeline, Settings())
    with serving(app) as url:
        running = Running(app, url)
        yield running
        running.client.close()


@pytest.fixture(scope="session")
def wav() -> bytes:
    """Three seconds of a voice-like sound as a wav file."""
    t = np.arange(3 * 16_000) / 16_000
    sound = 0.3 * np.sin(2 * np.pi * 140 * t) * (1 + np.sin(2 * np.pi * 3 * t))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((sound * 32767 / 2).astype("<i2").tobytes())
    return out.getvalue()
