"""Answers: what the buttons that start and cancel do, from a place in the queue to what is shown."""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from emofuse.demo.budget import Budgets
from emofuse.demo.job import Job, RefusedError, Request, Step, check, explained, request_for
from emofuse.demo.pace import Pace
from emofuse.demo.queueing import ModelQueue, Ticket
from emofuse.demo.settings import Settings
from emofuse.demo.texts import clock
from emofuse.demo.uploads import Uploads
from emofuse.demo.visitors import Visit, Visitors
from emofuse.errors import EmofuseError
from emofuse.media.transcript import join
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.pipeline import Pipeline

log = logging.getLogger("emofuse.demo")
_NUMBERS = itertools.count()
BUSY = (gr.update(interactive=False), gr.update(interactive=True))
IDLE = BUSY[::-1]
"""What the buttons that start and cancel can do, while there is work and while there is none."""
LATER = ("error_full", "error_spent")
"""Refusals for now: the file is kept for another try."""
Shown = tuple[Any, ...]
"""(status, answer, go, stop); an answer of None leaves what is shown."""


@dataclass(eq=False)
class Run:
    """One answer being made, or waited for, in one panel of a page."""

    panel: str
    asked: Request
    size: float
    job: Job
    ticket: Ticket
    name: str = field(default_factory=lambda: secrets.token_hex(6))
    """By which the page knows one answer from the next."""
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
        self.pace = Pace()
        self._runs: dict[tuple[Visit, str], Run] = {}
        self._kept: dict[tuple[Visit, str], tuple[float, dict[str, Any]]] = {}

    def runner(self, panel: str) -> Callable[..., Iterator[Any]]:
        """What the button of one panel does: the status, the answer and the buttons, over and over."""
        if panel == "text":

            def words_only(words: Any, request: gr.Request) -> Iterator[Shown]:
                yield from self._answer(panel, None, words, False, request)

            return named(words_only, f"run_{panel}")

        def run(sent: Any, words: Any, blur: Any, request: gr.Request) -> Iterator[Shown]:
            yield from self._answer(panel, sent, words, blur, request)

        return named(run, f"run_{panel}")

    def canceller(self, panel: str) -> Callable[[gr.Request], None]:
        """What the cancel button of one panel does."""

        def cancel(request: gr.Request) -> None:
            run = self._runs.get((self.visitors.visit(request), panel))
            if run is not None:
                run.cancel()

        return named(cancel, f"cancel_{panel}")

    def gone(self, visit: Visit) -> None:
        """A page was closed: its work ends, and what it was answered is forgotten."""
        for (whose, _), run in list(self._runs.items()):
            if whose == visit:
                run.cancel()
        for key in [key for key in self._kept if key[0] == visit]:
            self._kept.pop(key, None)

    def forget(self, age: float) -> None:
        """Forget answers that are older than so many seconds."""
        for key, (since, _) in list(self._kept.items()):
            if time.monotonic() - since > age:
                self._kept.pop(key, None)

    def kept(self, visit: Visit, panel: str) -> dict[str, Any] | None:
        """What a correction needs to know of a page's last answer."""
        return self._kept.get((visit, panel), (0.0, None))[1]

    def spent_values(self) -> dict[str, str]:
        """What fills the blanks of the text that says that a visitor has had enough for now."""
        return {"valid": clock(self.settings.visit_seconds)}

    def _answer(self, panel: str, sent: Any, words: Any, blur: Any, request: gr.Request) -> Iterator[Shown]:
        """Refuse at once what cannot be answered, else wait and work."""
        visit = self.visitors.visit(request)
        try:
            asked = self._asked(panel, sent, words, blur, visit)
            if self.budgets.left(visit.browser) <= 0:
                raise RefusedError("error_spent", **self.spent_values())
            size = check(asked, self.settings)
            ticket = self.queue.join(visit.browser, self.pace.expect(asked.kind, size))
            job = Job(self.pipeline, asked, self.settings, self.budgets.left(visit.browser))
            run = Run(panel, asked, size, job, ticket)
        except EmofuseError as refused:
            yield self._refuse(refused, sent, visit), None, *IDLE
            return
        if self._runs.setdefault((visit, panel), run) is not run:
            run.ticket.leave()
            return
        with self.uploads.using(visit, asked.file):
            yield from self._run(run, visit)

    def _refuse(self, refused: EmofuseError, sent: Any, visit: Visit) -> dict[str, Any]:
        """Say why; a file that could be taken later is kept for a while."""
        file = self.uploads.find(visit, sent)
        key, detail, values = explained(refused, Request("clip", source=str(file) if file else None))
        if key not in LATER:
            self.uploads.release(visit, sent)
        return error(key, detail, values) | {"kept": key in LATER}

    def _run(self, run: Run, visit: Visit) -> Iterator[Shown]:
        """What is shown as the work goes on.

        The upload goes however the work ends; by then the model is the next one's.
        """
        try:
            place = -1
            for place in run.ticket.places():
                told = status("queued", place=place, wait=run.ticket.wait()) if place else status("starting")
                yield told, None, *BUSY
            if place != 0 or run.job.cancelled:
                yield status("cancelled_empty"), None, *IDLE
                return
            yield from self._work(run, visit)
        except Exception as failed:  # whatever it is, the visitor reads a sentence and whoever runs this the reason
            key, detail, values = explained(failed, run.asked)
            if key == "error_internal":
                log.error("an answer failed: %s", _where(failed))
            run.ticket.leave()
            self.uploads.release(visit, run.asked.file)
            yield error(key, detail, values), None, *IDLE
        finally:
            run.job.cancel()
            run.ticket.leave()
            self._runs.pop((visit, run.panel), None)
            self.uploads.release(visit, run.asked.file)

    def _work(self, run: Run, visit: Visit) -> Iterator[Shown]:
        answer: dict[str, Any] | None = None
        try:
            for step in run.job:
                final = step.stage in ("finished", "cancelled")
                if final:
                    run.ticket.leave()
                    self.uploads.release(visit, run.asked.file)
                if step.view and answer is None:
                    self._kept.pop((visit, run.panel), None)
                answer = step.view | {"run": run.name} if step.view else answer
                self._keep(visit, run.panel, step.analysis)
                told = _status_of(step, time.monotonic() - run.began, final and run.asked.file is not None)
                yield told, answer, *(IDLE if final else BUSY)
                if step.stage == "finished":
                    self.pace.note(run.asked.kind, run.size, run.job.spent)
        finally:
            self.budgets.spend(visit.browser, run.job.spent)

    def _asked(self, panel: str, sent: Any, words: Any, blur: Any, visit: Visit) -> Request:
        """What to predict. Raises `RefusedError` for what no page of ours would send, or for a file that went."""
        if not (words is None or isinstance(words, str)) or not isinstance(blur, bool):
            raise RefusedError("error_request")
        file = self.uploads.find(visit, sent)
        if file is None and sent:
            raise RefusedError("error_gone")
        if file is None:
            return Request("text", words=words or "")
        return request_for(file, words or "", blur)

    def _keep(self, visit: Visit, panel: str, analysis: Analysis | None) -> None:
        """Remember an answer where corrections are wanted."""
        if self.settings.feedback is None or analysis is None or analysis.overall is None:
            return
        timed = analysis.duration is not None
        spans = [
            {"start": p.start if timed else None, "end": p.end if timed else None, "text": analysis.words_of(p)}
            for p in analysis.segments
        ]
        whole = join(analysis.transcript or ())
        about = {"whole": {"start": None, "end": None, "text": whole}, "segments": spans}
        self._kept[visit, panel] = (time.monotonic(), about)


def named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function under the name that Gradio calls it by."""
    function.__name__ = name
    return function


def status(stage: str, **values: Any) -> dict[str, Any]:
    """Where the work is, as the page draws it; numbered, so that the same said twice is news twice."""
    return {"stage": stage, "number": next(_NUMBERS)} | values


def error(key: str, detail: str = "", values: dict[str, Any] | None = None) -> dict[str, Any]:
    """What went wrong, as the page draws it."""
    return {"error": key, "detail": detail, "values": values or {}, "number": next(_NUMBERS)}


def _status_of(step: Step, seconds: float, deleted: bool) -> dict[str, Any]:
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
