"""Files and folders that this user may not read or write: one line, before the work, and never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
WITHOUT = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
"""What takes from root the right to read and write everything."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX"),
    pytest.mark.skipif(AS_ROOT and shutil.which("setpriv") is None, reason="root may read everything"),
]
ASKED = """
import json, sys
from emofuse.cli.app import run
for command in json.loads(sys.argv[1]):
    print(run(command), file=sys.stderr)
"""


def told(*commands: list[str]) -> list[tuple[str, str]]:
    """(line on stderr, exit code) of each command, run as somebody without special rights."""
    before = WITHOUT if AS_ROOT else []
    asked = [*before, sys.executable, "-c", ASKED, json.dumps(commands)]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=200).stderr.splitlines()
    assert len(lines) == 2 * len(commands), lines
    return list(zip(lines[::2], lines[1::2], strict=True))


@pytest.fixture
def closed(tmp_path: Path):
    """A folder that nobody may look into."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    yield folder
    folder.chmod(0o755)


def test_what_may_not_be_read_is_one_line(closed: Path, tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text\nsad\n")
    inside = str(closed / "x.csv")
    found = told(
        ["predict", str(closed / "a.mp4")],
        ["predict", str(tmp_path), "--json", str(tmp_path / "out.json")],
        ["predict", "--model", str(closed), "--text", "sad"],
        ["info", str(closed / "model")],
        ["trend", inside, "--time", "x"],
        ["data", "check", inside],
        ["train", str(closed / "recipe.yaml")],
        ["calibrate", "emofuse-small", str(tmp_path / "new"), "--root", inside, "--corpus", "manifest"],
    )
    for line, code in found:
        assert line.startswith("emofuse: ") and "ermission denied" in line and str(closed) in line, line
        assert code == "2"
    assert "let this user read it" in found[1][0], "a folder within is not passed over"


def test_a_demo_that_could_keep_no_corrections_does_not_start(tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    tmp_path.chmod(0o555)
    try:
        ((line, code),) = told(["demo", "--feedback", str(tmp_path / "kept")])
    finally:
        tmp_path.chmod(0o755)
    assert code == "2" and f"cannot write '{tmp_path / 'kept'}': Permission denied" in line
