"""Cross-corpus figures: over shared labels alone, as scikit-learn has them, with intervals and the spread of runs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from emofuse.evaluation.report.transfer import html, markdown, table_csv
from emofuse.evaluation.transfer import Answered, Transfer, crossings
from emofuse.tasks import TASKS

EMOTION, VALENCE = TASKS["emotion"], TASKS["valence"]
NAMES = np.array(EMOTION.classes)


def told(corpus: str, classes: tuple[str, ...], n: int = 60, runs: int = 2, seed: int = 0) -> Answered:
    rng = np.random.default_rng(seed)
    truth = rng.choice([EMOTION.classes.index(c) for c in classes], n)
    values = rng.dirichlet(np.ones(7), (n, runs)) + 0.3 * np.eye(7)[truth][:, None]
    values /= values.sum(-1, keepdims=True)
    targets = {"emotion": np.eye(7)[truth], "valence": rng.uniform(-1, 1, (n, 1))}
    said = {"emotion": values, "valence": targets["valence"][:, None] + rng.normal(0, 0.3, (n, runs, 1))}
    return Answered(
        corpus, "dev", {"corpus": corpus, "split": "dev", "n": n}, targets, said, [f"s{i % 12}" for i in range(n)]
    )


@pytest.fixture
def home():
    return told("a", ("neutral", "joy", "sadness", "anger"))


@pytest.fixture
def abroad():
    return told("b", ("joy", "sadness", "anger", "fear"), seed=1)


def test_figures_are_those_of_the_shared_labels(home, abroad):
    (found, valence), notes = crossings([EMOTION, VALENCE], home.targets, home, abroad, resamples=50)
    assert found.labels == ("joy", "sadness", "anger") and not notes
    assert found.left_out == ("neutral", "fear", "disgust", "surprise") and found.chance == pytest.approx(1 / 3)
    shared = [EMOTION.classes.index(c) for c in found.labels]
    for figures, given in ((found.at_home, home), (found.away, abroad)):
        truth = given.targets["emotion"].argmax(1)
        rows = np.isin(truth, shared)
        each = [np.array(shared)[given.values["emotion"][rows, r][:, shared].argmax(1)] for r in (0, 1)]
        reference = {
            "accuracy": [accuracy_score(truth[rows], p) for p in each],
            "uar": [balanced_accuracy_score(truth[rows], p) for p in each],
            "macro_f1": [f1_score(truth[rows], p, average="macro") for p in each],
            "weighted_f1": [f1_score(truth[rows], p, average="weighted") for p in each],
        }
        assert figures.n == rows.sum()
        for name, values in reference.items():
            i = figures.interval[name]
            assert i.estimate == pytest.approx(np.mean(values)) and i.low < i.estimate < i.high
            assert figures.deviation[name] == pytest.approx(np.std(values, ddof=1))
    assert valence.labels == () and valence.away.interval["pearson"].estimate > 0.8


def test_what_is_not_shared_is_said(home):
    other = told("c", ("joy", "fear"))
    found, notes = crossings([EMOTION], home.targets, home, other, resamples=5)
    assert not found and notes == ["c: shares 1 of the classes of emotion with a"]
    nothing = told("d", ("joy", "sadness"))
    nothing.targets["emotion"][:] = np.nan
    assert crossings([EMOTION], home.targets, home, nothing)[1] == ["d: no label of emotion that a has too"]


def test_a_page_a_table_and_rows_say_the_same(home, abroad):
    found, _ = crossings([EMOTION], home.targets, home, abroad, resamples=20)
    whole = Transfer("small", (0, 1), tuple(found), (home.protocol, abroad.protocol), ("a <note>",))
    uar = f"{found[0].away.interval['uar'].estimate:.3f}"
    for text in (html(whole), markdown(whole)):
        assert uar in text and "joy, sadness, anger" in text and "seeds 0, 1" in text
    assert "a &lt;note&gt;" in html(whole)
    rows = table_csv(whole).splitlines()
    assert len(rows) == 1 + 2 * 4 and rows[0].startswith("task,trained_on,measured_on")
    assert (
        whole.to_dict()["crossings"][0]["away"]["interval"]["uar"]["estimate"] == found[0].away.interval["uar"].estimate
    )
