"""The plain install: what it brings, how large it is, and that it predicts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LARGEST = 620
"""MB of the packages, of which OpenCV has 169."""
WHEEL = 100
"""MB of the package itself, its checkpoint included."""
SHED = ("torch", "nvidia", "triton", "scipy", "soundfile", "silero_vad", "transformers", "timm", "torchaudio",
        "torchvision", "librosa", "pandas", "matplotlib", "gradio", "onnx", "pyarrow", "peft", "accelerate", "sklearn",
        "pytest", "ruff")  # fmt: skip
"""Packages that only an extra or a tool of development brings."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of an environment into which the built wheel has been installed as `emofuse[onnx]`."""
    home = tmp_path_factory.mktemp("clean")
    uv = ["uv"] if shutil.which("uv") else [sys.executable, "-m", "uv"]
    _done([*uv, "build", "--quiet", "--wheel", "--out-dir", str(home)], repository)
    (wheel,) = home.glob("*.whl")
    _done([*uv, "venv", "--quiet", "--python", sys.executable, str(home / "venv")], repository)
    python = home / "venv" / "bin" / "python"
    _done([*uv, "pip", "install", "--quiet", "--python", str(python), f"{wheel}[onnx]"], repository)
    (found,) = (home / "venv").glob("lib/python*/site-packages")
    return found


def _done(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if "No module named uv" in done.stderr or "error sending request" in done.stderr:
        pytest.skip(f"uv, or the packages, cannot be had here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr


def megabytes(folder: Path) -> float:
    """Of all files below, each once."""
    return sum({(s.st_dev, s.st_ino): s.st_size for f in folder.rglob("*") if (s := f.lstat())}.values()) / 1e6


def test_it_is_light(site: Path):
    there = {path.name for path in site.iterdir()}
    assert there.isdisjoint(SHED), sorted(there & set(SHED))
    sizes = {path.name: megabytes(path) for path in site.iterdir() if path.is_dir()}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
    assert sum(sizes.values()) < LARGEST, largest
    assert sizes["emofuse"] < WHEEL


def test_it_predicts_the_sample_and_names_the_extra_that_lacks(site: Path, repository: Path, tmp_path: Path):
    python, sample = site.parents[2] / "bin" / "python", repository / "demo" / "samples" / "sample.mp4"
    command = [str(python), "-m", "emofuse", "predict", str(sample), "--transcript", str(sample.with_suffix(".srt"))]
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 500}
    done = subprocess.run([*command, "--json", "-", "--device", "cpu"], **run)
    assert done.returncode == 0, done.stderr
    emotions = json.loads(done.stdout)["overall"]["emotions"]
    assert max(emotions, key=emotions.get) == "joy"
    recipe = repository / "recipes" / "manifest" / "small.yaml"
    done = subprocess.run([str(python), "-m", "emofuse", "train", str(recipe)], **run)
    assert done.returncode == 2 and "pip install 'emofuse[train]'" in done.stderr
    done = subprocess.run([str(python), "-m", "emofuse", "explain", "--text", "So happy!"], **run)
    assert done.returncode == 2 and "pip install 'emofuse[torch]'" in done.stderr
