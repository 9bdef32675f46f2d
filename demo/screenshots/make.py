"""The README's pictures of the demo, taken anew: `python demo/screenshots/make.py`, with the model that ships."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import emofuse
from emofuse.demo.server import serve

HERE = Path(__file__).parent
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "locale": "zh-CN", "is_mobile": True, "device_scale_factor": 2
}  # fmt: skip


def answered(browser: Any, url: str, options: dict[str, Any]) -> Any:
    """A page with the whole answer to the sample clip."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(180_000)
    page.goto(url)
    page.locator("#emo-examples-file .emo-example").first.click()
    page.wait_for_selector("#emo-answer-file [data-testid=download-json]")
    page.wait_for_function("document.querySelector('#emo-answer-file video')?.readyState > 2")
    return page


def keep(name: str, picture: bytes, width: int, height: int | None = None) -> None:
    """Save a picture at a width, its lower end cut off at a height, in 200 colours: small enough for a README."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    image = image.crop((0, 0, width, min(height or image.height, image.height)))
    image.quantize(200, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


def main() -> None:
    """Take all three."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    served = serve(emofuse.load())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        desk = answered(browser, served.url, DESK)
        keep("clip.png", desk.screenshot(full_page=True), 960)
        desk.locator("#emo-answer-file .emo-run").nth(1).click()
        desk.locator("#emo-theme").click()
        keep("dark.png", desk.locator("#emo-answer-file").screenshot(), 552, 664)
        phone = answered(browser, served.url, PHONE)
        keep("phone-chinese.png", phone.screenshot(full_page=True), 390, 1000)
        browser.close()
    served.close()


if __name__ == "__main__":
    main()
