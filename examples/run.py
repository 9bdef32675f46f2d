"""Execution of the notebooks, in place: `uv run python examples/run.py [NAME…]` writes their outputs anew.

Each runs in a folder of its own beside copies of the files it needs, as `tests/examples` runs it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
TIMEOUT = 900
"""Seconds a cell may take."""
BESIDE = ("demo", "recipes")
"""Folders of the repository that notebooks refer to by `../`."""


def executed(notebook: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of its run in an empty folder; raises `CellExecutionError`."""
    work = folder / "examples"
    work.mkdir()
    for file in HERE.glob("call.*"):
        shutil.copy(file, work)
    for name in BESIDE:
        (folder / name).symlink_to(HERE.parent / name)
    node = nbformat.read(notebook, as_version=4)
    where = {"metadata": {"path": work}}
    options = {"timeout": TIMEOUT, "kernel_name": "python3", "coalesce_streams": True}
    return NotebookClient(node, resources=where, **options).execute()


def main(names: list[str]) -> None:
    """Run all, or those of `names`."""
    for notebook in [HERE / f"{name}.ipynb" for name in names] or sorted(HERE.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            node = executed(notebook, Path(folder))
        for cell in node.cells:
            cell.metadata.pop("execution", None)  # when, and how long
        nbformat.write(node, notebook)


if __name__ == "__main__":
    main(sys.argv[1:])
