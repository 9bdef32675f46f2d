"""Scripts and examples that are served beside the page."""

from __future__ import annotations

import re

from emofuse.demo.assets import ADDRESS, answer, assets
from emofuse.demo.texts import STATIC, texts


def modules() -> dict[str, str]:
    """The script's modules, by name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((STATIC / "js").glob("*.js"))}


def test_every_text_that_is_asked_for_is_there():
    script = "\n".join(modules().values())
    asked = set(re.findall(r'\bt\("(\w+)"', script))
    asked |= {name for pair in re.findall(r'\bt\([^"()]*\? "(\w+)" : "(\w+)"', script) for name in pair}
    assert len(asked) > 40 and asked <= set(texts()["en"])


def test_the_script_is_modules_of_one_concern_and_nothing_but_its_own_is_imported():
    found = modules()
    for name, text in found.items():
        assert len(text.splitlines()) < 200 and text.startswith("/* "), name
        assert set(re.findall(r'from "\./(\w+\.js)"', text)) <= set(found)
        assert not re.search(r"innerHTML|attachShadow|customElements|https?://(?!www\.w3\.org/2000/svg)", text), name


def test_only_the_scripts_and_the_examples_are_served_beside_the_page():
    found = assets()
    assert all(ADDRESS.fullmatch(address) and path.is_file() for address, path in found.items())
    assert {path.suffix for path in found.values()} == {".js", ".mp4", ".flac", ".jpg", ".png", ".srt"}
    for address in ("/emofuse/js/main.py", "/emofuse/js/../texts.json", "/emofuse/samples/make_sample.py"):
        assert answer(found, address).status_code == 404
