"""Work that is waited for in a browser: the place in the queue, cancelling, leaving."""

from __future__ import annotations

import json
import re
import threading

import pytest
from playwright.sync_api import expect


@pytest.mark.slow
def test_whoever_waits_sees_the_place_and_about_how_long(visit, pipeline, monkeypatch, left_behind):
    go, run = threading.Event(), pipeline.run
    first, second = visit(), visit(viewport={"width": 390, "height": 844})
    for here in (first, second):
        here.open()
        here.choose("text")
        here.tab.locator("#emo-words-text textarea").fill("I am so happy for you. " * 40)
    first.answer("text")
    monkeypatch.setattr(pipeline, "run", lambda *given, **named: run(*given, **named) if go.wait(90) else None)
    first.tab.locator("#emo-go-text").click()
    first.tab.locator("#emo-status-text [data-stage=starting]").wait_for()
    second.tab.locator("#emo-go-text").click()
    waiting = second.tab.locator("#emo-status-text [data-stage=queued]")
    expect(waiting).to_have_text(re.compile(r"1 before you, (about \d+ (s|min)|any moment)"))
    go.set()
    for here in (first, second):
        here.tab.locator("#emo-status-text [data-stage=finished]").wait_for()
    assert left_behind() == []


class Held:
    """A real run of a clip that stands still after its first answer until it is let go."""

    def __init__(self, run, go: threading.Event) -> None:
        self.run, self.go, self.result = run, go, run.result

    def __iter__(self):
        for number, found in enumerate(self.run):
            if number:
                assert self.go.wait(90)
            yield found


SHOWN = "#emo-answer-file .emo"


@pytest.mark.slow
def test_cancel_gives_the_page_back(here, pipeline, clip, words, monkeypatch, left_behind):
    """A clip is cancelled when its first answer shows and the rest is still being read."""
    go, run = threading.Event(), pipeline.run
    monkeypatch.setattr(pipeline, "run", lambda *given, **named: Held(run(*given, **named), go))
    tab = here.tab
    here.choose("file")
    here.put(clip)
    here.unfold()
    tab.locator("#emo-words-file textarea").fill(words)
    before = tab.locator("#emo-answer-file .emo").get_attribute("data-run") if tab.locator(SHOWN).count() else None
    tab.locator("#emo-go-file").click()
    tab.locator("#emo-status-file .emo-status", has_text="1 segment so far").wait_for()
    tab.locator("#emo-answer-file [data-done=false] [data-testid=leading]").wait_for()
    assert tab.locator(SHOWN).get_attribute("data-run") != before
    assert tab.locator("#emo-answer-file [data-testid=download-json]").count() == 0
    assert tab.locator("#emo-go-file").is_hidden()
    tab.locator("#emo-stop-file").click()
    tab.wait_for_timeout(1500)  # the rest is predicted already: the server has to hear of it before it goes on
    go.set()
    tab.locator("#emo-status-file .emo-status", has_text="Cancelled").wait_for()
    tab.locator("#emo-go-file").wait_for()
    assert 1 <= len(json.loads(here.download("file", "json"))["segments"]) < 3
    assert left_behind() == []


def test_nothing_is_sent_before_it_is_asked_for_and_nothing_stays_when_the_page_is_closed(
    visit, pipeline, clip, monkeypatch, left_behind
):
    """A clip in the box is in the browser alone; what is being read goes with its page."""
    here = visit()
    tab = here.open()
    here.put(clip)
    tab.locator("#emo-in-file video").wait_for()
    assert left_behind(0) == []
    go, run = threading.Event(), pipeline.run
    monkeypatch.setattr(pipeline, "run", lambda *given, **named: Held(run(*given, **named), go))
    tab.locator("#emo-go-file").click()
    tab.locator("#emo-status-file [data-stage=starting], #emo-status-file [data-stage=reading]").first.wait_for()
    assert left_behind(0) == [clip.name]
    tab.goto("about:blank")
    go.set()
    assert left_behind() == []
    here.errors[:] = [told for told in here.errors if not re.search("AbortError|Connection errored out", told)]
