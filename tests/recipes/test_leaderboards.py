"""The page of every corpus ends in one form of table: what was published, and what its recipes reach."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
PAGES = sorted(p for p in RECIPES.glob("*/README.md") if p.parent.name not in ("manifest", "emofuse-small"))
HEADER = "| system | modalities | protocol | metric | figure | source |\n|---|---|---|---|---|---|\n"
NOT_RUN = "# Not run yet: no figures of it are known.\n"
NEVER = "never run"


def rows(page: Path) -> list[list[str]]:
    """The cells of the one leaderboard of a page."""
    _, mark, rest = page.read_text("utf-8").partition("**Leaderboard.**")
    assert mark, f"{page} has no leaderboard"
    before, header, table = rest.partition(HEADER)
    assert header and "|" not in before, f"{page}: the columns are {HEADER.splitlines()[0]}"
    (lines,) = re.findall(r"\A((?:\|.*\n)+)", table)
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.parent.name)
def test_every_row_is_whole_and_has_a_source(page: Path):
    for cells in rows(page):
        assert len(cells) == 6 and all(cells), cells
        system, *_, figure, source = cells
        assert figure == NEVER or re.match(r"\d", figure), cells
        if not system.startswith("`"):
            assert figure != NEVER, cells
            assert re.search(r"\b(19|20)\d\d\b|result-stat\.md", source), f"{cells}: year and venue, or the file"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.parent.name)
def test_every_recipe_is_there_with_its_figure_or_as_never_run(page: Path):
    told = {cells[0].strip("`"): cells[4] for cells in rows(page) if cells[0].startswith("`")}
    recipes = {p.name: p for p in page.parent.glob("*.yaml") if p.name != "tune.yaml"}
    assert told.keys() == recipes.keys()
    for name, path in recipes.items():
        assert (told[name] == NEVER) == (NOT_RUN in path.read_text("utf-8")), name
