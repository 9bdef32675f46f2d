"""Evaluate, calibrate, compare, and the sets that predict then says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emofuse.cli.compare import _names

SAID = {"joy": "I am so happy", "sadness": "this is terrible", "anger": "not great"}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """60 dev rows of text by six speakers."""
    rows = [f"{said} {i},p{i % 2}{label},dev,{label}" for i in range(20) for label, said in SAID.items()]
    path = tmp_path / "my.csv"
    path.write_text("text,speaker,split,emotion\nso,cy,train,joy\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.slow
def test_a_calibrated_model_says_sets_and_decides_as_before(run, model_folder, manifest, tmp_path):
    on = ["--corpus", "manifest", "--root", manifest]
    code, out, err = run("calibrate", model_folder, tmp_path / "sure", *on)
    assert (code, err) == (0, ""), err
    assert "text: emotion temperature" in out and "60 samples of manifest" in out
    assert (tmp_path / "sure" / "conformal.json").is_file()
    report = json.loads((tmp_path / "sure" / "report.json").read_text())
    assert report["calibration"]["text"]["emotion"]["n"] == 60 and "metrics" in report

    said = ["predict", "--text", "I am so happy", "--device", "cpu"]
    code, out, err = run(*said, "--model", tmp_path / "sure", "--coverage", 0.9, "--widest", 7, "--json", "-")
    assert (code, err) == (0, "")
    shape = json.loads(out)
    assert shape["coverage"] == 0.9 and 1 <= len(shape["overall"]["sets"]["emotion"]) <= 7
    code, out, _ = run(*said, "--model", tmp_path / "sure", "--coverage", 0.9)
    assert code == 0 and "one of" in out
    code, out, _ = run(*said, "--model", model_folder, "--coverage", 0.9)
    assert code == 0 and "was not calibrated" in " ".join(out.split())
    code, out, err = run(*said, "--model", model_folder, "--coverage", 90)
    assert (code, out) == (2, "") and "between 0 and 1" in err

    both = ["compare", model_folder, tmp_path / "sure", *on, "--resamples", 20, "--device", "cpu"]
    code, out, err = run(*both, "--json", "-", "--md", tmp_path / "both.md")
    assert (code, err) == (0, ""), err
    emotion = json.loads(out)["tasks"]["emotion"]
    assert emotion["n"] == 60 and emotion["metrics"]["uar"]["difference"]["estimate"] == 0
    assert "no difference can be told from chance" in (tmp_path / "both.md").read_text()


@pytest.mark.slow
def test_two_evaluations_are_compared_by_their_folders(run, model_folder, manifest, tmp_path):
    on = ["--corpus", "manifest", "--root", manifest, "--device", "cpu", "--limit", 30]
    assert run("evaluate", model_folder, *on, "--out", tmp_path / "a")[0] == 0
    protocol = json.loads((tmp_path / "a" / "report.json").read_text())["protocol"]
    assert (protocol["n"], protocol["limit"], protocol["utterances"]) == (30, 30, 60)
    code, out, err = run("compare", tmp_path / "a", tmp_path / "a", "--resamples", 10)
    assert (code, err) == (0, "") and "emotion: 30 samples in 6 clusters" in out
    code, out, err = run("compare", model_folder, tmp_path / "a")
    assert (code, out) == (2, "") and "--corpus and --root" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("a", "b", "names"),
    [
        ("runs/one/model", "runs/two/model", ("one", "two")),
        ("first/meld", "second/meld", ("first/meld", "second/meld")),
        ("emofuse-small", "emofuse-small", ("emofuse-small", "emofuse-small")),
    ],
)
def test_names_say_what_differs(a, b, names):
    assert _names(a, b) == names


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--option", "fold"], "is not KEY=VALUE"),
        (["--option", "fold=[1"], "the value is not YAML"),
        (["--option", "folds=2"], "folds"),
        (["--pair", "face"], "is not MODALITY=CORPUS:ROOT"),
        (["--pair", "smell=ferplus:x"], "text, speech, face"),
        (["--coverage", 9], "between 0 and 1"),
        (["--stress", "--only", "nois"], "no perturbation 'nois'"),
        (["--missing", "smell"], "neither a rate"),
        (["--missing", "0.3", "--stress"], "a table of its own"),
    ],
)
def test_what_evaluate_cannot_take_is_named(run, model_folder, manifest, wrong, says):
    on = ["--corpus", "manifest", "--root", manifest, "--device", "cpu"]
    code, out, err = run("evaluate", model_folder, *on, *wrong)
    assert (code, out) == (2, "") and says in err and err.strip().count("\n") == 0


def test_missing_modalities_are_a_table(run, model_folder, manifest, tmp_path):
    on = ["--corpus", "manifest", "--root", manifest, "--device", "cpu", "--out", tmp_path / "out"]
    code, out, err = run("evaluate", model_folder, *on, "--missing", "0.5", "--missing", "text")
    assert (code, err) == (0, "") and "| missing 0.5 |" in out and "| only text |" in out and "hash" in out
    assert (tmp_path / "out" / "missing.json").is_file()


def test_sure_rows_are_labelled(run, model_folder, tmp_path):
    (tmp_path / "my.csv").write_text("text,speaker,split,emotion\nso,cy,train,joy\nsad,cy,train,\nhm,bo,dev,joy\n")
    on = [tmp_path / "my.csv", tmp_path / "more.csv", "--model", model_folder, "--device", "cpu"]
    code, out, err = run("data", "label", *on, "--threshold", 0.01)
    assert (code, err) == (0, "") and "2 rows as they were" in out and "0 left out" in out
    assert len((tmp_path / "more.csv").read_text().splitlines()) == 4
    assert "1 left out" in run("data", "label", *on, "--threshold", 1)[1]


def test_weights_are_averaged(run, model_folder, tmp_path):
    code, out, err = run("average", tmp_path / "mean", model_folder, model_folder)
    assert (code, err) == (0, "") and str(tmp_path / "mean") in out
    assert (tmp_path / "mean" / "model.safetensors").is_file()
    code, out, err = run("average", tmp_path / "mean", model_folder)
    assert (code, out) == (2, "") and "two checkpoints at least" in err
    code, out, err = run("average", tmp_path / "mean", "emofuse-small", model_folder)
    assert (code, out) == (2, "") and "emofuse-small differ in" in err, "a name is a model here as elsewhere"


@pytest.mark.parametrize("command", ["compare", "calibrate", "average"])
def test_the_commands_explain_themselves(run, command):
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "") and f"Usage: emofuse {command}" in out
