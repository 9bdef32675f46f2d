"""Answers: what the buttons that start and cancel do, from a place in the queue to what is shown."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from emofuse.demo.budget import Budgets
from emofuse.demo.html import element
from emofuse.demo.job import Job, RefusedError, Request, Step, check, explained
from emofuse.demo.queueing import ModelQueue, Ticket
from emofuse.demo.settings import Settings
from emofuse.demo.texts import clock
from emofuse.demo.uploads import Uploads
from emofuse.demo.visitors import Visit, Visitors
from emofuse.errors import EmofuseError
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.pipeline import Pipeline

log = logging.getLogger("emofuse.demo")
BUSY = (gr.update(interactive=False), gr.update(interactive=True))
IDLE = BUSY[::-1]
"""What the buttons that start and cancel can do, while there is work and while there is none."""
PATIENCE = 4.0
"""Seconds a page may take to empty its box before the upload that lay there is deleted anyway."""
Shown = tuple[tuple[Any, ...], bool]
"""(status, answer, go, stop), and whether to empty the box."""


@dataclass(eq=False)
class Run:
    """One answer being made, or waited for."""

    asked: Request
    job: Job
    ticket: Ticket
    began: float = field(default_factory=time.monotonic)

    def cancel(self) -> None:
        """End it, whether it works or waits."""
        self.job.cancel()
        self.ticket.give_up()


class Answers:
    """The answers of everybody, one at a time; what a correction needs to know of them stays here, not in the page."""

    def __init__(self, pipeline: Pipeline, settings: Settings, uploads: Uploads, visitors: Visitors) -> None:
        self.pipeline, self.settings, self.uploads, self.visitors = pipeline, settings, uploads, visitors
        self.queue = ModelQueue(settings.queue, settings.each)
        self.budgets = Budgets(settings.visit_seconds)
        self._runs: dict[tuple[Visit, str], Run] = {}
        self._boxes: dict[tuple[Visit, str], threading.Event] = {}
        """Boxes that were asked to be empty; each is set once it is."""
        self._kept: dict[tuple[Visit, str], tuple[float, dict[str, Any]]] = {}

    def runner(self, kind: str) -> Callable[..., Iterator[Any]]:
        """What the button of one tab does: the status, the answer and the buttons, over and over."""
        if kind == "text":

            def words_only(words: Any, request: gr.Request) -> Iterator[Any]:
                yield from (outputs for outputs, _ in self._answer(kind, None, words, False, request))

            return named(words_only, f"run_{kind}")

        def run(sent: Any, words: Any, blur: Any, request: gr.Request) -> Iterator[Any]:
            for outputs, clear in self._answer(kind, sent, words, blur, request):
                yield *outputs, gr.update(value=None) if clear else gr.skip()

        return named(run, f"run_{kind}")

    def canceller(self, kind: str) -> Callable[[gr.Request], None]:
        """What the cancel button of one tab does."""

        def cancel(request: gr.Request) -> None:
            run = self._runs.get((self.visitors.visit(request), kind))
            if run is not None:
                run.cancel()

        return named(cancel, f"cancel_{kind}")

    def emptied(self, visit: Visit, kind: str) -> None:
        """A box was emptied."""
        box = self._boxes.get((visit, kind))
        if box is not None:
            box.set()

    def gone(self, visit: Visit) -> None:
        """A page was closed: its work ends, and what it was answered is forgotten."""
        for (whose, _), run in list(self._runs.items()):
            if whose == visit:
                run.cancel()
        for (whose, _), box in list(self._boxes.items()):
            if whose == visit:
                box.set()
        for key in [key for key in self._kept if key[0] == visit]:
            self._kept.pop(key, None)

    def forget(self, age: float) -> None:
        """Forget answers that are older than so many seconds."""
        for key, (since, _) in list(self._kept.items()):
            if time.monotonic() - since > age:
                self._kept.pop(key, None)

    def kept(self, visit: Visit, kind: str) -> dict[str, Any] | None:
        """What a correction needs to know of a page's last answer."""
        return self._kept.get((visit, kind), (0.0, None))[1]

    def spent_values(self) -> dict[str, str]:
        """What fills the blanks of the text that says that a visitor has had enough for now."""
        return {"valid": clock(self.settings.visit_seconds)}

    def _answer(self, kind: str, sent: Any, words: Any, blur: Any, request: gr.Request) -> Iterator[Shown]:
        """Refuse at once what cannot be answered, else wait and work."""
        visit = self.visitors.visit(request)
        asked = Request(kind)
        try:
            asked = self._asked(kind, sent, words, blur, visit)
            if self.budgets.left(visit.browser) <= 0:
                raise RefusedError("error_spent", **self.spent_values())
            check(asked, self.settings)
            run = Run(asked, self._job(asked, visit), self.queue.join(visit.browser))
        except EmofuseError as refused:
            yield from self._refuse(refused, asked, visit)
            return
        if self._runs.setdefault((visit, kind), run) is not run:
            run.ticket.leave()
            return
        self._kept.pop((visit, kind), None)
        with self.uploads.using(visit, asked.file):
            yield from self._run(run, visit)

    def _refuse(self, refused: EmofuseError, asked: Request, visit: Visit) -> Iterator[Shown]:
        """Say why; a file that could be taken later is kept."""
        key, detail, values = explained(refused, asked)
        shown = (error(key, detail, values), element("emofuse-empty"), *IDLE)
        if key not in ("error_full", "error_spent"):
            yield from self._let_go(asked, visit, shown)
        yield shown, False

    def _job(self, asked: Request, visit: Visit) -> Job:
        return Job(self.pipeline, asked, self.settings, self.budgets.left(visit.browser))

    def _run(self, run: Run, visit: Visit) -> Iterator[Shown]:
        """What is shown as the work goes on.

        The box is emptied before the upload in it is deleted, and that happens however the work ends; by then the
        model is the next one's. What does not change is sent again: Gradio would take a skipped HTML for its contents.
        """
        blank = element("emofuse-empty")
        try:
            place = -1
            for place in run.ticket.places():
                yield (status("queued", place=place) if place else status("starting"), blank, *BUSY), False
            if place != 0 or run.job.cancelled:
                yield (status("cancelled_empty"), blank, *IDLE), False
                return
            yield from self._work(run, visit)
        except Exception as failed:  # whatever it is, the visitor reads a sentence and whoever runs this the reason
            key, detail, values = explained(failed, run.asked)
            if key == "error_internal":
                log.error("an answer failed: %s", _where(failed))
            run.ticket.leave()
            yield from self._let_go(run.asked, visit, (status("starting"), blank, *BUSY))
            yield (error(key, detail, values), blank, *IDLE), False
        finally:
            run.job.cancel()
            run.ticket.leave()
            self._runs.pop((visit, run.asked.kind), None)
            self.uploads.release(visit, run.asked.file)

    def _work(self, run: Run, visit: Visit) -> Iterator[Shown]:
        answer, before, asked = element("emofuse-empty"), status("starting"), run.asked
        try:
            for step in run.job:
                final = step.stage in ("finished", "cancelled")
                if final:
                    run.ticket.leave()
                    yield from self._let_go(asked, visit, (before, answer, *BUSY))
                before = _status_of(step, time.monotonic() - run.began, final and asked.file is not None)
                answer = element("emofuse-answer", step.view, asked.kind) if step.view else answer
                self._keep(visit, asked.kind, step.analysis)
                yield (before, answer, *(IDLE if final else BUSY)), False
        finally:
            self.budgets.spend(visit.browser, run.job.spent)

    def _let_go(self, asked: Request, visit: Visit, shown: tuple[Any, ...]) -> Iterator[Shown]:
        """Delete the upload once its box is empty: nothing asks for it then."""
        if asked.file is not None:
            emptied = self._boxes.setdefault((visit, asked.kind), threading.Event())
            yield shown, True
            emptied.wait(PATIENCE)
            self._boxes.pop((visit, asked.kind), None)
            self.uploads.release(visit, asked.file)

    def _asked(self, kind: str, sent: Any, words: Any, blur: Any, visit: Visit) -> Request:
        """What to predict. Raises `RefusedError` for what no page of ours would send, or for a file that went."""
        if not (words is None or isinstance(words, str)) or not isinstance(blur, bool):
            raise RefusedError("error_request")
        file = self.uploads.find(visit, sent)
        if file is None and sent:
            raise RefusedError("error_gone")
        if file is None:
            return Request(kind, words=words if words and kind == "text" else "")
        place = "image" if kind == "picture" else "source"
        return Request(kind, words=words or "", blur=blur, **{place: str(file)})

    def _keep(self, visit: Visit, kind: str, analysis: Analysis | None) -> None:
        """Remember an answer where corrections are wanted."""
        if self.settings.feedback is None or analysis is None or analysis.overall is None:
            return
        timed = analysis.duration is not None
        spans = [
            {"start": p.start if timed else None, "end": p.end if timed else None, "text": analysis.words_of(p)}
            for p in analysis.segments
        ]
        whole = " ".join(word.text for word in analysis.transcript or ())
        about = {"whole": {"start": None, "end": None, "text": whole}, "segments": spans}
        self._kept[visit, kind] = (time.monotonic(), about)


def named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function under the name that Gradio calls it by."""
    function.__name__ = name
    return function


def status(stage: str, **values: Any) -> str:
    """The element that says where the work is."""
    return element("emofuse-status", {"stage": stage} | values, attribute="state")


def error(key: str, detail: str = "", values: dict[str, Any] | None = None) -> str:
    """The element that says what went wrong."""
    return element("emofuse-status", {"error": key, "detail": detail, "values": values or {}}, attribute="state")


def _status_of(step: Step, seconds: float, deleted: bool) -> str:
    stage = "cancelled_empty" if step.stage == "cancelled" and step.view is None else step.stage
    told: dict[str, Any] = {"done": step.done, "total": step.total, "count": step.count}
    return status(stage, **told, seconds=f"{seconds:.1f}", deleted=deleted)


def _where(failed: BaseException) -> str:
    """The kind of an error and the line that raised it: what it says may hold a visitor's words or paths."""
    trace = failed.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno}" if trace is not None else ""
    return f"{type(failed).__name__}{place}"
