"""What the page's buttons do."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import soundfile

from emofuse.demo.feedback import Correction, save
from emofuse.demo.html import element
from emofuse.demo.job import Job, Request, Step, explained
from emofuse.demo.live import Live
from emofuse.demo.settings import Settings
from emofuse.demo.texts import say
from emofuse.demo.turns import Turns
from emofuse.demo.uploads import Uploads
from emofuse.errors import EmofuseError
from emofuse.media.transcript import read_text
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.pipeline import Pipeline
from emofuse.tasks import EMOTIONS

log = logging.getLogger("emofuse.demo")
BUSY = (gr.update(interactive=False), gr.update(interactive=True))
IDLE = BUSY[::-1]
"""What the buttons that start and cancel can do, while there is work and while there is none."""
PATIENCE = 4.0
"""Seconds a page may take to empty its box before the upload that lay there is deleted anyway."""


class Handlers:
    """The page's buttons around one pipeline; everything that a visit leaves goes when the visit ends."""

    def __init__(self, pipeline: Pipeline, settings: Settings, uploads: Uploads) -> None:
        self.pipeline, self.settings, self.uploads = pipeline, settings, uploads
        self.turns = Turns(settings.queue)
        self._jobs: dict[tuple[str, str], Job] = {}
        self._emptied: dict[tuple[str, str], threading.Event] = {}
        self._live: dict[str, Live] = {}

    # ---- answers ----

    def runner(self, kind: str) -> Callable[..., Iterator[Any]]:
        """What the button of one tab does: the status, the answer and the buttons, over and over."""
        if kind == "text":

            def words_only(words: str, request: gr.Request) -> Iterator[Any]:
                yield from (outputs for outputs, _ in self._run(Request(kind, words=words or ""), request))

            return words_only

        def run(sent: dict[str, Any] | None, words: str, blur: bool, request: gr.Request) -> Iterator[Any]:
            place, file = "image" if kind == "picture" else "source", self.uploads.path_of(sent)
            asked = Request(kind, words=words or "", blur=blur, **{place: file}) if file else Request(kind)
            for outputs, clear in self._run(asked, request):
                yield *outputs, gr.update(value=None) if clear else gr.skip()

        return run

    def _run(self, asked: Request, request: gr.Request) -> Iterator[tuple[tuple[Any, ...], bool]]:
        """((status, answer, go, stop, kept), whether to empty the box) as the work goes on.

        The box is emptied before the upload in it is deleted, and that happens however the work ends. What does not
        change is sent again, since HTML cannot be skipped: Gradio would take that for its contents.
        """
        session, began = _session(request), time.monotonic()
        job = Job(self.pipeline, asked, self.settings)
        if self._jobs.setdefault((session, asked.kind), job) is not job:
            return
        status, answer = _status("queued"), element("emofuse-empty")
        self._emptied[session, asked.kind] = threading.Event()
        try:
            yield (status, answer, *BUSY, None), False
            with self.turns.place(), self.turns.model(lambda: job.cancelled) as mine:
                if not mine:
                    yield (_status("cancelled_empty"), answer, *IDLE, None), False
                    return
                yield (_status("starting"), answer, *BUSY, None), False
                for step in job:
                    final, took = step.stage in ("finished", "cancelled"), time.monotonic() - began
                    if final:
                        yield (status, answer, *BUSY, None), asked.file is not None
                        self._let_go(session, asked)
                    status = _status_of(step, took, final and asked.file is not None)
                    answer = element("emofuse-answer", step.view, asked.kind) if step.view else answer
                    yield (status, answer, *(IDLE if final else BUSY), self._kept(step.analysis)), False
        except Exception as error:  # whatever it is, the visitor reads a sentence and whoever runs this the reason
            key, detail, values = explained(error, asked)
            if key == "error_internal":
                log.exception("an answer failed")
            yield (status, answer, *BUSY, None), asked.file is not None
            self._let_go(session, asked)
            yield (_error(key, detail, values), element("emofuse-empty"), *IDLE, None), False
        finally:
            job.cancel()
            self.uploads.release(session, asked.file)
            self._emptied.pop((session, asked.kind), None)
            self._jobs.pop((session, asked.kind), None)

    def _let_go(self, session: str, asked: Request) -> None:
        """Delete the upload once its box is empty, so that the page asks for nothing that is gone."""
        if asked.file is not None:
            self._emptied[session, asked.kind].wait(PATIENCE)
            self.uploads.release(session, asked.file)

    def _kept(self, analysis: Analysis | None) -> dict[str, Any] | None:
        """What a correction needs to know of an answer; nothing where corrections are not wanted."""
        if self.settings.feedback is None or analysis is None or analysis.overall is None:
            return None
        timed = analysis.duration is not None
        spans = [
            {"start": p.start if timed else None, "end": p.end if timed else None, "text": analysis.words_of(p)}
            for p in analysis.segments
        ]
        whole = " ".join(word.text for word in analysis.transcript or ())
        return {"whole": {"start": None, "end": None, "text": whole}, "segments": spans}

    def canceller(self, kind: str) -> Callable[[gr.Request], None]:
        """What the cancel button of one tab does."""

        def cancel(request: gr.Request) -> None:
            job = self._jobs.get((_session(request), kind))
            if job is not None:
                job.cancel()

        return cancel

    # ---- boxes ----

    def holder(self, kind: str) -> Callable[[dict[str, Any] | None, gr.Request], None]:
        """What happens when something is put into the box of one tab, or the box is emptied."""

        def hold(sent: dict[str, Any] | None, request: gr.Request) -> None:
            session, file = _session(request), self.uploads.path_of(sent)
            self.uploads.hold(session, file)
            emptied = self._emptied.get((session, kind))
            if file is None and emptied is not None:
                emptied.set()

        return hold

    def read_words(self, sent: dict[str, Any] | None, request: gr.Request) -> Any:
        """The words of a transcript's file; the file itself goes."""
        file = self.uploads.path_of(sent)
        if file is None:
            return gr.skip()
        try:
            return read_text(file)
        except EmofuseError as error:
            raise gr.Error(str(error).replace(file, Path(file).name), print_exception=False) from error
        finally:
            self.uploads.release(_session(request), file)

    def gone(self, request: gr.Request) -> None:
        """A page was closed: its work ends and its files go."""
        session = _session(request)
        for (whose, _), job in list(self._jobs.items()):
            if whose == session:
                job.cancel()
        for (whose, _), emptied in list(self._emptied.items()):
            if whose == session:
                emptied.set()
        self._live.pop(session, None)
        self.uploads.release_all(session)

    # ---- corrections ----

    def corrector(self, kind: str) -> Callable[..., Any]:
        """What the button that saves a correction does."""

        def correct(
            kept: dict[str, Any] | None, choice: str | None, consent: bool, chosen: float, media: str | None,
            request: gr.Request,
        ) -> Any:  # fmt: skip
            session = _session(request)
            try:
                return self._correct(kept, choice, consent, int(chosen), media, session)
            finally:
                self.uploads.release(session, media)

        correct.__name__ = f"correct_{kind}"
        return correct

    def _correct(
        self,
        kept: dict[str, Any] | None,
        choice: str | None,
        consent: bool,
        chosen: int,
        media: str | None,
        session: str,
    ) -> Any:
        problem = (
            "feedback_no_answer" if kept is None or self.settings.feedback is None
            else "feedback_no_choice" if choice not in EMOTIONS
            else "feedback_no_consent" if not consent
            else None
        )  # fmt: skip
        if problem is not None:
            return _status(problem), gr.skip()
        assert kept is not None and self.settings.feedback is not None and choice is not None
        span = kept["segments"][chosen] if 0 <= chosen < len(kept["segments"]) else kept["whole"]
        who = f"visitor-{hashlib.sha256(session.encode()).hexdigest()[:8]}"
        about = Correction(choice, Path(media) if media else None, span["text"] or None, who)
        if media:
            about = Correction(choice, Path(media), about.text, who, span["start"], span["end"])
        save(self.settings.feedback, about, say("en", "feedback_consent"))
        return _status("feedback_saved"), gr.update(value=False)

    # ---- live ----

    def hear(self, file: str | None, request: gr.Request) -> str:
        """The sound since last time: judged, and its file deleted."""
        session = _session(request)
        live = self._live_of(session)
        try:
            if file and Path(file).is_file():  # equal chunks are one file: of digital silence, another may be gone
                samples, rate = soundfile.read(file, dtype="int16", always_2d=True)
                live.hear(rate, samples)
        except (EmofuseError, soundfile.LibsndfileError) as error:
            log.warning("a moment of live sound was left out: %s", error)
        finally:
            self.uploads.release(session, file)
        return _live(live)

    def see(self, file: str | None, blur: bool, request: gr.Request) -> str:
        """The camera's picture: judged, and its file deleted."""
        session = _session(request)
        live = self._live_of(session)
        try:
            picture = cv2.imread(file) if file else None
        finally:
            self.uploads.release(session, file)
        if picture is not None:
            live.see(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), blur)
        return _live(live)

    def forget(self, request: gr.Request) -> str:
        """Start the live view over."""
        self._live.pop(_session(request), None)
        return element("emofuse-live")

    def _live_of(self, session: str) -> Live:
        return self._live.setdefault(session, Live(self.pipeline, self.settings))


def _live(live: Live) -> str:
    """What the live view shows last."""
    return element("emofuse-live", {"emotions": list(EMOTIONS)} | live.shown if live.shown else None)


def _session(request: gr.Request) -> str:
    return request.session_hash or ""


def _status(stage: str, **values: Any) -> str:
    return element("emofuse-status", {"stage": stage} | values, attribute="state")


def _status_of(step: Step, seconds: float, deleted: bool) -> str:
    stage = "cancelled_empty" if step.stage == "cancelled" and step.view is None else step.stage
    return _status(
        stage, done=step.done, total=step.total, count=step.count, seconds=f"{seconds:.1f}", deleted=deleted
    )  # fmt: skip


def _error(key: str, detail: str, values: dict[str, Any]) -> str:
    return element("emofuse-status", {"error": key, "detail": detail, "values": values}, attribute="state")
