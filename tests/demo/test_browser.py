"""The page in a real browser: what people do with it, and what must not happen while they do."""

from __future__ import annotations

import csv
import json
import re
import threading
import time
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from emofuse.corpora.manifest.reader import check_manifest


def left_behind(served, patience: float = 90.0) -> list[str]:
    """Files of uploads that are still on the server once it has had time to tidy up after other visits."""
    until = time.monotonic() + patience
    while files := [path.name for path in served.uploads.folder.rglob("*") if path.is_file()]:
        if time.monotonic() > until:
            break
        time.sleep(0.2)
    return files


@pytest.mark.slow
def test_a_clip_with_its_words(here, served, pipeline, clip):
    tab = here.tab
    here.choose("clip")
    tab.locator("#emo-in-clip input[type=file]").set_input_files(clip)
    tab.locator("#emo-in-clip video").wait_for()
    button = tab.locator("#emo-file-clip")
    button.locator("xpath=preceding-sibling::input[@type='file']").set_input_files(clip.with_suffix(".srt"))
    tab.wait_for_function("document.querySelector('#emo-words-clip textarea').value.includes('-->')")
    answer = here.answer("clip")

    called = pipeline(clip, transcript=clip.with_suffix(".srt"))
    expected = replace(called, source=clip.name)
    assert here.download("clip", "json") == expected.to_text(".json")
    assert here.download("clip", "csv") == expected.to_text(".csv")
    assert here.download("clip", "srt") == expected.to_text(".srt")
    assert json.loads(here.download("clip", "json"))["segments"] == called.to_dict()["segments"]
    assert left_behind(served) == []
    expect(tab.locator("#emo-status-clip .emo-status")).to_contain_text("deleted")

    name, share = called.overall.top
    expect(answer.locator("[data-testid=leading]")).to_have_text(name)
    expect(answer.locator(".emo-head")).to_contain_text(f"{share:.0%}")
    expect(answer.locator("button.emo-bar")).to_have_count(7)
    tab.locator("#emo-answer-clip video").evaluate("video => { video.currentTime = 1.0 }")
    expect(answer.locator(".emo-name").first).to_contain_text("Person 1")
    lines = answer.locator(".emo-lane path.emo-line")
    assert {line.get_attribute("class").split("-")[-1] for line in lines.all()} == {"fused", "text", "speech", "face"}
    _timeline(tab, answer, called)
    _words_and_bars(answer, called)


def _timeline(tab, answer, called) -> None:
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
    expect(answer.locator("[data-testid=leading]")).to_have_text(called.segments[1].top[0])
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
    expect(runs).to_have_text([called.words_of(p) for p in called.segments])
    runs.nth(0).click()
    expect(answer.locator(".emo-where")).to_contain_text("Segment 1 of 3")
    bar = answer.locator("[data-emotion=fear]")
    bar.press("Enter")
    expect(bar).to_have_attribute("aria-pressed", "true")
    expect(answer.locator(".emo-legend .emo-tag")).to_have_text("fear")
    expect(answer.locator(".emo-share")).to_have_count(5)
    shares = " ".join(answer.locator(".emo-share").all_inner_texts())
    assert all(name in shares for name in ("words", "voice", "face"))


def test_a_broken_file_is_a_friendly_sentence_and_the_page_lives_on(here, served, tmp_path):
    broken = tmp_path / "holiday.mp4"
    broken.write_bytes(b"these are not moving pictures" * 100)
    tab = here.tab
    here.choose("clip")
    tab.locator("#emo-in-clip input[type=file]").set_input_files(broken)
    tab.locator("#emo-in-clip video").wait_for(state="attached")
    tab.locator("#emo-go-clip").click()
    alert = tab.locator("#emo-status-clip [role=alert]")
    alert.wait_for()
    said = alert.inner_text()
    assert "This cannot be read." in said and "holiday.mp4" in said and "Try another file" in said
    assert str(served.uploads.folder) not in said and "Traceback" not in said
    assert left_behind(served) == []
    here.choose("text")
    tab.locator("#emo-example-text-1").click()
    tab.wait_for_function("document.querySelector('#emo-words-text textarea').value.length > 5")
    here.answer("text")


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


def test_a_picture_with_blurred_faces(here, served, samples):
    tab = here.tab
    here.choose("picture")
    tab.locator("#emo-in-picture input[type=file]").set_input_files(samples / "face.jpg")
    tab.locator("#emo-in-picture img").wait_for()
    tab.locator("#emo-blur-picture input").check()
    answer = here.answer("picture")
    expect(answer.locator(".emo-still")).to_have_attribute("src", re.compile("^data:image/jpeg"))
    expect(answer.locator(".emo-boxes rect")).to_have_count(1)
    assert answer.locator("video").count() == 0
    expect(answer.locator("[data-testid=notes]")).to_contain_text("speech is absent")
    assert left_behind(served) == []


SLOW_UPLOADS = """() => {
  window.fetched = window.fetch;
  window.fetch = async (...call) => {
    if (call[1]?.method === "POST" && String(call[0]).includes("/upload"))
      await new Promise((done) => setTimeout(done, 1500));
    return window.fetched(...call);
  };
}"""


def test_a_recorded_voice(here, served):
    """Pressing the button while it records ends the recording, and waits until it has come over a slow line."""
    tab = here.tab
    here.choose("speech")
    tab.evaluate(SLOW_UPLOADS)
    tab.locator("#emo-in-speech [data-testid=source-select] button").nth(1).click()
    tab.locator("#emo-in-speech button.record-button").click()
    tab.wait_for_function(
        "[...document.querySelectorAll('#emo-in-speech time')].some((it) => /^0:(0[4-9]|[1-5])/.test(it.innerText))"
    )
    answer = here.answer("speech")
    tab.evaluate("() => { window.fetch = window.fetched }")
    found = json.loads(here.download("speech", "json"))
    assert found["overall"]["present"] == ["speech"] and found["duration"] > 2
    expect(answer.locator("audio")).to_have_count(1)
    assert left_behind(served) == []


def test_live_microphone_rolls_and_says_how_late_it_is(here, served):
    tab = here.tab
    here.choose("live")
    tab.locator("#emo-live-sound button.record-button").click()
    tab.locator("#emo-live [data-testid=live-leading]").wait_for()
    expect(tab.locator("#emo-live [data-testid=latency]")).to_contain_text("ms")
    tab.wait_for_function(
        "document.querySelector('#emo-live emofuse-live').view.points.filter((p) => p.emotions).length > 2"
    )
    tab.locator("#emo-live path.emo-line-speech").first.wait_for(state="attached")
    tab.locator("#emo-live-sound button.stop-button").click()


SLOW_WORKERS = """
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (...said) { setTimeout(() => post.apply(this, said), 1500) };
"""


@pytest.mark.slow
def test_the_live_microphone_waits_for_its_encoder(visit):
    """Who presses record before the encoder's worker has answered is recorded all the same, once it has."""
    here = visit()
    here.context.add_init_script(SLOW_WORKERS)
    tab = here.open()
    here.choose("live")
    tab.locator("#emo-live-sound button.record-button").click()
    tab.locator("#emo-live [data-testid=live-leading]").wait_for()
    tab.locator("#emo-live-sound button.stop-button").click()


@pytest.mark.slow
def test_chinese_in_place_and_from_the_start(visit, pipeline):
    here = visit(locale="zh-CN")
    tab = here.open()
    tab.wait_for_function("document.querySelector('#emo-go-clip').innerText.includes('读取情绪')")
    expect(tab.locator("html")).to_have_attribute("lang", "zh-CN")
    for kind, said in (("clip", "视频"), ("speech", "语音"), ("live", "实时")):
        expect(tab.locator(f"#emo-tab-{kind}-button")).to_have_text(said)
    here.choose("text")
    tab.locator("#emo-words-text textarea").fill("I am so happy!")
    answer = here.answer("text")
    top = pipeline(text="I am so happy!").overall.top[0]
    expect(answer.locator("[data-testid=leading]")).not_to_have_text(top)
    expect(answer.locator("[data-testid=notes]")).to_contain_text("缺少声音")
    tab.locator("#emo-language").click()
    tab.wait_for_function("document.querySelector('#emo-go-text').innerText.includes('Read the emotions')")
    expect(answer.locator("[data-testid=leading]")).to_have_text(top)
    expect(answer.locator("[data-testid=notes]")).to_contain_text("speech is absent")


@pytest.mark.slow
def test_dark_on_a_phone_by_keyboard(visit):
    here = visit(viewport={"width": 390, "height": 844}, color_scheme="light", has_touch=True, is_mobile=True)
    tab = here.open()
    tab.locator("#emo-theme").press("Enter")
    tab.wait_for_function("document.body.classList.contains('dark')")
    assert tab.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    tab.reload()
    tab.wait_for_selector("emofuse-empty .emo-blank")
    tab.wait_for_function("document.body.classList.contains('dark')")
    tab.locator("#emo-example-clip").press("Enter")
    tab.locator("#emo-in-clip video").wait_for()
    tab.locator("#emo-go-clip").press("Enter")
    tab.wait_for_selector("#emo-answer-clip [data-testid=download-json]")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert 0 < tab.locator("#emo-answer-clip [data-testid=leading]").bounding_box()["y"] < 844


@pytest.mark.slow
def test_a_correction_needs_consent_and_becomes_a_row(here, served, corrections, clip):
    tab = here.tab
    here.choose("clip")
    tab.locator("#emo-example-clip").click()
    tab.locator("#emo-in-clip video").wait_for()
    answer = here.answer("clip")
    answer.locator(".emo-run").nth(1).click()
    tab.locator("#emo-feedback-clip").get_by_role("button").first.click()
    tab.locator("#emo-feedback-clip").get_by_label("surprise").check()
    tab.locator("#emo-save-clip").click()
    tab.locator("#emo-status-clip .emo-status", has_text="please agree first").wait_for()
    assert not corrections.exists()
    tab.locator("#emo-feedback-clip input[type=checkbox]").check()
    tab.locator("#emo-save-clip").click()
    tab.locator("#emo-status-clip .emo-status", has_text="Thank you").wait_for()
    (row,) = csv.DictReader((corrections / "manifest.csv").read_text(encoding="utf-8").splitlines())
    assert (row["emotion"], row["text"]) == ("surprise", "We made it all the way to space,")
    assert (float(row["start"]), float(row["end"])) == pytest.approx((2.02, 3.788), abs=0.01)
    assert (corrections / row["media"]).read_bytes() == clip.read_bytes()
    assert check_manifest(corrections / "manifest.csv") == []
    assert left_behind(served) == []


class Held:
    """A real run of a clip that stands still after its first answer until it is let go."""

    def __init__(self, run, go: threading.Event) -> None:
        self.run, self.go, self.result = run, go, run.result

    def __iter__(self):
        for number, found in enumerate(self.run):
            if number:
                assert self.go.wait(90)
            yield found


@pytest.mark.slow
def test_cancel_gives_the_page_back(here, served, pipeline, clip, words, monkeypatch):
    """A clip is cancelled when its first answer shows and the rest is still being read."""
    go, run = threading.Event(), pipeline.run
    monkeypatch.setattr(pipeline, "run", lambda *given, **named: Held(run(*given, **named), go))
    tab = here.tab
    here.choose("clip")
    tab.locator("#emo-in-clip input[type=file]").set_input_files(clip)
    tab.locator("#emo-words-clip textarea").fill(words)
    tab.locator("#emo-go-clip").click()
    tab.locator("#emo-status-clip .emo-status", has_text="1 segment so far").wait_for()
    tab.locator("#emo-answer-clip [data-testid=leading]").wait_for()
    assert tab.locator("#emo-answer-clip [data-testid=download-json]").count() == 0
    tab.locator("#emo-stop-clip").click()
    tab.wait_for_timeout(1500)  # the rest is predicted already: the server has to hear of it before it goes on
    go.set()
    tab.locator("#emo-status-clip .emo-status", has_text="Cancelled").wait_for()
    tab.wait_for_function("!document.querySelector('#emo-go-clip').disabled")
    assert 1 <= len(json.loads(here.download("clip", "json"))["segments"]) < 3
    assert left_behind(served) == []


def test_nothing_stays_when_the_page_is_closed(visit, served, clip):
    """A clip in a box stays however old it is; it goes when the page does."""
    here = visit()
    tab = here.open()
    tab.locator("#emo-in-clip input[type=file]").set_input_files(clip)
    tab.locator("#emo-in-clip video").wait_for()
    until = time.monotonic() + 30
    while not any(upload.pages for upload in served.uploads._known.values()) and time.monotonic() < until:
        time.sleep(0.05)
    served.uploads.sweep(0, 60)
    assert left_behind(served, 0) == [clip.name]
    tab.goto("about:blank")
    assert left_behind(served) == []
