"""From MMSA's feature file to MMSA's table: methods trained on the sequences, measured as scikit-learn says."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from emofuse.evaluation.predict import GIVEN, load
from emofuse.training.outcome.results import measure
from emofuse.training.recipe.read import load_recipe
from emofuse.training.run import fit
from tests.mmsa import part, write

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
WIDTHS = {"mosi": (6, 5, 4), "ch_sims": (5, 4, 6)}
SEEDS = (1111, 1112)
Vector = np.ndarray


def classes(values: Vector, reach: float) -> Vector:
    return np.round(np.clip(values, -reach, reach))


def of_mosi(truth: Vector, said: Vector) -> dict[str, float]:
    kept = truth != 0
    return {
        "Has0_acc_2": accuracy_score(truth >= 0, said >= 0),
        "Has0_F1_score": f1_score(truth >= 0, said >= 0, average="weighted"),
        "Non0_acc_2": accuracy_score(truth[kept] > 0, said[kept] > 0),
        "Non0_F1_score": f1_score(truth[kept] > 0, said[kept] > 0, average="weighted"),
        "Mult_acc_5": accuracy_score(classes(truth, 2), classes(said, 2)),
        "Mult_acc_7": accuracy_score(classes(truth, 3), classes(said, 3)),
        "MAE": mean_absolute_error(truth, said),
        "Corr": np.corrcoef(truth, said)[0, 1],
    }


def of_sims(truth: Vector, said: Vector) -> dict[str, float]:
    def cut(values: Vector, *cuts: float) -> Vector:
        return sum((values > c).astype(int) for c in cuts)

    return {
        "Mult_acc_2": accuracy_score(cut(truth, 0), cut(said, 0)),
        "Mult_acc_3": accuracy_score(cut(truth, -0.1, 0.1), cut(said, -0.1, 0.1)),
        "Mult_acc_5": accuracy_score(cut(truth, -0.7, -0.1, 0.1, 0.7), cut(said, -0.7, -0.1, 0.1, 0.7)),
        "F1_score": f1_score(cut(truth, 0), cut(said, 0), average="weighted"),
        "MAE": mean_absolute_error(truth, said),
        "Corr": np.corrcoef(truth, said)[0, 1],
    }


def made(root: Path, scale: tuple[float, ...], file: str, widths: tuple[int, ...]) -> None:
    names = ("train", "valid", "test")
    rows = {n: [(f"{n}{i // 6}$_${i % 6}", scale[i % len(scale)]) for i in range(24)] for n in names}
    write(root / "Processed" / file, {n: part(rows[n], widths, seed) for seed, n in enumerate(names)})


@pytest.mark.parametrize(
    ("corpus", "task", "file", "scale", "form"),
    [
        ("mosi", "sentiment", "unaligned_50.pkl", (-3.0, -1.4, -0.6, 0.0, 0.6, 2.2, 3.0), of_mosi),
        ("ch_sims", "sims_sentiment", "unaligned_39.pkl", (-1.0, -0.6, -0.2, 0.0, 0.2, 0.8, 1.0), of_sims),
    ],
)
def test_the_table_of_methods_and_seeds_is_mmsas(
    corpus: str, task: str, file: str, scale: tuple[float, ...], form: Callable[..., dict[str, float]], tmp_path: Path
):
    made(tmp_path / "data", scale, file, WIDTHS[corpus])
    widths = [f"model.encoders.{m}.width={w}" for m, w in zip(("text", "speech", "face"), WIDTHS[corpus], strict=True)]
    small = ["method=[late,tfn]", f"seeds=[{SEEDS[0]},{SEEDS[1]}]", "train.epochs=2", "model.fusion.dim=16"]
    where = [f"root={tmp_path / 'data'}", f"output.folder={tmp_path / 'run'}", "output.tensorboard=false"]
    recipe = load_recipe(RECIPES / corpus / "mmsa.yaml", [*where, *small, *widths, "train.device=cpu"])
    fit(recipe)
    rows = measure(recipe, "mmsa.yaml", ("dev", "test"))
    assert {(row.recipe, row.split) for row in rows} == {
        (f"mmsa.yaml, {method}", split) for method in ("late", "tfn") for split in ("dev", "test")
    }
    with (tmp_path / "run" / f"test-{task}.csv").open() as file_:
        table = {line["Model"]: line for line in csv.DictReader(file_)}
    for method in ("late", "tfn"):
        each = [
            of_run(tmp_path / "run" / method / f"seed-{seed}" / "evaluation" / "test", task, form) for seed in SEEDS
        ]
        assert list(table[method]) == ["Model", *each[0]]
        for column in each[0]:
            values = [100 * scores[column] for scores in each]
            mean, deviation = float(np.mean(values)), float(np.std(values))
            assert table[method][column] == str((round(mean, 2), round(deviation, 2))), column
    assert (tmp_path / "run" / f"test-{task}.md").read_text().startswith("| Model | " + " | ".join(each[0]) + " |\n")
    report = (tmp_path / "run" / "tfn" / f"seed-{SEEDS[1]}" / "evaluation" / "test" / "report.md").read_text()
    line = " | ".join(f"{100 * value:.2f}" for value in each[1].values())
    assert f"### As the papers' table has it\n\n| {' | '.join(each[1])} |" in report and f"| {line} |" in report


def of_run(folder: Path, task: str, form: Callable[..., dict[str, float]]) -> dict[str, float]:
    found = load(folder / "predictions.npz")
    rows = found.rows(GIVEN, task)
    truth, said = found.targets[task][rows, 0], found.values[GIVEN][task][rows, 0]
    assert len(truth) == 24
    return {name: float(value) for name, value in form(truth.astype(float), said.astype(float)).items()}
