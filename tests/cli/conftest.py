"""The command line run in this process, around a model with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emofuse.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def model_folder(tiny_config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as `save_pretrained` writes it, with a report and a card."""
    from emofuse.model.model import EmotionModel

    card = "---\nlicense: cc-by-nc-sa-4.0\n---\n# tiny\n"
    report = {"metrics": {"ravdess": {"emotion": {"n": 240, "uar": 0.512}, "speech.emotion": {"n": 240, "uar": 0.1}}}}
    return EmotionModel(tiny_config).save_pretrained(
        tmp_path_factory.mktemp("models") / "tiny", card=card, report=report
    )


@pytest.fixture(scope="session")
def sample(repository: Path) -> Path:
    """The clip that comes with the project."""
    return repository / "demo" / "samples" / "sample.mp4"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `emofuse …`; the exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def predict(run: Run, model_folder: Path) -> Run:
    """Runs `emofuse predict … --model TINY --device cpu --asr none`."""
    return lambda *arguments: run("predict", *arguments, "--model", model_folder, "--device", "cpu", "--asr", "none")
