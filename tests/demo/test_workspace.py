"""The private folder: what a killed demo left is cleared by the next start, and what another holds is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from emofuse.demo.workspace import open_workspace
from emofuse.errors import EmofuseError

SERVE = """
import sys
from emofuse.demo.server import serve
served = serve(None, port=int(sys.argv[1]) or None)
served.wait(lambda: print(served.url, flush=True))
"""


@pytest.fixture
def running(tmp_path):
    """Starts demos in processes of their own, around no model: an upload needs none. Gives (process, address)."""
    started = []

    def start() -> tuple[subprocess.Popen[str], str]:
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "0"], env=environment, text=True, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def upload(url: str) -> Path:
    """Where the server put a file."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        http.get("/").raise_for_status()
        (path,) = http.post("/gradio_api/upload", files={"files": ("a.txt", b"x")}).raise_for_status().json()
    return Path(path)


def test_what_a_killed_demo_left_goes_with_the_next_start_and_no_other_demos_files_do(running, tmp_path):
    (killed, first), (_, second) = running(), running()
    left, held = upload(first), upload(second)
    assert left.exists() and held.exists() and left.is_relative_to(tmp_path)
    killed.kill()
    killed.wait()
    assert left.exists()
    third, _ = running()
    assert not left.exists() and not left.parents[1].exists() and held.exists()
    third.send_signal(signal.SIGTERM)
    third.wait(60)
    assert held.exists() and len(list(held.parents[2].iterdir())) == 2


def test_runs_have_folders_of_their_own_in_one_that_is_the_users_alone(tmp_path):
    one, two = open_workspace(tmp_path / "home"), open_workspace(tmp_path / "home")
    assert one.folder != two.folder and one.folder.is_dir() and two.folder.is_dir()
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    one.close()
    assert not one.folder.exists() and two.folder.is_dir()
    two.close()
    assert list((tmp_path / "home").iterdir()) == []


def test_a_folder_of_others_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    for home in ("open", "link"):
        with pytest.raises(EmofuseError, match="set TMPDIR"):
            open_workspace(tmp_path / home)
