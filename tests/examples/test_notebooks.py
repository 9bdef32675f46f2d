"""The notebooks of examples/: each runs from its first cell to its last, and its stored outputs are of a run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

HERE = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOKS = sorted(path.stem for path in HERE.glob("*.ipynb"))


@pytest.fixture(scope="module")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("examples_run", HERE / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """`emofuse` and `python` in a notebook's shell are those of this environment."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert shutil.which("emofuse")


@pytest.mark.slow
@pytest.mark.checkpoint
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name: str, run: ModuleType, commands: None, tmp_path: Path) -> None:
    """Every cell ends without an error, shell commands too, and prints where the stored run printed."""
    stored = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    found = run.executed(HERE / f"{name}.ipynb", tmp_path)
    for before, now in zip(stored.cells, found.cells, strict=True):
        assert kinds(before) == kinds(now), now.source
        assert "Traceback" not in str(now.get("outputs")), now.source


def kinds(cell: nbformat.NotebookNode) -> set[str]:
    """What a cell shows, text or a result, without what goes to stderr."""
    return {o.output_type for o in cell.get("outputs", []) if o.get("name") != "stderr"}


def test_every_notebook_is_listed_and_was_run(repository: Path) -> None:
    listed = (repository / "examples" / "README.md").read_text("utf-8")
    site = (repository / "mkdocs.yml").read_text("utf-8")
    for name in NOTEBOOKS:
        assert f"({name}.ipynb)" in listed and f"examples/{name}.ipynb" in site
        cells = nbformat.read(HERE / f"{name}.ipynb", as_version=4).cells
        counts = [cell.execution_count for cell in cells if cell.cell_type == "code"]
        assert counts == list(range(1, len(counts) + 1))


def test_the_site_shows_every_page_of_docs(repository: Path) -> None:
    site = (repository / "mkdocs.yml").read_text("utf-8")
    assert [p.name for p in sorted((repository / "docs").glob("*.md")) if f"docs/{p.name}" not in site] == []
