"""The live view in a browser, with and without a microphone and a camera."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from emofuse.tasks import EMOTIONS


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_one_start_for_microphone_and_camera_rolls_and_is_read_as_a_whole(visit, width, left_behind):
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
    assert left_behind() == []


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
