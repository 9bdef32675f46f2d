"""The shape of the code: imports run down only, inside rooms too, and no module outgrows a reader."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

PACKAGE = Path(__file__).resolve().parents[1] / "emofuse"
LARGEST = 350
"""Lines of the largest module."""

ROOMS = (
    ("version", "errors", "torch_state"),
    ("files",),
    ("modalities",),
    ("notes", "types", "tasks", "plots", "pages"),
    ("metrics",),
    ("corpora", "media", "encoders"),
    ("prepared",),
    ("batch",),
    ("model",),
    ("data",),
    ("calibration",),
    ("evaluation", "explain", "runtime"),
    ("training", "pipeline"),
    ("batch_jobs", "demo", "agent", "trends", "keywords"),
    ("serve", "client"),
    ("cli",),
)
"""From the ground up; rooms of one floor do not know each other."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name, packages by their own."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of the package that a file imports, wherever in it, those for type checkers alone left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unread = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in names)


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: set(imports(path, known)) - {name} for name, path in known.items()}


def test_no_modules_import_each_other_in_a_circle(graph: dict[str, set[str]]):
    names = sorted(graph)
    place = {name: i for i, name in enumerate(names)}
    pairs = np.array([(place[a], place[b]) for a in names for b in graph[a]]).T
    arrows = csr_matrix((np.ones(pairs.shape[1]), pairs), shape=(len(names), len(names)))
    _, label = connected_components(arrows, connection="strong")
    circles = [[n for n in names if label[place[n]] == k] for k in np.flatnonzero(np.bincount(label) > 1)]
    assert circles == []


def test_no_import_runs_up_or_along_a_floor(graph: dict[str, set[str]]):
    floor = {room: height for height, rooms in enumerate(ROOMS) for room in rooms}
    room = {name: [*name.split("."), ""][1] for name in graph}
    assert {r for r in room.values() if r not in ("", "__main__")} <= set(floor), "a room that ROOMS does not place"
    wrong = [
        f"{a} imports {b}"
        for a, targets in graph.items()
        for b in sorted(targets)
        if room[a] in floor and room[b] in floor and room[a] != room[b] and floor[room[a]] <= floor[room[b]]
    ]
    assert wrong == []


def test_no_module_outgrows_a_reader():
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert {name: n for name, n in lines.items() if n > LARGEST} == {}
