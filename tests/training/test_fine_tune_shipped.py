"""The shipped model, tuned on a few of a user's rows, keeps what it had learnt and how it was calibrated."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from emofuse.model.model import EmotionModel
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit

if TYPE_CHECKING:
    from emofuse.model.heads import SubsetTables

ROWS = [
    ("What a lovely morning!", "joy", "train"),
    ("I am glad you came.", "joy", "train"),
    ("I miss her so much.", "sadness", "train"),
    ("Nobody called me today.", "sadness", "train"),
    ("We had a wonderful time.", "joy", "dev"),
    ("It makes me want to cry.", "sadness", "dev"),
]


def tables(model: EmotionModel) -> dict[str, SubsetTables]:
    """Every head by its name."""
    own = {f"{m}.{t}": head for m, heads in model.modality_heads.items() for t, head in heads.tasks.items()}
    return own | dict(model.heads.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the rows are, and the run."""
    return tmp_path_factory.mktemp("few")


@pytest.fixture(scope="module")
def tuned(folder: Path, repository: Path) -> EmotionModel:
    """After one epoch on four sentences."""
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("text", "emotion", "split", "speaker"), *((*r, f"s{i}") for i, r in enumerate(ROWS))]
        )
    shipped = json.loads((repository / "checkpoints" / "emofuse-small" / "config.json").read_text("utf-8"))
    recipe = {
        "name": "few",
        "root": str(folder),
        "data": {"sources": [{"corpus": "manifest", "root": "manifest.csv"}]},
        "model": {
            "tasks": [task["name"] for task in shipped["tasks"]],
            "encoders": {modality: {} for modality in shipped["encoders"]},
            "fusion": shipped["fusion"],
            "init": {"all": "emofuse-small"},
        },
        "strategy": {modality: {"kind": "frozen"} for modality in shipped["encoders"]},
        "train": {"epochs": 1, "batch_size": 4, "device": "cpu", "metric": "emotion.accuracy"},
        "output": {"tensorboard": False, "folder": str(folder / "run")},
    }
    return EmotionModel.from_pretrained(fit(parse_recipe(recipe)))


@pytest.mark.slow
@pytest.mark.checkpoint
def test_what_it_had_learnt_stays_learnt_and_calibrated(shipped: EmotionModel, tuned: EmotionModel) -> None:
    """Six rows are too few to fit a temperature or a set on, and say nothing of a face, a voice or a polarity."""
    before, after = tables(shipped), tables(tuned)
    assert set(after) == set(before)
    for name, head in after.items():
        assert torch.equal(head.temperature, before[name].temperature), name
        assert bool((head.supported_subsets | ~before[name].supported_subsets).all()), name
    assert set(tuned.conformal) == set(shipped.conformal)
    for subset, scores in tuned.conformal.items():
        assert {t: s.n for t, s in scores.items()} == {t: s.n for t, s in shipped.conformal[subset].items()}
    assert set(tuned.familiarity) == set(shipped.familiarity), "the encoders are frozen"


@pytest.mark.slow
@pytest.mark.checkpoint
def test_it_still_answers_of_a_face_of_a_voice_and_of_polarity(
    shipped: EmotionModel, tuned: EmotionModel, repository: Path
) -> None:
    import emofuse

    sample = repository / "demo" / "samples" / "sample.mp4"
    found = emofuse.Pipeline(tuned)(sample, transcript=sample.with_suffix(".srt"))
    plain = emofuse.Pipeline(shipped)(sample, transcript=sample.with_suffix(".srt"))
    assert found.overall is not None and plain.overall is not None
    assert found.overall.polarity is not None
    for mine, theirs in zip(found.segments, plain.segments, strict=True):
        assert set(mine.by_modality) == set(theirs.by_modality) == set(mine.present) != set()
    words = emofuse.Pipeline(tuned)(text="This is terrible, I hate it.").overall
    assert words is not None and words.polarity is not None
    assert words.polarity["negative"] == max(words.polarity.values())
