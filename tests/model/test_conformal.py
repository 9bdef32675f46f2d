"""Prediction sets against the coverage they promise."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from emofuse.calibration.temperature import softmax
from emofuse.errors import CheckpointError, DataError
from emofuse.model.conformal import Conformal, ConformalScores, ConformalWarning, load_conformal, save_conformal

CLASSES = ("a", "b", "c", "d")


def drawn(temperature: float, n: int = 6000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax at `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 4)) * 2
    return logits, np.eye(4)[[rng.choice(4, p=p) for p in softmax(logits, temperature)]]


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_coverage_is_kept_on_the_other_half(method, coverage: float) -> None:
    logits, targets = drawn(1.0, n=8000)
    probs = softmax(logits, 0.4)  # overconfident: the promise must hold all the same
    fitted = Conformal.fit(probs[::2], targets[::2], coverage, classes=CLASSES, method=method, seed=0)
    held = fitted.assess(probs[1::2], targets[1::2], seed=1)
    assert held["coverage"] == pytest.approx(coverage, abs=0.02)
    assert 1 <= held["size"] < 4


def test_conservative_aps_covers_at_least_what_was_promised() -> None:
    logits, targets = drawn(1.0, n=8000)
    probs = softmax(logits)
    fitted = Conformal.fit(probs[::2], targets[::2], 0.9, classes=CLASSES, method="aps")
    assert fitted.assess(probs[1::2], targets[1::2])["coverage"] > 0.88


def test_the_threshold_is_the_promised_order_statistic() -> None:
    probs = np.column_stack([np.arange(1, 10) / 10, 1 - np.arange(1, 10) / 10])
    fitted = Conformal.fit(probs, np.zeros(9, dtype=int), 0.8, classes=("a", "b"))
    assert fitted.threshold == pytest.approx(1 - 0.2)  # the 8th smallest of 1 - p, p = 0.9 … 0.1
    assert fitted.n == 9


def test_sets_are_ordered_and_never_empty_and_wide_ones_abstain() -> None:
    fitted = Conformal("lac", 0.9, threshold=0.75, n=10, classes=CLASSES, widest=2)
    probs = np.array(
        [[0.3, 0.6, 0.05, 0.05], [0.24, 0.23, 0.27, 0.26], [0.3, 0.35, 0.05, 0.3], [0.01, 0.01, 0.01, 0.97]]
    )
    assert fitted.predict_sets(probs) == [("b", "a"), ("c", "d"), None, ("d",)]
    strict = Conformal("lac", 0.9, threshold=0.0, n=10, classes=CLASSES)
    assert strict.predict_sets(probs) == [("b",), ("c",), ("b",), ("d",)]


def test_too_few_samples_promise_only_the_whole_set() -> None:
    with pytest.warns(ConformalWarning, match="cannot promise"):
        fitted = Conformal.fit(softmax(np.eye(4)), np.arange(4), 0.9, classes=CLASSES)
    assert math.isinf(fitted.threshold)
    assert len(fitted.predict_sets(softmax(np.eye(4)))[0] or ()) == 4


def test_conformal_refuses_what_it_cannot_promise() -> None:
    probs = softmax(np.eye(4))
    with pytest.raises(ValueError, match="between 0 and 1"):
        Conformal.fit(probs, np.arange(4), 90, classes=CLASSES)
    with pytest.raises((ValueError, TypeError)):
        Conformal.fit(probs, np.arange(4), 0.5, classes=CLASSES, method="raps")  # type: ignore[arg-type]
    with pytest.raises((ValueError, TypeError)):
        Conformal.fit(probs[:, :3], np.arange(4), 0.5, classes=CLASSES)
    with pytest.raises(DataError, match="NaN"):
        Conformal.fit(probs * np.nan, np.arange(4), 0.5, classes=CLASSES)
    fitted = Conformal("lac", 0.9, 0.5, 10, CLASSES)
    with pytest.warns(ConformalWarning, match="no samples"):
        assert np.isnan(fitted.assess(np.empty((0, 4)), np.empty(0, int))["coverage"])
    with pytest.raises((ValueError, TypeError)):
        fitted.predict_sets(np.ones((1, 3)))


def test_every_source_counts_the_same_however_large() -> None:
    """Of two sources, one of which is hard and small, the coverage holds for a sample of a random one."""
    (easy, known), (hard, unknown) = drawn(0.3, n=8000), drawn(4.0, n=4000, seed=1)
    probs = softmax(np.vstack([easy[::2], hard[::2]]))
    targets = np.vstack([known[::2], unknown[::2]])
    names = np.repeat(["easy", "hard"], [4000, 2000])
    balanced = ConformalScores.fit(probs, targets, classes=CLASSES, sources=names).at(0.9)
    pooled = ConformalScores.fit(probs, targets, classes=CLASSES).at(0.9)
    each = [balanced.assess(softmax(x[1::2]), t[1::2])["coverage"] for x, t in ((easy, known), (hard, unknown))]
    assert np.mean(each) == pytest.approx(0.9, abs=0.02)
    assert pooled.assess(softmax(hard[1::2]), unknown[1::2])["coverage"] < each[1] - 0.05
    assert (balanced.n, pooled.n) == (6000, 6000)


def test_scores_survive_the_disk_and_cover_no_less(tmp_path) -> None:
    logits, targets = drawn(1.0, n=500)
    names = np.repeat(["one", "two"], 250)
    scores = ConformalScores.fit(softmax(logits), targets, classes=CLASSES, sources=names, most=100)
    assert {s: len(own) for s, own in scores.scores.items()} == {"one": 100, "two": 100}
    save_conformal({"text": {"mood": scores}}, tmp_path / "conformal.json")
    back = load_conformal(tmp_path / "conformal.json")["text"]["mood"]
    assert (back.method, back.classes) == (scores.method, scores.classes)
    assert scores.at(0.9).threshold <= back.at(0.9).threshold <= scores.at(0.9).threshold + 1e-5
    assert [p.name for p in tmp_path.iterdir()] == ["conformal.json"]
    for text in ("[]", "{", json.dumps({"text": {"mood": {"method": "lac"}}})):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(CheckpointError, match="emofuse calibrate"):
            load_conformal(tmp_path / "bad.json")


def test_a_score_at_the_threshold_is_in_the_set() -> None:
    """The promise is of scores up to and with the quantile: 1 - p <= threshold."""
    fitted = Conformal("lac", 0.9, threshold=0.75, n=10, classes=CLASSES)
    probs = np.array([[0.5, 0.25, 0.2499, 0.0]])
    assert fitted.members(probs).tolist() == [[True, True, False, False]]
    assert Conformal("lac", 0.9, 0.75, 10, CLASSES, widest=2).predict_sets(probs) == [("a", "b")]
    assert Conformal("lac", 0.9, 0.75, 10, CLASSES, widest=1).predict_sets(probs) == [None]


@pytest.mark.parametrize(("coverage", "rank"), [(0.1, 1), (0.2, 2), (0.21, 3), (0.5, 5), (0.9, 9)])
def test_the_threshold_is_the_order_statistic_of_the_coverage(coverage: float, rank: int) -> None:
    """Of nine scores the ⌈10 · coverage⌉-th smallest."""
    scores = ConformalScores("lac", ("a", "b"), {"": tuple(np.arange(1, 10) / 10)})
    assert scores.at(coverage).threshold == pytest.approx(rank / 10)
    assert (scores.at(coverage).coverage, scores.n) == (coverage, 9)


def test_two_sources_share_the_promise() -> None:
    """One score of each: shares of 1 / (2 · 2) reach a half together, and no more."""
    scores = ConformalScores("lac", ("a", "b"), {"one": (0.2,), "two": (0.6,)})
    assert (scores.at(0.25).threshold, scores.at(0.5).threshold) == (0.2, 0.6)
    with pytest.warns(ConformalWarning, match="^2 samples cannot promise a coverage of 0.51: every set holds every"):
        assert math.isinf(scores.at(0.51).threshold)


def test_adaptive_sets_take_classes_until_their_mass_is_reached() -> None:
    probs = np.array([[0.1, 0.5, 0.25, 0.15]])
    for threshold, inside in ((0.4, ("b",)), (0.5, ("b",)), (0.75, ("b", "c")), (0.9, ("b", "c", "d"))):
        assert Conformal("aps", 0.9, threshold, 10, CLASSES).predict_sets(probs) == [inside]
    fitted = ConformalScores.fit(probs, np.array([2]), classes=CLASSES, method="aps")
    assert fitted.scores == {"": (0.75,)}
    drawn_once = ConformalScores.fit(probs, np.array([2]), classes=CLASSES, method="aps", seed=3).scores[""][0]
    assert drawn_once == pytest.approx(0.75 - np.random.default_rng(3).random() * 0.25)


def test_of_a_large_source_each_sample_is_kept_at_most_once() -> None:
    """Drawn without replacement: a score that came twice would stand for a sample that was never seen."""
    probs = np.column_stack([np.linspace(0.01, 0.99, 50), 1 - np.linspace(0.01, 0.99, 50)])
    kept = ConformalScores.fit(probs, np.zeros(50, int), classes=("a", "b"), most=49).scores[""]
    assert len(set(kept)) == len(kept) == 49
    assert list(kept) == sorted(kept)
    assert len(ConformalScores.fit(probs, np.zeros(50, int), classes=("a", "b"), most=50).scores[""]) == 50


def test_unlabelled_rows_are_left_out_with_their_sources() -> None:
    probs = np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    labels = np.array([[1.0, 0.0], [np.nan, np.nan], [0.4, 0.6]])
    fitted = ConformalScores.fit(probs, labels, classes=("a", "b"), sources=["x", "x", "y"])
    assert fitted.scores == {"x": pytest.approx((0.3,)), "y": pytest.approx((0.2,))}
    assert (fitted.method, fitted.classes, fitted.n) == ("lac", ("a", "b"), 2)


def test_what_was_reached_is_counted_by_hand() -> None:
    fitted = Conformal("lac", 0.5, threshold=0.7, n=9, classes=CLASSES, widest=1)
    probs = np.array([[0.6, 0.4, 0.0, 0.0], [0.1, 0.2, 0.0, 0.7], [0.3, 0.3, 0.3, 0.1], [0.9, 0.1, 0.0, 0.0]])
    found = fitted.assess(probs, np.array([1, 0, 2, 0]))
    assert found == {"n": 4, "coverage": 0.75, "size": 7 / 4, "abstained": 0.5}
    assert Conformal("lac", 0.5, 0.7, 9, CLASSES).assess(probs, np.array([1, 0, 2, 0]))["abstained"] == 0.0


def test_scores_on_disk_are_rounded_up() -> None:
    from emofuse.model.conformal import _rounded

    assert _rounded({"a": [0.123451, 0.5]}) == {"a": [0.12346, 0.5]}


def test_rows_whose_raters_tie_promise_nothing() -> None:
    probs = np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    labels = np.array([[1.0, 0.0], [0.5, 0.5], [0.4, 0.6]])
    fitted = ConformalScores.fit(probs, labels, classes=("a", "b"), sources=["x", "x", "y"])
    assert fitted.scores == {"x": pytest.approx((0.3,)), "y": pytest.approx((0.2,))}
    assert Conformal("lac", 0.5, 0.5, 9, ("a", "b")).assess(probs, labels)["n"] == 2


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"probs \(2, 3\) must be samples × 4 classes, with as many labels \(2\)"):
        ConformalScores.fit(np.ones((2, 3)), np.zeros(2, int), classes=CLASSES)
    with pytest.raises(DataError, match=r"^some probabilities are NaN: the model diverged, or was fed what it cannot"):
        ConformalScores.fit(np.full((2, 4), np.nan), np.zeros(2, int), classes=CLASSES)
    for coverage in (0.0, 1.0):
        with pytest.raises(ValueError, match=f"^coverage {coverage} is not between 0 and 1; 0.9 promises nine of ten"):
            ConformalScores("lac", CLASSES, {"": (0.5,)}).at(coverage)


def test_what_the_disk_holds_is_believed_only_whole(tmp_path) -> None:
    good = {"method": "aps", "classes": ["a", "b"], "scores": {"x": [0.25, 0.5]}}
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"text": {"mood": good}}))
    assert load_conformal(path)["text"]["mood"] == ConformalScores("aps", ("a", "b"), {"x": (0.25, 0.5)})
    for wrong, why in (
        ({"method": "raps"}, r"method 'raps' over the classes \['a', 'b'\]"),
        ({"classes": ["a", 1]}, r"method 'aps' over the classes \['a', 1\]"),
        ({"scores": {"x": [0.1, float("inf")]}}, "some scores are no finite numbers"),
    ):
        path.write_text(json.dumps({"text": {"mood": good | wrong}}))
        with pytest.raises(CheckpointError, match=rf"c\.json holds no conformal scores \({why}.*or delete it$"):
            load_conformal(path)


def test_sources_of_compositions_alone_are_composed() -> None:
    def of(*names: str) -> ConformalScores:
        return ConformalScores("lac", CLASSES, dict.fromkeys(names, (0.5,)))

    assert of("composed text+speech").composed and not of("composed text", "meld").composed
    assert not of().composed and of("a", "b").n == 2
