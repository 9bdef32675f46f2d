"""Handlers: what the page's files of words, corrections and live view do; answers are made next door."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import soundfile

from emofuse.demo.answers import Answers, error, named, status
from emofuse.demo.feedback import Correction, save
from emofuse.demo.live import Live
from emofuse.demo.settings import Settings
from emofuse.demo.texts import say
from emofuse.demo.uploads import Uploads, open_regular
from emofuse.demo.visitors import Visit, Visitors
from emofuse.errors import EmofuseError
from emofuse.media.formats import A_TRANSCRIPT
from emofuse.media.image import read_image
from emofuse.media.transcript import read_text
from emofuse.pipeline.pipeline import Pipeline
from emofuse.tasks import EMOTIONS

log = logging.getLogger("emofuse.demo")


class Handlers:
    """The page's buttons around one pipeline; everything that a visit leaves goes when the visit ends."""

    def __init__(self, pipeline: Pipeline, settings: Settings, uploads: Uploads, visitors: Visitors) -> None:
        self.pipeline, self.settings, self.uploads, self.visitors = pipeline, settings, uploads, visitors
        self.answers = Answers(pipeline, settings, uploads, visitors)
        self._live: dict[Visit, Live] = {}

    def read_words(self, sent: Any, request: gr.Request) -> Any:
        """The words of a transcript's file; the file itself goes."""
        visit = self.visitors.visit(request)
        file = self.uploads.find(visit, sent)
        if file is None:
            return gr.skip()
        try:
            return read_text(file, A_TRANSCRIPT)
        except EmofuseError as error:
            raise gr.Error(str(error).replace(str(file), file.name), print_exception=False) from error
        finally:
            self.uploads.release(visit, sent)

    def gone(self, request: gr.Request) -> None:
        """A page was closed: its work ends, and the files of that work go."""
        visit = self.visitors.visit(request)
        self.answers.gone(visit)
        self._live.pop(visit, None)

    def tidy(self) -> None:
        """Delete what visitors who never signed off have left; called over and over."""
        self.uploads.sweep(self.settings.orphaned)
        self.answers.forget(self.settings.held)
        for visit, live in list(self._live.items()):
            if live.idle > self.settings.live_limit:
                self._live.pop(visit, None)

    # ---- corrections ----

    def corrector(self, panel: str) -> Callable[..., Any]:
        """What the button that saves a correction does."""

        def correct(choice: Any, consent: Any, chosen: Any, media: Any, request: gr.Request) -> Any:
            visit = self.visitors.visit(request)
            try:
                problem = self._correct(panel, choice, consent, chosen, media, visit)
                return status(problem or "feedback_saved"), gr.skip() if problem else gr.update(value=False)
            finally:
                self.uploads.release(visit, media)

        return named(correct, f"correct_{panel}")

    def _correct(self, panel: str, choice: Any, consent: Any, chosen: Any, media: Any, visit: Visit) -> str | None:
        """Write a correction; or the key of what is wrong with it."""
        answer, folder = self.answers.kept(visit, panel), self.settings.feedback
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

    def turn(self, sound: Any, picture: Any, blur: Any, request: gr.Request) -> dict[str, Any] | None:
        """The sound and the picture since last time: predicted, and their files deleted."""
        visit = self.visitors.visit(request)
        live = self._live_of(visit)
        if live.age > self.settings.live_limit:
            self._live.pop(visit, None)
            return (live.shown or {}) | {"emotions": list(EMOTIONS), "ended": True}
        heard, seen = self.uploads.find(visit, sound), self.uploads.find(visit, picture)
        try:
            if seen is not None and self._may(visit):
                self._spend(visit, lambda: live.see(read_image(seen), blur is not False, without_sound=heard is None))
            if heard is not None and self._may(visit):
                self._hear(live, heard, visit)
        except (EmofuseError, soundfile.LibsndfileError, OSError) as failed:
            log.warning("a live moment was left out: %s", type(failed).__name__)
        finally:
            self.uploads.release(visit, sound)
            self.uploads.release(visit, picture)
        return self._shown(live, visit)

    def _hear(self, live: Live, heard: Path, visit: Visit) -> None:
        with open_regular(heard) as opened, soundfile.SoundFile(opened) as sound:
            longest = round((self.settings.live_window + 1) * sound.samplerate)
            samples = sound.read(longest, dtype="int16", always_2d=True)
            self._spend(visit, lambda: live.hear(sound.samplerate, samples))

    def _may(self, visit: Visit) -> bool:
        return self.answers.budgets.left(visit.browser) > 0

    def _spend(self, visit: Visit, work: Callable[[], object]) -> None:
        """Do some work on a visitor's account."""
        began = time.monotonic()
        try:
            work()
        finally:
            self.answers.budgets.spend(visit.browser, time.monotonic() - began)

    def _shown(self, live: Live, visit: Visit) -> dict[str, Any] | None:
        """What the live view shows last."""
        if not self._may(visit):
            return error("error_spent", values=self.answers.spent_values())
        return {"emotions": list(EMOTIONS)} | live.shown if live.shown else None

    def forget(self, request: gr.Request) -> None:
        """Start the live view over."""
        self._live.pop(self.visitors.visit(request), None)

    def _live_of(self, visit: Visit) -> Live:
        return self._live.setdefault(visit, Live(self.pipeline, self.settings))
