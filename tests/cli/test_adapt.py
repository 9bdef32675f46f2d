"""`emofuse adapt` and `emofuse states`: what they print, write, refuse."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from emofuse.calibration.temperature import fit_temperature
from emofuse.cli.outputs import warnings_in_one_line
from emofuse.model.config import ModelConfig
from emofuse.model.model import EmotionModel


@pytest.fixture(scope="module")
def model(tiny_config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    settings = tiny_config.model_dump()
    settings["fusion"] |= {"pool": "mean", "correction": "never"}
    torch.manual_seed(0)
    return EmotionModel(ModelConfig.model_validate(settings)).save_pretrained(tmp_path_factory.mktemp("m") / "tiny")


@pytest.fixture
def feedback(tmp_path: Path) -> Path:
    path = tmp_path / "feedback.csv"
    with path.open("w", newline="") as file:
        rows = [
            (f"i am so happy! {i}", f"p{i // 2 % 4}", "anger") if i % 2 else (f"sad {i}", f"p{i // 2 % 4}", "fear")
            for i in range(16)
        ]
        csv.writer(file).writerows([("text", "speaker", "emotion"), *rows])
    return path


def test_a_model_is_adapted_and_says_so(run, model, feedback, tmp_path):
    code, out, err = run("states", model, tmp_path / "old.safetensors", feedback)
    assert (code, err) == (0, "") and "feedback.csv: 12 rows to replay, 4 to measure on" in out
    given = [model, feedback, "--out", tmp_path / "new", "--replay", tmp_path / "old.safetensors"]
    code, out, err = run("adapt", *given, "--report", tmp_path / "report.json")
    assert (code, err) == (0, "") and "feedback, 4 folds by speaker" in out and f"saved in {tmp_path / 'new'}" in out
    assert json.loads((tmp_path / "report.json").read_text())["accepted"]
    assert (tmp_path / "new" / "model.safetensors").is_file()


def test_a_refusal_has_an_exit_code_and_leaves_nothing(run, model, feedback, tmp_path):
    given = [model, feedback, "--out", tmp_path / "new", "--least-rise", 1.5, "--report", tmp_path / "report.json"]
    code, out, err = run("adapt", *given)
    assert (code, err) == (3, "") and out.rstrip().endswith("refused: nothing was written") and "| refused |" in out
    assert not json.loads((tmp_path / "report.json").read_text())["accepted"]
    assert not (tmp_path / "new").exists()


def test_what_adapt_cannot_take_is_named(run, model, feedback, tmp_path):
    for wrong, says in (
        (["--how", "head"], "did you mean 'heads'"),
        (["--replay", "x.parquet"], "no folder x.parquet"),
        (["--report", feedback], "also an input"),
    ):
        code, out, err = run("adapt", model, feedback, "--out", tmp_path / "new", *wrong)
        assert (code, out.count("saved")) == (2, 0) and says in err
    for device in ("cuda:99", "gpu"):
        for command in (
            ["adapt", model, feedback, "--out", tmp_path / "new"],
            ["states", model, tmp_path / "old.safetensors", feedback],
            ["calibrate", model, tmp_path / "sure", "--root", feedback, "--corpus", "manifest"],
        ):
            code, out, err = run(*command, "--device", device)
            assert (code, out) == (2, "") and f"cannot compute on '{device}'; valid here: auto, cpu" in err
    code, _, err = run("states", model, tmp_path / "old.npz", feedback)
    assert code == 2 and "written as .safetensors" in err


def test_a_warning_is_a_note_in_one_line(capsys):
    """It stood there with the path of a module and a line of code."""
    with pytest.warns(UserWarning, match="of another package") as others, warnings_in_one_line():
        fit_temperature(np.eye(3), np.full((3, 3), np.nan))
        warnings.warn("of another package", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "emofuse: note: no labelled sample to fit a temperature on: it stays 1\n"
    assert len(others) == 1
