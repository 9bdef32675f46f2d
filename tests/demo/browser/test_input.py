"""What is given to the page in a browser: files into the one box, and what becomes of them."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect


def test_a_broken_file_is_a_friendly_sentence_and_the_page_lives_on(here, served, tmp_path, left_behind):
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
    assert left_behind() == []
    expect(tab.locator("#emo-in-file .emo-drop-name")).to_have_text("holiday.mp4")
    here.choose("text")
    here.answer("text", "#emo-examples-text .emo-example >> nth=0")


def test_the_input_stays_and_pressing_again_never_destroys_an_answer(here, samples, tmp_path, left_behind):
    """The server has deleted the file by then; it is sent anew. A press that fails leaves the answer."""
    tab = here.tab
    here.choose("file")
    here.unfold()
    tab.locator("#emo-words-file textarea").fill("")  # words alone can be read too
    here.put(samples / "voice.flac")
    answer = here.answer("file")
    expect(tab.locator("#emo-in-file .emo-drop-name")).to_have_text("voice.flac")
    before = here.download("file", "json")
    assert left_behind() == []
    here.answer("file")
    assert here.download("file", "json") == before and left_behind() == []
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
