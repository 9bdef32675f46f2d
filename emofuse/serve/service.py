"""The service: what all routes share, and the way of one request through it."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from starlette.requests import HTTPConnection, Request

from emofuse.demo.workspace import Workspace, open_workspace
from emofuse.media.prefetch import cores
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.drift import Reference
from emofuse.pipeline.live import LiveSession
from emofuse.pipeline.pipeline import Pipeline
from emofuse.serve.admission import Admission
from emofuse.serve.asking import Asked, asked, read_options
from emofuse.serve.batcher import Batcher
from emofuse.serve.extent import Bounds
from emofuse.serve.fetch import fetch
from emofuse.serve.jobs import Jobs
from emofuse.serve.keys import Caller, KeyRing
from emofuse.serve.ledger import Row
from emofuse.serve.monitor import Monitor
from emofuse.serve.problems import RefusedError
from emofuse.serve.quota import Quotas
from emofuse.serve.receive import Part, Received, receive
from emofuse.serve.schemas import Options
from emofuse.serve.settings import Settings
from emofuse.serve.work import StoppedError, Work
from emofuse.types import Segment

GRACE = 10.0
"""Seconds that work which nobody waits for is given to end."""


@dataclass(frozen=True)
class Answered:
    """A request that was answered. `video`: the labelled one, open, its file about to be deleted."""

    analysis: Analysis
    options: Options
    work: Work
    video: BinaryIO | None


class Service:
    """The model behind its batcher, the threads that read clips, places, keys, quotas, and the private folder."""

    def __init__(self, pipeline: Pipeline, settings: Settings, quotas: Quotas | None = None) -> None:
        self.pipeline, self.settings = pipeline, settings
        self.keys = KeyRing.read(settings.keys) if settings.keys is not None else None
        self.admission, self.quotas = Admission(settings), quotas or Quotas(settings.quota)
        reference = Reference.load(pipeline.folder)
        self.monitor = Monitor(pipeline.model.modalities, reference, settings.drift_window)
        counted = self.monitor.batched
        self.batcher = Batcher(pipeline.model, settings.rows, settings.seconds, settings.linger, counted)
        self.reading = threading.Semaphore(cores() + 1)
        self.workspace: Workspace = open_workspace(Path(tempfile.gettempdir()) / f"emofuse-serve-{_user()}")
        self.streams = Counter[str]()
        """Caller → streams that are open."""
        self._pool = ThreadPoolExecutor(settings.working, "emofuse-request")
        self.jobs: Jobs | None = None
        if settings.state is not None:
            self.jobs = Jobs(settings.state, settings, self.quotas, self._job, self._answered)
        self._gauges()

    def close(self) -> None:
        """End the threads and delete the private folder; jobs under way are put back."""
        if self.jobs is not None:
            self.jobs.close()
        self._pool.shutdown(cancel_futures=True)
        self.batcher.close()
        self.workspace.close()

    def _gauges(self) -> None:
        gauge, jobs = self.monitor.gauge, self.jobs
        gauge("places_taken", "Requests that are received, wait or are worked on.", lambda: self.admission.count)
        gauge("places", "Requests there is room for.", lambda: self.settings.places)
        gauge("waiting_segments", "Segments that wait for the model.", lambda: self.batcher.depth)
        gauge("streams", "Streams that are open.", lambda: self.streams.total())
        if jobs is not None:
            gauge("jobs_waiting", "Jobs that wait.", lambda: jobs.ledger.count("queued"))

    def caller(self, connection: HTTPConnection, key: str | None = None) -> Caller:
        """Whoever asks, by `Authorization: Bearer KEY` (or a key that came otherwise); without keys, by address.

        Raises RefusedError.
        """
        if self.keys is None:
            return Caller(connection.client.host if connection.client else "unknown")
        kind, _, value = connection.headers.get("authorization", "").partition(" ")
        given = key or (value.strip() if kind.lower() == "bearer" else "")
        caller = self.keys.caller(given)
        if caller is None:
            raise RefusedError(401, "unauthorized", "send a known key: Authorization: Bearer KEY")
        return caller

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """A private folder that is gone when the block ends."""
        place = self.workspace.folder / secrets.token_hex(16)
        place.mkdir(mode=0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    async def received(self, request: Request, folder: Path, characters: int | None = None) -> Received:
        """The body of a request, see `receive`."""
        limits = self.settings
        most = characters or limits.characters
        return await receive(request, folder, limits.most_bytes, most, limits.upload_seconds)

    async def fetched(self, options: Options, folder: Path) -> Part | None:
        """The file of an address, where one was sent and addresses are taken. Raises RefusedError."""
        if options.url is None:
            return None
        if not self.settings.urls:
            raise RefusedError(422, "invalid", "this service takes no addresses (--urls); upload the file")
        return await fetch(options.url, folder, self.settings.most_bytes, self.settings.upload_seconds)

    async def analyse(self, request: Request, caller: Caller) -> Answered:
        """The answer to one request. Raises RefusedError and EmofuseError; StoppedError once the caller has left."""
        with self.admission.place(caller.name):
            async with self.folder() as folder:
                received = await self.received(request, folder)
                options = read_options(received.fields)
                fetched = await self.fetched(options, folder)
                reading = received.files or fetched is not None
                wanted = (
                    await asyncio.to_thread(asked, received, options, fetched) if reading else asked(received, options)
                )
                work = self.work(wanted, caller)
                analysis = await self.answer(work, request)
                self._answered(analysis, work)
                return Answered(analysis, options, work, work.video.open("rb") if work.video is not None else None)

    def _answered(self, analysis: Analysis, work: Work) -> None:
        """Count an answer."""
        self.monitor.answered(analysis, work.seconds, work.stages.took, work.asked.language)

    def live(self) -> LiveSession:
        """A session whose answers go through the batcher, as those of requests do."""

        def analyse(inputs: dict[str, Any]) -> tuple[Analysis, list[Segment]]:
            asked = Asked(inputs)
            bounds = self.bounds(self.settings.minutes)
            return Work(self.pipeline, self.batcher, asked, bounds, reading=self.reading).run(), []

        return LiveSession(self.pipeline, self.settings.stream_window, analyse=analyse)

    def work(self, asked: Asked, caller: Caller) -> Work:
        """The work of one request that is answered at once."""
        minutes, quotas = self.settings.minutes, self.quotas
        limited = quotas.limited(caller)
        return Work(
            self.pipeline,
            self.batcher,
            asked,
            self.bounds(minutes),
            reading=self.reading,
            charge=(lambda seconds: quotas.charge(caller, seconds)) if limited else None,
            charge_more=(lambda seconds: quotas.add(caller, seconds)) if limited else None,
        )

    def _job(self, received: Received, row: Row) -> Work:
        """The work of one job; where its caller has no quota left, it waits in no queue: it fails."""
        caller = self.keys.named(row.owner) if self.keys is not None else Caller(row.owner)

        def charge(seconds: float) -> None:
            if not row.charged and self.jobs is not None:
                self.quotas.charge(caller, seconds)
                self.jobs.ledger.charged(row.id)

        return Work(
            self.pipeline,
            self.batcher,
            asked(received, read_options(received.fields)),
            self.bounds(self.settings.job_minutes),
            reading=self.reading,
            charge=charge,
            charge_more=lambda seconds: self.quotas.add(caller, seconds),
            patient=True,
        )

    def bounds(self, minutes: float) -> Bounds:
        """Of a clip of this length at most."""
        return Bounds(minutes, self.settings.frames_a_minute, self.settings.megapixels * 1e6)

    async def answer(self, work: Work, request: Request) -> Analysis:
        """Do the work in a thread, for as long as its caller is there and it takes no longer than it may."""
        running = asyncio.get_running_loop().run_in_executor(self._pool, work.run)
        leaving = asyncio.create_task(_left(request))
        try:
            await asyncio.wait(
                {running, leaving}, timeout=self.settings.answer_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if running.done():
                return running.result()
            if leaving.done():
                raise StoppedError
            raise RefusedError(504, "timeout", f"there was no answer in {self.settings.answer_seconds:g} s; send a job")
        finally:
            leaving.cancel()
            if not running.done():
                work.cancel()
                running.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await asyncio.wait({running}, timeout=GRACE)


async def _left(request: Request) -> None:
    """Wait until a request's caller has left; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _user() -> str:
    import getpass
    import os

    return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
