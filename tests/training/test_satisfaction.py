"""Satisfaction: a column of ratings in a manifest is learnt and stands in the report of a call."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.corpora.manifest.reader import check_manifest
from emofuse.pipeline.call_report import call_report
from emofuse.pipeline.pipeline import load
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit

SAID = {
    "joy": (["i am so happy!", "this is great", "so so happy"], 5),
    "sadness": (["sad", "this is terrible", "i am so sad"], 1),
}


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    """Calls' turns with the customer's rating of the call, a number from 1 to 5."""
    path = tmp_path / "calls.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "speaker", "split", "emotion", "satisfaction"])
        for number in range(32):
            emotion = ("joy", "sadness")[number % 2]
            said, rating = SAID[emotion]
            split = "train" if number < 24 else "dev"
            writer.writerow([f"{said[number // 2 % 3]} {number}", f"{split}{number}", split, emotion, rating])
    return path


def test_a_rating_out_of_its_range_is_a_problem_of_the_row(tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text("text,satisfaction\nsad,1\nso happy,9\n", "utf-8")
    (problem,) = check_manifest(path)
    assert "satisfaction" in str(problem) and "row 3" in str(problem)


@pytest.mark.slow
def test_a_column_of_ratings_is_learnt_and_stands_in_a_calls_report(rated: Path, tiny_values: dict[str, Any], tmp_path):
    values = tiny_values | {"root": str(rated.parent)}
    values |= {"data": {"sources": [{"corpus": "manifest", "root": rated.name}]}}
    text = tiny_values["model"]["encoders"]["text"]
    values["model"] = tiny_values["model"] | {"tasks": ["emotion", "satisfaction"], "encoders": {"text": text}}
    values["train"] = tiny_values["train"] | {"epochs": 30, "metric": "satisfaction.mae"}
    values |= {"optim": {"lr": 0.01}, "output": {"folder": str(tmp_path / "run"), "tensorboard": False}}
    model = load(fit(parse_recipe(values)), device="cpu")
    srt = "1\n00:00:00,000 --> 00:00:02,000\nCustomer: i am so sad\n\n"
    srt += "2\n00:00:02,500 --> 00:00:04,000\nAgent: i am so happy!\n"
    sound = (0.1 * np.sin(np.arange(16_000 * 5) / 10)).astype(np.float32)
    report = call_report(model(audio=(16_000, sound), transcript=srt), of="sadness")
    rates = {course.speaker: course.satisfaction for course in report.courses}
    assert 1 <= rates["Customer"] < 2.5 and 3.5 < rates["Agent"] <= 5
    assert report.row()["Customer.satisfaction"] == rates["Customer"]
    assert "satisfaction, 1 to 5" in report.to_html()
