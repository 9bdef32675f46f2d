"""Who visits the page in a browser: languages, phones, keyboards, corrections."""

from __future__ import annotations

import csv

import pytest
from playwright.sync_api import expect

from emofuse.corpora.manifest.reader import check_manifest


@pytest.mark.slow
def test_chinese_in_place_and_from_the_start(visit, pipeline, headline):
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
def test_a_correction_needs_consent_and_becomes_a_row(here, corrections, clip, left_behind):
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
    assert left_behind() == []
