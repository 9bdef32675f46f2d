"""The commands beside predict, and the face of all of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

import emofuse
from tests import mmsa

HEAVY = ("torch", "transformers", "numpy", "cv2", "av", "pandas", "matplotlib", "pydantic", "rich")


def test_help_loads_nothing_heavy():
    code = f"""
import sys
from emofuse.cli import main
try:
    main(["--help"])
finally:
    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "predict" in done.stdout and done.stderr == "[]\n"


def test_without_a_command_help_is_shown(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    for command in ("predict", "info", "train", "tune", "evaluate", "explain", "data"):
        assert f"  {command} " in out


def test_the_version(run):
    assert run("--version") == (0, f"{emofuse.__version__}\n", "")


def test_an_unknown_command_names_the_nearest(run):
    code, out, err = run("predic")
    assert (code, out) == (2, "") and "No such command 'predic'" in err and err.count("\n") == 1


def test_info_says_what_a_model_is(run, model_folder):
    code, out, err = run("info", model_folder)
    assert (code, err) == (0, "")
    for part in ("cc-by-nc-sa-4.0", "neutral, joy, sadness", "ravdess, emotion", "UAR 0.512 (n 240)", "million"):
        assert part in out
    assert "0.100" not in out, "a modality's own figures are for the report"


def test_info_of_the_model_that_ships_has_its_measured_quality(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run("info")
    assert (code, err) == (0, "")
    assert re.search(r"meld, text +MELD dev, five earlier turns: emotion weighted F1 0\.\d{3} \(n \d+\); polarity", out)
    assert re.search(r"ravdess, speech +RAVDESS actors 17-20.*: emotion UAR 0\.\d{3} \(n 240\)", out)


def test_info_of_nothing_is_one_line(run, tmp_path):
    code, out, err = run("info", tmp_path)
    assert (code, out) == (2, "") and "holds no config.json" in err and err.count("\n") == 1


MANIFEST = "text,speaker,split,emotion\nI am happy,ann,train,joy\nGo away,bob,dev,anger\n"


def test_a_good_manifest_is_fine(run, tmp_path):
    (tmp_path / "my.csv").write_text(MANIFEST)
    code, out, err = run("data", "check", tmp_path / "my.csv")
    assert (code, err) == (0, "") and "is fine" in out


def test_a_bad_manifest_names_the_row(run, tmp_path):
    (tmp_path / "my.csv").write_text(MANIFEST + "Hm,cy,train,hungry\n")
    code, out, err = run("data", "check", tmp_path / "my.csv")
    assert code == 2 and "hungry" in out and "4" in out
    assert err.count("\n") == 1 and "1 problem" in err


def test_classes_of_ones_own(run, tmp_path):
    (tmp_path / "my.csv").write_text("text,speaker,split,mood\nHm,ann,train,hungry\nOh,bob,dev,full\n")
    assert run("data", "check", tmp_path / "my.csv", "--task", "mood=hungry,full")[0] == 0
    code, _, err = run("data", "check", tmp_path / "my.csv", "--task", "mood")
    assert code == 2 and "is not NAME=CLASS,CLASS" in err


def test_words_of_ones_own_and_columns_that_are_no_labels(run, tmp_path):
    (tmp_path / "my.csv").write_text("text,split,emotion,rater\nHm,train,happy,3\nOh,dev,other,4\n")
    words = ("--label", "emotion.happy=joy", "--label", "emotion.other=null")
    code, out, err = run("data", "check", tmp_path / "my.csv", *words)
    assert code == 2 and "column 'rater' is no task and would be ignored" in out and "1 problem" in err
    assert run("data", "check", tmp_path / "my.csv", *words, "--ignore", "rater")[0] == 0
    code, _, err = run("data", "check", tmp_path / "my.csv", "--label", "happy=joy")
    assert code == 2 and "is not TASK.WORD=CLASS" in err


def test_a_manifest_as_shards(run, tmp_path):
    (tmp_path / "my.csv").write_text(MANIFEST)
    code, out, _ = run("data", "shards", tmp_path / "my.csv", tmp_path / "shards", "--size", "1 MB")
    assert code == 0 and out == f"2 utterances in 2 shards in {tmp_path / 'shards'}\n"
    assert (tmp_path / "shards" / "dev-00000.tar").is_file()
    code, _, err = run("data", "shards", tmp_path / "my.csv", tmp_path / "other", "--size", "many")
    assert code == 2 and "--size 'many' is no size" in err and not (tmp_path / "other").exists()
    assert run("data", "stats", tmp_path / "shards", "--corpus", "shards")[0] == 0


def test_a_feature_file_is_held_against_its_corpus(run, tmp_path):
    rows = {"train": [("a$_$1", 2.4)], "valid": [("b$_$1", -1.0)], "test": [("c$_$1", 0.0)]}
    mmsa.write(tmp_path / "unaligned_50.pkl", {name: mmsa.part(rows[name], (3, 2, 2), 0) for name in rows})
    table = "video_id,clip_id,text,label,annotation,mode\na,1,A,2.4,,train\nb,1,B,-1,,valid\nc,1,C,{},,test\n"
    (tmp_path / "label.csv").write_text(table.format(0))
    check = ("data", "check", tmp_path, "--corpus", "mosi", "--option", "features=unaligned_50.pkl")
    code, out, err = run(*check)
    assert (code, err) == (0, "") and "is fine" in out
    (tmp_path / "label.csv").write_text(table.format(1.5))
    code, out, err = run(*check)
    assert code == 2 and "unaligned_50.pkl c_1: sentiment is 0, and 1.5 in label.csv row 4" in out
    code, _, err = run(*check, "--ignore", "rater")
    assert code == 2 and "are of a manifest" in err


def test_what_is_in_a_manifest(run, tmp_path):
    (tmp_path / "my.csv").write_text(MANIFEST)
    code, out, _ = run("data", "stats", tmp_path / "my.csv", "--plot", tmp_path / "my.png")
    assert code == 0 and "emotion: joy" in out and (tmp_path / "my.png").is_file()
    code, out, err = run("data", "stats", tmp_path / "my.csv", "--json", "-")
    assert (code, err) == (0, "") and json.loads(out)["utterances"] == {"train": 1, "dev": 1}


def test_a_corpus_that_is_not_there(run, tmp_path):
    code, out, err = run("data", "stats", tmp_path, "--corpus", "ravdes")
    assert (code, out) == (2, "") and "did you mean 'ravdess'?" in err


def test_a_recipe_that_is_not_there(run, tmp_path):
    code, out, err = run("train", tmp_path / "nowhere.yaml")
    assert (code, out) == (2, "") and "no recipe at" in err and err.count("\n") == 1


@pytest.mark.slow
def test_a_model_is_evaluated(run, model_folder, tmp_path):
    rows = [
        f"I am so {word} {i},{who},dev,{label}"
        for i in range(6)
        for who, word, label in [("ann", "happy", "joy"), ("bob", "sad", "sadness")]
    ]
    (tmp_path / "my.csv").write_text("text,speaker,split,emotion\nso,cy,train,joy\n" + "\n".join(rows) + "\n")
    options = ["--corpus", "manifest", "--root", tmp_path / "my.csv", "--device", "cpu"]
    code, out, err = run("evaluate", model_folder, *options, "--out", tmp_path / "report")
    assert (code, err) == (0, ""), err
    assert out.startswith("emotion: ") and "12 samples" in out
    assert (tmp_path / "report" / "report.html").is_file()
    code, _, err = run("evaluate", model_folder, *options, "--split", "development")
    assert code == 2 and "valid: train, dev, test" in err


@pytest.mark.parametrize("command", ["predict", "info", "train", "tune", "evaluate", "explain", "data"])
def test_every_command_explains_itself(run, command):
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "") and f"Usage: emofuse {command}" in out


def test_words_are_explained(run, model_folder, tmp_path):
    options = ["--text", "I am so happy!", "--model", model_folder, "--device", "cpu"]
    code, out, err = run("explain", *options, "--html", tmp_path / "why.html")
    assert (code, err) == (0, "") and "The model finds" in out
    assert "happy" in (tmp_path / "why.html").read_text()
    code, out, err = run("explain", *options, "--json", "-", "--target", "fear")
    assert (code, err) == (0, "") and json.loads(out)["explanations"][0]["target"] == "fear"
    code, out, err = run("explain", *options, "--target", "hunger")
    assert (code, out) == (2, "") and "hunger" in err and err.count("\n") == 1
    assert run("explain", "--model", model_folder)[0] == 2
    code, _, err = run("explain", "--text", " ", "--model", model_folder)
    assert code == 2 and "there is nothing to explain" in err


def test_rows_to_label_are_chosen(run, model_folder, tmp_path):
    (tmp_path / "my.csv").write_text(MANIFEST + "so sad,cy,train,\nso great,cy,train,\n")
    options = ["--model", model_folder, "--device", "cpu"]
    code, out, err = run("data", "suggest", tmp_path / "my.csv", tmp_path / "ask.csv", "-n", 1, *options)
    assert (code, err) == (0, "") and "1 rows to label" in out
    assert len((tmp_path / "ask.csv").read_text().splitlines()) == 2
    code, _, err = run("data", "suggest", tmp_path / "my.csv", tmp_path / "ask.csv", "--by", "luck", *options)
    assert code == 2 and "luck" in err


@pytest.mark.parametrize("command", [("data", "stats"), ("trend", "--time", "at")])
def test_a_picture_of_no_known_ending_is_refused_before_any_work(run, tmp_path, command):
    (tmp_path / "my.csv").write_text(MANIFEST)
    target, also = tmp_path / "a.foo", tmp_path / "a.json"
    code, out, err = run(*command, tmp_path / "my.csv", "--plot", target, "--json", also)
    assert (code, out) == (2, "") and "cannot draw to" in err and "valid: .pdf, .png, .svg" in err
    assert not target.exists() and not also.exists()
