"""`emofuse predict TABLE --text-column`: what its options do to a table, and those that are refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

TEXT = "I am Ann  Lee,\nwrite to ann@example.org or +44 20 7946 0958"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "comments.jsonl"
    rows = [{"id": "1", "comment": TEXT}, {"id": "2", "comment": "so sad"}, {"id": "3", "comment": None}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_texts_of_a_table_are_masked_once_they_are_predicted(predict, table):
    options = ("--text-column", "comment", "--id", "id")
    plain = list(csv.DictReader(predict(table, *options)[1].splitlines(keepends=True)))
    assert [row["comment"] for row in plain] == [TEXT, "so sad", ""]
    for more, text in [
        (("--mask",), "I am Ann  Lee,\nwrite to [email] or [number]"),
        (("--mask-names", "ann lee"), "I am [name],\nwrite to [email] or [number]"),
    ]:
        code, out, _ = predict(table, *options, *more, "--batch-size", 1, "--no-sidecars")
        rows = list(csv.DictReader(out.splitlines(keepends=True)))
        assert code == 0 and [row["comment"] for row in rows] == [text, "so sad", ""]
        assert [float(row["predicted_joy"]) for row in rows[:2]] == pytest.approx(
            [float(row["predicted_joy"]) for row in plain[:2]], abs=1e-5
        )


@pytest.mark.parametrize(
    "options",
    [
        "--text so",
        "--transcript a.srt",
        "--json a.json",
        "--srt a.srt",
        "--vtt a.vtt",
        "--rttm a.rttm",
        "--textgrid a.TextGrid",
        "--eaf a.eaf",
        "--render a.mp4",
        "--report a.html",
        "--blur",
        "--seconds a.csv",
        "--step 2",
        "--plot a.png",
        "--asr small",
        "--language en",
        "--widest 2",
        "--channels a,b",
        "--channel 0",
        "--speakers 2",
        "--only ann",
        "--context hello",
        "--start 1",
        "--end 2",
        "--acts acts.yaml",
        "--sidecars",
    ],
)
def test_options_of_clips_are_refused_beside_a_table_by_name(run, table, tmp_path, options):
    code, out, err = run("predict", table, "--text-column", "comment", *options.split(), "--model", tmp_path / "none")
    assert (code, out) == (2, "") and err.startswith(f"emofuse: {options.split()[0]}: not of a table of texts")


def test_options_of_a_table_are_refused_beside_clips(run, sample, tmp_path):
    for name in ("--id", "--speaker-column", "--dialogue-column", "--prefix"):
        code, out, err = run("predict", sample, name, "x", "--model", tmp_path / "none")
        assert (code, out) == (2, "") and f"{name}: only of a table; name its column of texts with --text-column" in err
