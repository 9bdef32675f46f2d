"""Jobs around a model with random weights, run as commands in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
import pytest

TEXTS = ("I am so happy!", "this is not great", "sad", "terrible, I am so so sad. This is not happy.")
OPTIONS = ("--device", "cpu", "--asr", "none")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """An engine settles the threads of its process, which here is that of all other tests too."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.fixture(scope="session")
def model_folder(tiny_config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, as `save_pretrained` writes it."""
    import torch

    from emofuse.model.model import EmotionModel

    torch.manual_seed(0)
    model = EmotionModel(tiny_config)
    for head in model.heads.values():
        torch.nn.init.normal_(head.linear.weight, std=0.3)
    return model.save_pretrained(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 texts, which make five shards; one row says nothing and one names a file that is not there."""
    path = tmp_path_factory.mktemp("tables") / "posts.csv"
    rows = [f't{i},"{TEXTS[i % 4]} {i}",,{i % 3}' for i in range(300)]
    rows[100:100] = ["empty,,,9", "gone,,nowhere.mp4,9"]
    path.write_text("\n".join(["id,text,media,product", *rows]), "utf-8")
    return path


@pytest.fixture(scope="session")
def start(model_folder: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts `emofuse batch …` in a process of its own."""

    def call(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "emofuse", "batch", *map(str, arguments)]
        command += ["--model", str(model_folder), *OPTIONS]
        variables = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # else a shell may have it ignored
        )

    return call


@pytest.fixture(scope="session")
def batch(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """Runs `emofuse batch …` to its end: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        process = start(*arguments)
        out, err = process.communicate(timeout=500)
        return process.returncode, out, err

    return call


@pytest.fixture(scope="session")
def whole(batch, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job of the table, uninterrupted, in one process."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, _, err = batch(table, "--out", out, "--workers", 0, "--embeddings")
    assert code == 3, err
    return out


Rows = Callable[..., pyarrow.Table]


@pytest.fixture(scope="session")
def rows_of() -> Rows:
    """(folder of a job, "segments" or "clips", columns to leave out) → the union of its parts, in their order."""

    def read(out: Path, name: str, without: Sequence[str] = ()) -> pyarrow.Table:
        parts = sorted((out / name).glob("part-*.parquet"))
        return pyarrow.concat_tables([parquet.read_table(part) for part in parts]).drop_columns(list(without))

    return read


@pytest.fixture(scope="session")
def assert_same(rows_of: Rows) -> Callable[[Path, Path], None]:
    """Row for row and bit for bit; how often a clip was tried is all that may differ."""

    def check(out: Path, whole: Path) -> None:
        assert rows_of(out, "segments").equals(rows_of(whole, "segments"))
        assert rows_of(out, "clips", ["attempts"]).equals(rows_of(whole, "clips", ["attempts"]))

    return check


@pytest.fixture(scope="session")
def sample(repository: Path) -> Path:
    """The clip that comes with the project."""
    return repository / "demo" / "samples" / "sample.mp4"
