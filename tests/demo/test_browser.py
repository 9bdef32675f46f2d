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
from emofuse.demo.view import possible
from emofuse.notes import Note
from emofuse.tasks import EMOTIONS


def headline(prediction) -> str:
    """What an answer leads with in English: the two or three emotions that it could be, else the leading one."""
    names = possible(prediction)["names"]
    if len(names) > 3:
        return "Not clear"
    return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


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
    assert left_behind(served) == []
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


def test_a_broken_file_is_a_friendly_sentence_and_the_page_lives_on(here, served, tmp_path):
    broken = tmp_path / "holiday.mp4"
    broken.write_bytes(b"these are not moving pictures" * 100)
    tab = here.tab
    here.choose("file")
    here.put(broken)
    expect(tab.locator("#emo-in-file .emo-drop-name")).to_have_text("holiday.mp4")
    tab.locator("#emo-go-file").click()
    alert = tab.locator("#emo-status-file [role=alert]")
    alert.wait_for()
    said = alert.inner_text()
    assert "This cannot be read." in said and "holiday.mp4" in said and "Try another file" in said
    assert str(served.uploads.folder) not in said and "Traceback" not in said
    assert left_behind(served) == []
    expect(tab.locator("#emo-in-file .emo-drop-name")).to_have_text("holiday.mp4")
    here.choose("text")
    here.answer("text", "#emo-examples-text .emo-example >> nth=0")


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


def test_a_picture_with_blurred_faces(here, served, samples):
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
    assert left_behind(served) == []
    tab.locator("#emo-blur-file input").uncheck()


def test_the_input_stays_and_pressing_again_never_destroys_an_answer(here, served, samples, tmp_path):
    """The server has deleted the file by then; it is sent anew. A press that fails leaves the answer."""
    tab = here.tab
    here.choose("file")
    here.unfold()
    tab.locator("#emo-words-file textarea").fill("")  # words alone can be read too
    here.put(samples / "voice.flac")
    answer = here.answer("file")
    expect(tab.locator("#emo-in-file .emo-drop-name")).to_have_text("voice.flac")
    before = here.download("file", "json")
    assert left_behind(served) == []
    here.answer("file")
    assert here.download("file", "json") == before and left_behind(served) == []
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound" * 100)
    here.put(broken)
    tab.locator("#emo-go-file").click()
    tab.locator("#emo-status-file [role=alert]", has_text="This cannot be read.").wait_for()
    tab.locator("#emo-in-file .emo-drop-away").click()
    tab.locator("#emo-go-file").click()
    tab.locator("#emo-status-file [role=alert]", has_text="nothing to read yet").wait_for()
    expect(answer.locator("[data-testid=leading]")).to_be_visible()
    assert here.download("file", "json") == before


def test_a_file_that_did_not_arrive_is_sent_again_by_pressing(here, samples):
    tab = here.tab
    here.choose("file")
    here.put(samples / "voice.flac")
    tab.route("**/gradio_api/upload", lambda route: route.abort())
    tab.locator("#emo-go-file").click()
    tab.locator("#emo-status-file [role=alert]", has_text="did not arrive").wait_for()
    tab.unroute("**/gradio_api/upload")
    here.answer("file")
    here.errors[:] = [told for told in here.errors if "ERR_FAILED" not in told]


def test_any_file_goes_into_the_one_box(here, tmp_path, samples):
    """Words as a file fill the field for words, alone or beside a clip; what is too large is refused unsent."""
    tab = here.tab
    here.choose("file")
    words = tmp_path / "said.txt"
    words.write_text("I am so happy", encoding="utf-8")
    here.put(words)
    expect(tab.locator("#emo-words-file textarea")).to_have_value("I am so happy")
    answer = here.answer("file")
    assert json.loads(here.download("file", "json"))["overall"]["present"] == ["text"]
    here.put(samples / "voice.flac")
    answer = here.answer("file")
    assert json.loads(here.download("file", "json"))["overall"]["present"] == ["text", "speech"]
    expect(answer.locator("audio")).to_have_count(1)
    tab.locator("#emo-words-file textarea").fill("")
    tab.locator("#emo-in-file .emo-drop-away").click()
    tab.evaluate(DROP)
    expect(tab.locator("#emo-in-file .emo-drop-name")).to_have_text("dropped.png")


DROP = """() => {
  const given = new DataTransfer();
  given.items.add(new File([new Uint8Array(8)], "dropped.png", { type: "image/png" }));
  const box = document.querySelector("#emo-in-file .emo-drop");
  box.dispatchEvent(new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true }));
}"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.slow
def test_an_example_is_on_top_and_runs_on_one_click(visit, pipeline, samples, width):
    """Three thumbnails; on a phone: input, one button, answer, nothing wider than the screen, no empty cards."""
    here = visit(viewport={"width": width, "height": 844}, has_touch=width < 500, is_mobile=width < 500)
    tab = here.open()
    thumbnails = tab.locator("#emo-examples-file .emo-example")
    expect(thumbnails).to_have_count(3)
    for image in thumbnails.locator("img").all():
        tab.wait_for_function("(image) => image.complete && image.naturalWidth > 0", arg=image.element_handle())
    tops = [tab.locator(place).bounding_box()["y"] for place in ("#emo-examples-file", "#emo-in-file", "#emo-go-file")]
    assert tops == sorted(tops) and tops[2] + 40 < 844
    assert tab.locator("#emo-stop-file").is_hidden() and tab.locator("#emo-answer-file .emo-card").count() == 0
    answer = here.answer("file", "#emo-examples-file .emo-example >> nth=1")
    called = pipeline(samples / "voice.flac")
    assert json.loads(here.download("file", "json"))["segments"] == called.to_dict()["segments"]
    expect(tab.locator("#emo-in-file .emo-drop-name")).to_have_text("voice.flac")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert all(card.inner_text().strip() for card in answer.locator(".emo-card:visible").all())


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


@pytest.mark.slow
def test_whoever_waits_sees_the_place_and_about_how_long(visit, served, pipeline, monkeypatch):
    served_by, go, run = served, threading.Event(), pipeline.run
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
    assert left_behind(served_by) == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_one_start_for_microphone_and_camera_rolls_and_is_read_as_a_whole(visit, served, width):
    """The strip is labelled, the latency told; what was recorded is read by one press once it was stopped."""
    here = visit(viewport={"width": width, "height": 844}, has_touch=width < 500, is_mobile=width < 500)
    tab = here.open()
    here.choose("live")
    expect(tab.locator("#emo-live [data-testid=live-start]")).to_have_count(1)
    tab.locator("#emo-live [data-testid=live-start]").click()
    tab.locator("#emo-live [data-testid=live-leading]").wait_for()
    expect(tab.locator("#emo-live [data-testid=latency]")).to_contain_text("ms")
    expect(tab.locator("#emo-live .emo-live-in video")).to_have_count(1)
    tab.wait_for_function("document.querySelectorAll('#emo-live .emo-strip').length > 2")
    label = tab.locator("#emo-live .emo-in").first.text_content()
    assert any(name.startswith(label.rstrip(".")) for name in EMOTIONS)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.locator("#emo-live [data-testid=live-stop]").click()
    tab.locator("#emo-live [data-testid=live-start]").click()
    tab.locator("#emo-live [data-testid=live-stop]").wait_for()
    tab.wait_for_timeout(4000)  # what is spoken into it; a recording of minutes would be too long for this page
    tab.locator("#emo-live [data-testid=live-stop]").click()
    tab.locator("#emo-live [data-testid=live-read]").click()
    tab.locator("#emo-answer-file [data-done=true]").wait_for()
    found = json.loads(here.download("file", "json"))
    assert "speech" in found["overall"]["present"] and found["duration"] > 1
    assert left_behind(served) == []


@pytest.mark.slow
def test_without_a_microphone_and_a_camera_it_says_what_to_do(browser, served):
    context = browser.new_context()
    tab = context.new_page()
    tab.add_init_script(
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('none', 'NotFoundError') }"
    )
    tab.goto(served.url)
    tab.locator("#emo-tab-live-button").click()
    tab.locator("#emo-live [data-testid=live-start]").click()
    tab.locator("#emo-live [role=alert]", has_text="Neither a microphone nor a camera").wait_for()
    context.close()


@pytest.mark.slow
def test_chinese_in_place_and_from_the_start(visit, pipeline):
    here = visit(locale="zh-CN")
    tab = here.open()
    tab.wait_for_function("document.querySelector('#emo-go-file').innerText.includes('读取情绪')")
    expect(tab.locator("html")).to_have_attribute("lang", "zh-CN")
    for kind, said in (("file", "文件"), ("text", "文字"), ("live", "实时")):
        expect(tab.locator(f"#emo-tab-{kind}-button")).to_have_text(said)
    here.choose("text")
    tab.locator("#emo-words-text textarea").fill("I am so happy!")
    answer = here.answer("text")
    top = headline(pipeline(text="I am so happy!").overall)
    expect(answer.locator("[data-testid=leading]")).not_to_have_text(top)
    expect(tab.locator("#emo-examples-text")).to_contain_text("喜悦")
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
    tab.wait_for_selector("[data-testid=drop]")
    tab.wait_for_function("document.body.classList.contains('dark')")
    tab.locator("#emo-examples-file .emo-example").first.press("Enter")
    tab.wait_for_selector("#emo-answer-file [data-testid=download-json]")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert 0 < tab.locator("#emo-answer-file [data-testid=leading]").bounding_box()["y"] < 844


@pytest.mark.slow
def test_a_correction_needs_consent_and_becomes_a_row(here, served, corrections, clip):
    tab = here.tab
    here.choose("file")
    answer = here.answer("file", "#emo-examples-file .emo-example >> nth=0")
    answer.locator(".emo-run").nth(1).click()
    tab.locator("#emo-feedback-file").get_by_role("button").first.click()
    tab.locator("#emo-feedback-file").get_by_label("surprise").check()
    tab.locator("#emo-save-file").click()
    tab.locator("#emo-status-file .emo-status", has_text="please agree first").wait_for()
    assert not corrections.exists()
    tab.locator("#emo-feedback-file input[type=checkbox]").check()
    tab.locator("#emo-save-file").click()
    tab.locator("#emo-status-file .emo-status", has_text="Thank you").wait_for()
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


SHOWN = "#emo-answer-file .emo"


@pytest.mark.slow
def test_cancel_gives_the_page_back(here, served, pipeline, clip, words, monkeypatch):
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
    assert left_behind(served) == []


def test_nothing_is_sent_before_it_is_asked_for_and_nothing_stays_when_the_page_is_closed(
    visit, served, pipeline, clip, monkeypatch
):
    """A clip in the box is in the browser alone; what is being read goes with its page."""
    here = visit()
    tab = here.open()
    here.put(clip)
    tab.locator("#emo-in-file video").wait_for()
    assert left_behind(served, 0) == []
    go, run = threading.Event(), pipeline.run
    monkeypatch.setattr(pipeline, "run", lambda *given, **named: Held(run(*given, **named), go))
    tab.locator("#emo-go-file").click()
    tab.locator("#emo-status-file [data-stage=starting], #emo-status-file [data-stage=reading]").first.wait_for()
    assert left_behind(served, 0) == [clip.name]
    tab.goto("about:blank")
    go.set()
    assert left_behind(served) == []
    here.errors[:] = [told for told in here.errors if not re.search("AbortError|Connection errored out", told)]
