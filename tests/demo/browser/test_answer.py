"""What the page answers in a browser: headline, bars, timeline, words, notes."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from emofuse.notes import Note
from emofuse.tasks import EMOTIONS


@pytest.mark.slow
def test_a_clip_with_its_words(here, pipeline, clip, left_behind, headline):
    tab = here.tab
    here.choose("file")
    here.put(clip, clip.with_suffix(".srt"))
    tab.locator("#emo-in-file video").wait_for()
    tab.wait_for_function("document.querySelector('#emo-words-file textarea')?.value.includes('-->')")
    answer = here.answer("file")

    called = pipeline(clip, transcript=clip.with_suffix(".srt"))
    expected = replace(called, source=clip.name)
    assert here.download("file", "json") == expected.to_text(".json")
    assert here.download("file", "csv") == expected.to_text(".csv")
    assert here.download("file", "srt") == expected.to_text(".srt")
    assert json.loads(here.download("file", "json"))["segments"] == called.to_dict()["segments"]
    assert left_behind() == []
    expect(tab.locator("#emo-status-file .emo-status")).to_contain_text("deleted")

    name, share = called.overall.top
    expect(answer.locator("[data-testid=leading]")).to_have_text(headline(called.overall))
    expect(answer.locator(".emo-head")).to_contain_text(f"{share:.0%}")
    expect(answer.locator(".emo-head")).to_contain_text(name)
    bars = answer.locator("button.emo-bar")
    expect(bars).to_have_count(7)
    ordered = sorted(called.overall.emotions, key=lambda name: -called.overall.emotions[name])
    assert [bar.get_attribute("data-emotion") for bar in bars.all()] == ordered
    tab.locator("#emo-answer-file video").evaluate("video => { video.currentTime = 1.0 }")
    expect(answer.locator(".emo-name").first).to_contain_text("Person 1")
    lines = answer.locator(".emo-lane path.emo-line")
    assert {line.get_attribute("class").split("-")[-1] for line in lines.all()} == {"fused", "text", "speech", "face"}
    labels = set(answer.locator(".emo-lane .emo-in").all_text_contents())
    assert labels and all(any(name.startswith(label.rstrip(".")) for name in EMOTIONS) for label in labels)
    _timeline(tab, answer, called, headline)
    _words_and_bars(answer, called)


def _timeline(tab, answer, called, headline) -> None:
    """Hovering says what is there, clicking and the keys jump to it, and the player with them."""
    lane = answer.locator("[data-testid=timeline]")
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    tab.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 80)
    tip = answer.locator(".emo-tip")
    tip.wait_for(state="visible")
    expect(tip).to_contain_text("We made it all the way to space,")
    lane.click(position={"x": box["width"] * 0.5, "y": 80})
    expect(answer.locator(".emo-where")).to_contain_text("Segment 2 of 3")
    expect(answer.locator("[data-testid=leading]")).to_have_text(headline(called.segments[1]))
    player = answer.locator("video")
    assert called.segments[1].start <= player.evaluate("(it) => it.currentTime") <= called.segments[1].end
    lane.press("ArrowRight")
    expect(answer.locator(".emo-where")).to_contain_text("Segment 3 of 3")
    assert player.evaluate("(it) => it.currentTime") == pytest.approx(called.segments[2].start, abs=0.05)
    expect(lane).to_have_attribute("aria-valuetext", re.compile("0:04.0"))
    lane.press("Escape")
    expect(answer.locator(".emo-where")).to_have_count(0)


def _words_and_bars(answer, called) -> None:
    runs = answer.locator(".emo-run")
    expect(runs.locator(".emo-said")).to_have_text([called.words_of(p) for p in called.segments])
    expect(runs.locator(".emo-run-name")).to_have_text([p.top[0] for p in called.segments])
    runs.nth(0).click()
    expect(answer.locator(".emo-where")).to_contain_text("Segment 1 of 3")
    bar = answer.locator("[data-emotion=fear]")
    bar.press("Enter")
    expect(bar).to_have_attribute("aria-pressed", "true")
    expect(answer.locator(".emo-legend .emo-tag")).to_have_text("fear")
    expect(answer.locator(".emo-share")).to_have_count(5)
    shares = " ".join(answer.locator(".emo-share").all_inner_texts())
    assert all(name in shares for name in ("words", "voice", "face"))


def test_words_alone_and_words_that_look_like_code(here, pipeline):
    tab = here.tab
    here.choose("text")
    tab.locator("#emo-words-text textarea").fill("")
    tab.locator("#emo-go-text").click()
    expect(tab.locator("#emo-status-text [role=alert]")).to_contain_text("nothing to read yet")
    text = "I am so happy! <img src=x onerror=\"alert('1')\"> {{#each}} ${this} is sad."
    tab.locator("#emo-words-text textarea").fill(text)
    answer = here.answer("text")
    assert json.loads(here.download("text", "json")) == pipeline(text=text).to_dict()
    expect(answer.locator(".emo-words")).to_contain_text("onerror")
    assert answer.locator(".emo-words img").count() == 0


def test_a_text_has_no_seconds_and_no_chart_of_one_row(here, pipeline):
    """Sentences are labelled with their emotion; neither an axis of seconds nor what a single modality contributed."""
    tab = here.tab
    here.choose("text")
    answer = here.answer("text", "#emo-examples-text .emo-example >> nth=2")
    called = pipeline(text=tab.locator("#emo-words-text textarea").input_value())
    expect(answer.locator(".emo-run-name")).to_have_text([p.top[0] for p in called.segments])
    answer.locator(".emo-run").nth(1).click()
    expect(answer.locator(".emo-where")).to_have_text(f"Segment 2 of {len(called.segments)}")
    for chart in ("[data-testid=timeline]", ".emo-share", ".emo-axis"):
        expect(answer.locator(chart)).to_have_count(0)
    assert "0:0" not in answer.inner_text()


def test_a_picture_with_blurred_faces(here, samples, left_behind):
    tab = here.tab
    here.choose("file")
    here.put(samples / "face.jpg")
    tab.locator("#emo-in-file img").wait_for()
    here.unfold()
    tab.locator("#emo-blur-file input").check()
    answer = here.answer("file")
    expect(answer.locator(".emo-still")).to_have_attribute("src", re.compile("^data:image/jpeg"))
    expect(answer.locator(".emo-boxes rect")).to_have_count(1)
    assert answer.locator("video").count() == 0
    expect(answer.locator("[data-testid=notes]")).to_contain_text("speech is absent")
    assert not answer.locator("[data-testid=notes] li").first.is_visible()
    assert left_behind() == []
    tab.locator("#emo-blur-file input").uncheck()


@pytest.mark.slow
def test_notes_stand_beside_the_headline_in_plain_words(visit, clip, tmp_path):
    """At 390 px: a clip that was cut off says where, one without words asks for them and leads to the field."""
    here = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    tab = here.open()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: int(clip.stat().st_size * 0.6)])
    here.put(cut)
    answer = here.answer("file")
    hints = answer.locator("[data-testid=hints]")
    expect(hints.locator("[data-code=cut_off]")).to_have_text(re.compile(r"^The file was cut off at 0:0\d\.$"))
    asked = hints.locator("[data-code=no_transcript], [data-code=no_words_understood], [data-code=words_doubtful]")
    asked.locator("button").click()
    expect(tab.locator("#emo-words-file textarea")).to_be_focused()
    head = answer.locator(".emo-head").bounding_box()
    assert head["y"] < hints.bounding_box()["y"] < head["y"] + head["height"]


class Answered:
    """A real run whose analysis is changed before it is shown."""

    def __init__(self, run, change) -> None:
        self.run, self.change = run, change

    def __iter__(self):
        return iter(self.run)

    def result(self):
        found = self.run.result()
        segments = [self.change(p) for p in found.segments]
        overall = self.change(found.overall) if found.overall else None
        notes = (*found.notes, Note("unfamiliar", modality="text", segments=1, total=1, why="clipped"))
        return replace(found, segments=segments, overall=overall, notes=notes)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_headline_is_the_set_and_says_what_is_unlike_what_was_learnt(visit, pipeline, monkeypatch, width):
    """Two emotions of a set make the headline; intensity that was not learnt is not shown; the strange is told."""
    run = pipeline.run

    def changed(p):
        row = dict.fromkeys(EMOTIONS, 0.02) | {"anger": 0.5, "neutral": 0.4}
        return replace(p, emotions=row, sets={"emotion": ("anger", "neutral")}, intensity=None, intensity_level=None)

    monkeypatch.setattr(pipeline, "run", lambda *given, **named: Answered(run(*given, **named), changed))
    here = visit(viewport={"width": width, "height": 844}, has_touch=width < 500, is_mobile=width < 500)
    tab = here.open()
    here.choose("text")
    tab.locator("#emo-words-text textarea").fill("Take it away")
    answer = here.answer("text")
    expect(answer.locator("[data-testid=leading]")).to_have_text("anger or neutral")
    expect(answer.locator(".emo-head")).to_contain_text("most likely anger, 50%")
    expect(answer.locator(".emo-head")).to_contain_text("90% of such cases")
    expect(answer.locator("[data-gauge=intensity]")).to_have_count(0)
    expect(answer.locator(".emo-unlike")).to_contain_text("unlike what the model learnt (clipped)")
    expect(answer.locator("button.emo-bar, .emo-bar").first).to_contain_text("anger")
    tab.locator("#emo-language").click()
    expect(answer.locator("[data-testid=leading]")).to_have_text("愤怒或中性")
    expect(answer.locator(".emo-unlike")).to_contain_text("与模型学过的不相似（声音削波）")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
