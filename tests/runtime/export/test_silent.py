"""What is exported is told nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emofuse.runtime.export.silent import silent

SCRIPT = """
import sys
from emofuse.model.model import EmotionModel
from emofuse.runtime.export.examples import spoken
from emofuse.runtime.export.write import export

model = EmotionModel.from_pretrained(sys.argv[1])
export(model, sys.argv[2], "openvino", [spoken(1), spoken(2)], int8=True)
import emofuse
emofuse.load(sys.argv[2], backend="openvino", device="cpu")
print([name for name in sys.modules if name.startswith("openvino_telemetry")])
"""


@pytest.mark.slow
def test_an_export_sends_no_statistics_of_use(tiny_model, tmp_path):
    """In a process of its own: in one of pytest's, NNCF leaves its statistics out by itself. Who sends them keeps a
    number of the user in a folder of the user's home."""
    pytest.importorskip("nncf")
    home = tmp_path / "home"
    home.mkdir()
    model = tiny_model.save_pretrained(tmp_path / "model")
    command = [sys.executable, "-c", SCRIPT, str(model), str(tmp_path / "exported")]
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert not list(Path(home).glob("intel*"))


def test_what_a_user_imported_is_left_as_it_was(monkeypatch):
    sender = type(sys)("openvino_telemetry")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", sender)
    with silent():
        assert sys.modules["openvino_telemetry"] is sender
    assert sys.modules["openvino_telemetry"] is sender
    monkeypatch.delitem(sys.modules, "openvino_telemetry")
    with silent(), pytest.raises(ImportError):
        import openvino_telemetry  # noqa: F401
    assert "openvino_telemetry" not in sys.modules
