"""The plain install: what it brings, how large it is, and that it predicts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LARGEST = 720
"""MB of everything but PyTorch and what it brings for GPUs."""
TORCH = ("torch", "torchgen", "functorch", "nvidia", "cuda", "triton", "nvidia_*", "cuda_*")
SHED = ("transformers", "timm", "torchaudio", "torchvision", "librosa", "pandas", "matplotlib", "gradio", "onnxruntime",
        "pyarrow", "peft", "accelerate", "sklearn", "pytest", "ruff")  # fmt: skip
"""Packages that only an extra or a tool of development brings."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of an environment that the README's first command makes."""
    home = tmp_path_factory.mktemp("clean") / "venv"
    command = [sys.executable, "-m", "uv", "sync", "--frozen", "--no-default-groups", "--no-editable", "--quiet"]
    if shutil.which("uv"):
        command[:3] = ["uv"]
    done = subprocess.run(
        command, cwd=repository, env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(home)}, capture_output=True, text=True
    )
    if "No module named uv" in done.stderr or "error sending request" in done.stderr:
        pytest.skip(f"uv, or the packages, cannot be had here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    (found,) = home.glob("lib/python*/site-packages")
    return found


def megabytes(folder: Path) -> float:
    """Of all files below, each once."""
    return sum({(s.st_dev, s.st_ino): s.st_size for f in folder.rglob("*") if (s := f.lstat())}.values()) / 1e6


def test_it_is_light_beside_pytorch(site: Path):
    there = {path.name for path in site.iterdir()}
    assert there.isdisjoint(SHED), sorted(there & set(SHED))
    heavy = {path for pattern in TORCH for path in site.glob(pattern)}
    sizes = {path.name: megabytes(path) for path in site.iterdir() if path.is_dir() and path not in heavy}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
    assert sum(sizes.values()) < LARGEST, largest


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
    code = "from emofuse.encoders.hf import pretrained; pretrained('bert-base-uncased', None)"
    done = subprocess.run([str(python), "-c", code], **run)
    assert "pip install 'emofuse[hub]'" in done.stderr
