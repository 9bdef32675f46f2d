"""What the page's buttons do."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import gradio as gr
import soundfile

from emofuse.demo.feedback import Correction, save
from emofuse.demo.html import element
from emofuse.demo.job import Job, Request, Step, explained
from emofuse.demo.live import Live
from emofuse.demo.samples import sample
from emofuse.demo.settings import Settings
from emofuse.demo.texts import say
from emofuse.demo.turns import Turns
from emofuse.demo.uploads import Uploads, open_regular
from emofuse.demo.visitors import Visit, Visitors
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

    def __init__(self, pipeline: Pipeline, settings: Settings, uploads: Uploads, visitors: Visitors) -> None:
        self.pipeline, self.settings, self.uploads, self.visitors = pipeline, settings, uploads, visitors
        self.turns = Turns(settings.queue)
        self._jobs: dict[tuple[Visit, str], Job] = {}
        self._emptied: dict[tuple[Visit, str], threading.Event] = {}
        self._answers: dict[tuple[Visit, str], dict[str, Any]] = {}
        self._live: dict[Visit, Live] = {}

    def visit(self, request: gr.Request) -> Visit:
        """The page that a request comes from."""
        assert request.request is not None
        return Visit(self.visitors.browser_of(request.request) or "", request.session_hash or "")

    # ---- answers ----

    def runner(self, kind: str) -> Callable[..., Iterator[Any]]:
        """What the button of one tab does: the status, the answer and the buttons, over and over."""
        if kind == "text":

            def words_only(words: Any, request: gr.Request) -> Iterator[Any]:
                yield from (outputs for outputs, _ in self._run(kind, None, words, False, self.visit(request)))

            return _called(words_only, f"run_{kind}")

        def run(sent: Any, words: Any, blur: Any, request: gr.Request) -> Iterator[Any]:
            for outputs, clear in self._run(kind, sent, words, blur, self.visit(request)):
                yield *outputs, gr.update(value=None) if clear else gr.skip()

        return _called(run, f"run_{kind}")

    def _run(self, kind: str, sent: Any, words: Any, blur: Any, visit: Visit) -> Iterator[tuple[tuple[Any, ...], bool]]:
        """((status, answer, go, stop), whether to empty the box) as the work goes on.

        The box is emptied before the upload in it is deleted, and that happens however the work ends. What does not
        change is sent again, since HTML cannot be skipped: Gradio would take that for its contents.
        """
        began, status, answer = time.monotonic(), _status("queued"), element("emofuse-empty")
        asked = self._asked(kind, sent, words, blur, visit)
        if isinstance(asked, str):
            yield (_error(asked, "", {}), answer, *IDLE), False
            return
        job = Job(self.pipeline, asked, self.settings)
        if self._jobs.setdefault((visit, kind), job) is not job:
            return
        self._emptied[visit, kind] = threading.Event()
        self._answers.pop((visit, kind), None)
        try:
            yield (status, answer, *BUSY), False
            with self.turns.place(), self.turns.model(lambda: job.cancelled) as mine:
                if not mine:
                    yield (_status("cancelled_empty"), answer, *IDLE), False
                    return
                yield (_status("starting"), answer, *BUSY), False
                for step in job:
                    final, took = step.stage in ("finished", "cancelled"), time.monotonic() - began
                    if final:
                        yield (status, answer, *BUSY), asked.file is not None
                        self._let_go(visit, asked)
                    status = _status_of(step, took, final and asked.file is not None)
                    answer = element("emofuse-answer", step.view, asked.kind) if step.view else answer
                    self._keep(visit, kind, step.analysis)
                    yield (status, answer, *(IDLE if final else BUSY)), False
        except Exception as error:  # whatever it is, the visitor reads a sentence and whoever runs this the reason
            key, detail, values = explained(error, asked)
            if key == "error_internal":
                log.exception("an answer failed")
            yield (status, answer, *BUSY), asked.file is not None
            self._let_go(visit, asked)
            yield (_error(key, detail, values), element("emofuse-empty"), *IDLE), False
        finally:
            job.cancel()
            self.uploads.release(visit, asked.file)
            self._emptied.pop((visit, kind), None)
            self._jobs.pop((visit, kind), None)

    def _let_go(self, visit: Visit, asked: Request) -> None:
        """Delete the upload once its box is empty, so that the page asks for nothing that is gone."""
        if asked.file is not None:
            self._emptied[visit, asked.kind].wait(PATIENCE)
            self.uploads.release(visit, asked.file)

    def _asked(self, kind: str, sent: Any, words: Any, blur: Any, visit: Visit) -> Request | str:
        """What is to be judged; or the key of the error, where the page sends what no page of ours would."""
        if not (words is None or isinstance(words, str)) or not isinstance(blur, bool):
            return "error_request"
        file = self.uploads.find(visit, sent)
        if file is None:
            return "error_gone" if sent else Request(kind, words=words if words and kind == "text" else "")
        place = "image" if kind == "picture" else "source"
        return Request(kind, words=words or "", blur=blur, **{place: str(file)})

    def _keep(self, visit: Visit, kind: str, analysis: Analysis | None) -> None:
        """What a correction needs to know of an answer, here and not in the page; nothing where none are wanted."""
        if self.settings.feedback is None or analysis is None or analysis.overall is None:
            return
        timed = analysis.duration is not None
        spans = [
            {"start": p.start if timed else None, "end": p.end if timed else None, "text": analysis.words_of(p)}
            for p in analysis.segments
        ]
        whole = " ".join(word.text for word in analysis.transcript or ())
        self._answers[visit, kind] = {"whole": {"start": None, "end": None, "text": whole}, "segments": spans}

    def canceller(self, kind: str) -> Callable[[gr.Request], None]:
        """What the cancel button of one tab does."""

        def cancel(request: gr.Request) -> None:
            job = self._jobs.get((self.visit(request), kind))
            if job is not None:
                job.cancel()

        return _called(cancel, f"cancel_{kind}")

    # ---- boxes ----

    def holder(self, kind: str) -> Callable[[Any, gr.Request], None]:
        """What happens when something is put into the box of one tab, or the box is emptied."""

        def hold(sent: Any, request: gr.Request) -> None:
            visit = self.visit(request)
            self.uploads.hold(visit, sent)
            emptied = self._emptied.get((visit, kind))
            if not sent and emptied is not None:
                emptied.set()

        return _called(hold, f"hold_{kind}")

    def read_words(self, sent: Any, request: gr.Request) -> Any:
        """The words of a transcript's file; the file itself goes."""
        visit = self.visit(request)
        file = self.uploads.find(visit, sent)
        if file is None:
            return gr.skip()
        try:
            return read_text(file)
        except EmofuseError as error:
            raise gr.Error(str(error).replace(str(file), file.name), print_exception=False) from error
        finally:
            self.uploads.release(visit, sent)

    def example(self, kind: str) -> Callable[[gr.Request], Any]:
        """What the button does that fills the boxes with what ships with the package."""

        def fill(request: gr.Request) -> Any:
            file, words = sample(kind, self.uploads.place())
            if file is not None:
                self.uploads.add(self.visit(request).browser, file)
            return None if file is None else str(file), words

        return _called(fill, f"example_{kind}")

    def gone(self, request: gr.Request) -> None:
        """A page was closed: its work ends and its files go."""
        visit = self.visit(request)
        for (whose, _), job in list(self._jobs.items()):
            if whose == visit:
                job.cancel()
        for (whose, _), emptied in list(self._emptied.items()):
            if whose == visit:
                emptied.set()
        for whose in [key for key in self._answers if key[0] == visit]:
            self._answers.pop(whose, None)
        self._live.pop(visit, None)
        self.uploads.release_all(visit)

    # ---- corrections ----

    def corrector(self, kind: str) -> Callable[..., Any]:
        """What the button that saves a correction does."""

        def correct(choice: Any, consent: Any, chosen: Any, media: Any, request: gr.Request) -> Any:
            visit = self.visit(request)
            try:
                problem = self._correct(kind, choice, consent, chosen, media, visit)
                return _status(problem or "feedback_saved"), gr.skip() if problem else gr.update(value=False)
            finally:
                self.uploads.release(visit, media)

        return _called(correct, f"correct_{kind}")

    def _correct(self, kind: str, choice: Any, consent: Any, chosen: Any, media: Any, visit: Visit) -> str | None:
        """Write a correction; or the key of what is wrong with it."""
        answer, folder = self._answers.get((visit, kind)), self.settings.feedback
        if answer is None or folder is None:
            return "feedback_no_answer"
        if choice not in EMOTIONS:
            return "feedback_no_choice"
        if consent is not True:
            return "feedback_no_consent"
        if not isinstance(chosen, int) or isinstance(chosen, bool) or not -1 <= chosen < len(answer["segments"]):
            return "feedback_no_segment"
        file = self.uploads.find(visit, media)
        if media and file is None:
            return "feedback_no_media"
        span = answer["whole"] if chosen < 0 else answer["segments"][chosen]
        if file is None and not span["text"]:
            return "feedback_no_media"
        who = f"visitor-{hashlib.sha256(visit.browser.encode()).hexdigest()[:8]}"
        times = (span["start"], span["end"]) if file is not None else (None, None)
        save(folder, Correction(choice, file, span["text"] or None, who, *times), say("en", "feedback_consent"))
        return None

    # ---- live ----

    def hear(self, sent: Any, request: gr.Request) -> str:
        """The sound since last time: judged, and its file deleted."""
        visit = self.visit(request)
        live, file = self._live_of(visit), self.uploads.find(visit, sent)
        try:
            if file is not None:
                with open_regular(file) as opened:
                    samples, rate = soundfile.read(opened, dtype="int16", always_2d=True)
                live.hear(rate, samples)
        except (EmofuseError, soundfile.LibsndfileError, OSError) as error:
            log.warning("a moment of live sound was left out: %s", error)
        finally:
            self.uploads.release(visit, sent)
        return _live(live)

    def see(self, sent: Any, blur: Any, request: gr.Request) -> str:
        """The camera's picture: judged, and its file deleted."""
        visit = self.visit(request)
        live, file = self._live_of(visit), self.uploads.find(visit, sent)
        try:
            picture = cv2.imread(str(file)) if file is not None else None
        finally:
            self.uploads.release(visit, sent)
        if picture is not None:
            live.see(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), blur is not False)
        return _live(live)

    def forget(self, request: gr.Request) -> str:
        """Start the live view over."""
        self._live.pop(self.visit(request), None)
        return element("emofuse-live")

    def _live_of(self, visit: Visit) -> Live:
        return self._live.setdefault(visit, Live(self.pipeline, self.settings))


def _called(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function under the name that Gradio calls it by."""
    function.__name__ = name
    return function


def _live(live: Live) -> str:
    """What the live view shows last."""
    return element("emofuse-live", {"emotions": list(EMOTIONS)} | live.shown if live.shown else None)


def _status(stage: str, **values: Any) -> str:
    return element("emofuse-status", {"stage": stage} | values, attribute="state")


def _status_of(step: Step, seconds: float, deleted: bool) -> str:
    stage = "cancelled_empty" if step.stage == "cancelled" and step.view is None else step.stage
    return _status(
        stage, done=step.done, total=step.total, count=step.count, seconds=f"{seconds:.1f}", deleted=deleted
    )  # fmt: skip


def _error(key: str, detail: str, values: dict[str, Any]) -> str:
    return element("emofuse-status", {"error": key, "detail": detail, "values": values}, attribute="state")
