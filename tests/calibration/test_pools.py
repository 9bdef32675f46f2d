"""Pools fitted: composed parts err together, recordings lift the caution, and coverage holds where parts correlate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from emofuse.calibration.composition import Opinions, compose, correlated_ranks, opinions_of
from emofuse.calibration.parts import Parts
from emofuse.calibration.pools import Drawn, calibrate_pools, fit_pool
from emofuse.metrics import nll
from emofuse.model.conformal import COMPOSED
from emofuse.model.model import EmotionModel


@pytest.fixture
def pooling_model(tiny_config):
    fusion = tiny_config.fusion.model_copy(update={"pool": "mean", "correction": "never", "unimodal": "passthrough"})
    return EmotionModel(tiny_config.model_copy(update={"fusion": fusion})).eval()


def people(n: int, common: float, seed: int = 0, strengths=(2.0, 2.0)) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, m, 7] of parts that share a part of their noise, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, n)
    shared = rng.standard_normal((n, 1, 7)) * np.sqrt(common)
    own = rng.standard_normal((n, len(strengths), 7)) * np.sqrt(1 - common)
    return np.eye(7)[labels][:, None] * np.array(strengths)[:, None] + (shared + own) * 1.2, labels


def parts_of(model: EmotionModel, source: str, logits: dict[str, np.ndarray], labels: np.ndarray) -> Parts:
    """As if a model had said these logits; all other modalities and tasks are absent."""
    n = len(labels)
    nothing = {t.name: np.full((n, t.width), np.nan) for t in model.tasks}
    tables = {m: nothing | ({"emotion": logits[m]} if m in logits else {}) for m in model.modalities}
    states = {m: np.full((n, 1), 0.0 if m in logits else np.nan, np.float32) for m in model.modalities}
    return Parts(source, tables, states, nothing | {"emotion": np.eye(7)[labels]}, [str(i) for i in range(n)])


def test_ranks_are_as_correlated_as_was_asked():
    for asked in (0.0, 0.25, 0.5):
        ranks = correlated_ranks(np.random.default_rng(0), 4000, 3, asked)
        assert stats.spearmanr(ranks[:, 0], ranks[:, 2]).statistic == pytest.approx(asked, abs=0.05)
        assert stats.kstest(ranks[:, 1], "uniform").pvalue > 1e-3


def test_composed_parts_share_their_class_and_their_near_miss():
    logits, labels = people(3000, 0.0)
    columns = {m: opinions_of([special.log_softmax(logits[:, j], 1)], [np.eye(7)[labels]]) for j, m in enumerate("ab")}
    wrong = []
    for correlation in (0.0, 0.5):
        parts, truth = compose(columns, 3000, correlation=correlation, conflict=0.0)
        said = parts.argmax(2)
        both = (said != truth[:, None]).all(1)
        wrong.append((both.mean(), (said[both, 0] == said[both, 1]).mean()))
        assert (said == truth[:, None]).mean() == pytest.approx((logits.argmax(2) == labels[:, None]).mean(), abs=0.05)
    assert wrong[1][0] > 1.3 * wrong[0][0]
    assert wrong[1][1] > wrong[0][1] + 0.2


def test_conflict_shows_something_else_in_one_part():
    sure = np.repeat(np.log(np.eye(7) * 0.93 + 0.01), 20, axis=0)
    column = Opinions(sure, np.repeat(np.arange(7), 20), np.ones(140))
    parts, truth = compose({"a": column, "b": column}, 2000, conflict=0.5)
    right = parts.argmax(2) == truth[:, None]
    assert right.any(1).all()
    assert (~right).any(1).mean() == pytest.approx(0.5 * 6 / 7, abs=0.05)


def test_no_common_class_composes_nothing():
    one, other = (Opinions(np.zeros((3, 7)), np.full(3, label), np.ones(3)) for label in (1, 2))
    assert len(compose({"a": one, "b": other}, 10)[1]) == 0


def test_the_fitted_pool_is_the_most_likely_one():
    logits, labels = people(4000, 0.0, strengths=(3.0, 0.5))
    opinions, targets = special.log_softmax(logits, 2), np.eye(7)[labels]
    cautious, _ = fit_pool([Drawn("s", opinions[:5], targets[:5])])
    weights, bias = fit_pool([Drawn("s", opinions, targets)], caution=0.0)

    def loss(w, b):
        return nll(targets, special.softmax(np.einsum("m,nmk->nk", w / 2, opinions) + b, axis=1))

    best = loss(weights, bias)
    assert weights[0] > weights[1] > 0
    for nudge in ([0.2, 0.0], [-0.2, 0.0], [0.0, 0.2], [0.0, -0.2]):
        assert loss(weights + nudge, bias) > best - 1e-4
    assert np.abs(cautious - 1).max() < np.abs(weights - 1).max() / 2


def test_the_bias_takes_back_a_prior_that_was_counted_twice():
    rng = np.random.default_rng(0)
    prior = np.array([0.4, 0.3, 0.1, 0.05, 0.05, 0.05, 0.05])
    labels = rng.choice(7, 6000, p=prior)
    scores = np.eye(7)[labels][:, None] * 1.5 + rng.standard_normal((6000, 2, 7))
    evidence = 1.5 * scores + np.log(prior)  # each part's exact posterior
    weights, bias = fit_pool([Drawn("s", special.log_softmax(evidence, 2), np.eye(7)[labels])])
    assert weights == pytest.approx([2.0, 2.0], abs=0.15)
    assert np.corrcoef(bias, -np.log(prior))[0, 1] > 0.95


@pytest.mark.parametrize("common", [0.0, 0.6])
def test_recordings_improve_likelihood_and_coverage_and_remove_the_mark(pooling_model, common):
    (speech, a), (face, b) = ((x[:, 0] * 2, y) for x, y in (people(400, 0, 1), people(400, 0, 2)))
    singles = [
        parts_of(pooling_model, "voices", {"speech": speech}, a),
        parts_of(pooling_model, "faces", {"face": face}, b),
    ]
    calibrate_pools(pooling_model, singles, correlation=0.0, conflict=0.0)
    mask, pool = 6, pooling_model.pools["emotion"]
    assert not pool.recorded[mask]
    assert pooling_model.conformal["speech+face"]["emotion"].composed
    assert float(pooling_model.heads["emotion"].temperature[mask]) >= 1

    logits, labels = people(1100, common, 3)
    logits[:, 1] += np.eye(7)[0] * 2.5  # these people's faces look neutral to the model
    clips, rest = slice(0, 100), slice(100, None)

    def measured() -> tuple[float, float]:
        parts = parts_of(
            pooling_model, "rest", {"speech": logits[rest, 0] * 2, "face": logits[rest, 1] * 2}, labels[rest]
        )
        probs = answers(pooling_model, parts)
        sets = pooling_model.conformal["speech+face"]["emotion"].at(0.9)
        return nll(np.eye(7)[labels[rest]], probs), sets.assess(probs, labels[rest])["coverage"]

    before = measured()
    mine = parts_of(
        pooling_model, "mine", {"speech": logits[clips, 0] * 2, "face": logits[clips, 1] * 2}, labels[clips]
    )
    found = calibrate_pools(pooling_model, [mine], composed=False)
    after = measured()
    assert found["speech+face"]["emotion"].sources == ("mine",)
    assert pool.recorded[mask]
    assert not pooling_model.conformal["speech+face"]["emotion"].composed
    assert after[0] < before[0] - 0.05
    assert abs(after[1] - 0.9) <= 0.05
    assert abs(after[1] - 0.9) <= abs(before[1] - 0.9) + 0.02


def test_sets_of_answers_that_moved_are_gone_and_others_stay(pooling_model):
    parts = []
    for number, modality in enumerate(("text", "speech", "face")):
        logits, labels = people(300, 0.0, number + 1)
        parts.append(parts_of(pooling_model, modality, {modality: logits[:, 0]}, labels))
    calibrate_pools(pooling_model, parts, correlation=0.0, conflict=0.0)
    pairs = {"text+speech", "text+face", "speech+face", "text+speech+face"}
    assert {*pairs, "text", "speech", "face"} <= set(pooling_model.conformal)
    before = {name: by_task["emotion"] for name, by_task in pooling_model.conformal.items()}
    logits, labels = people(120, 0.0, 9)
    mine = parts_of(pooling_model, "mine", {"text": logits[:, 0] * 4}, labels)
    calibrate_pools(pooling_model, [mine], composed=False)
    now = {name: by_task.get("emotion") for name, by_task in pooling_model.conformal.items()}
    assert now["text"] is not None and now["text"] is not before["text"]
    assert all(now.get(name) is None for name in pairs if "text" in name)
    assert all(now[name] is before[name] for name in ("speech", "face", "speech+face"))


def answers(model: EmotionModel, parts: Parts) -> np.ndarray:
    """Fused probabilities of speech and face."""
    import torch

    present = {m: torch.from_numpy(~np.isnan(parts.states[m][:, 0])) for m in model.modalities}
    alone = {m: torch.from_numpy(parts.logits[m]["emotion"]).float() for m in ("speech", "face")}
    with torch.no_grad():
        fused = model._fused(model.tasks[0], alone, present, torch.zeros(len(parts), 7))
        return model.heads["emotion"].decode(fused, model._subset(present)).double().numpy()


def test_composed_calibration_names_its_sources_and_few_samples_change_nothing(pooling_model):
    logits, labels = people(49, 0.0)
    assert calibrate_pools(pooling_model, [parts_of(pooling_model, "few", {"speech": logits[:, 0]}, labels)]) == {}
    more, classes = people(200, 0.0)
    parts = [parts_of(pooling_model, m, {m: more[:, j]}, classes) for j, m in enumerate(("text", "face"))]
    found = calibrate_pools(pooling_model, parts)
    assert set(found) == {"text unimodal", "face unimodal", "text+face"}
    assert found["text+face"]["emotion"].sources == (f"{COMPOSED} text+face",)
    assert set(pooling_model.conformal) == {"text", "face", "text+face"}
    assert not pooling_model.conformal["text"]["emotion"].composed
