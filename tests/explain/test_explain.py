"""Explanations must add up, change with the model, and name what the model leans on."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.errors import DataError
from emofuse.explain import attribution
from emofuse.explain.attribution import (
    COMPLETE,
    EDGES,
    MOST_STEPS,
    NODES,
    answers,
    baselines,
    continuous_inputs,
    integrated_gradients,
)
from emofuse.explain.explanation import _who, explain
from emofuse.explain.html import page_of, signed, write_page
from emofuse.explain.shapley import Shapley, shapley, task_of
from emofuse.modalities import MODALITIES, Modality

SUBSETS = [s for n in (1, 2, 3) for s in combinations(MODALITIES, n)]


def sample(model, make_segment, seed=3, gone=()):
    segment = make_segment(seed).without(*gone)
    return segment, collate([model.prepare(segment)])


@pytest.mark.parametrize("kept", SUBSETS, ids="+".join)
def test_shapley_values_sum_to_the_whole_less_nothing(tiny_model, make_segment, kept):
    _, batch = sample(tiny_model, make_segment, gone=set(MODALITIES) - set(kept))
    tiny_model.heads["emotion"].temperature.copy_(torch.linspace(0.5, 2, 8))
    found = shapley(tiny_model, batch, task_of(tiny_model, "emotion"), 2)
    assert set(found.values) == set(kept)
    assert sum(found.values.values()) == pytest.approx(found.full - found.none, abs=1e-5)
    assert len(found.coalitions) == 2 ** len(kept)
    assert found.full == pytest.approx(float(tiny_model.predict(batch).tasks["emotion"][0, 2]), abs=1e-5)
    for name, value in found.coalitions.items():
        alone = batch.without(*(m for m in MODALITIES if m not in name))
        if name != "none":
            assert value == pytest.approx(float(tiny_model.predict(alone).tasks["emotion"][0, 2]), abs=1e-5)


def test_shapley_of_a_scalar_and_of_two_samples(tiny_model, make_segment):
    _, batch = sample(tiny_model, make_segment)
    found = shapley(tiny_model, batch, task_of(tiny_model, "intensity"))
    assert sum(found.values.values()) == pytest.approx(found.full - found.none, abs=1e-5)
    two = collate([tiny_model.prepare(make_segment(i)) for i in range(2)])
    with pytest.raises(DataError, match="one sample"):
        shapley(tiny_model, two, task_of(tiny_model, "emotion"))
    with pytest.raises(DataError, match="valid: emotion"):
        task_of(tiny_model, "emotions")


def test_gradients_add_up_to_the_change_they_explain(tiny_model, make_segment):
    _, batch = sample(tiny_model, make_segment)
    found = integrated_gradients(tiny_model, batch, task_of(tiny_model, "emotion"), 1)
    assert abs(found.error) <= 0.02 * abs(found.answer - found.baseline) + 1e-4
    assert set(found.scores) == {
        ("text", "inputs_embeds"),
        ("text", "lexicon"),
        ("speech", "values"),
        ("face", "pixels"),
    }
    assert all(np.abs(s).sum() > 0 for key, s in found.scores.items() if key != ("text", "lexicon"))


@pytest.mark.slow
def test_gradients_are_those_of_the_definition(tiny_model, make_segment):
    """The Riemann sum (Sundararajan et al. 2017, eq. 3) over many midpoints, crowded where the answer changes most."""
    _, batch = sample(tiny_model, make_segment)
    task, points = task_of(tiny_model, "emotion"), 240
    given = continuous_inputs(tiny_model, batch)
    empty = baselines(tiny_model, batch)
    expected = {key: torch.zeros_like(values) for key, values in given.items()}
    for start in range(0, points, 40):
        root = (torch.arange(start, start + 40) + 0.5) / points
        where = root**4
        path = {
            k: (empty[k] + where.view(-1, *[1] * (v.ndim - 1)) * (v - empty[k])).requires_grad_()
            for k, v in given.items()
        }
        gradients = torch.autograd.grad(answers(tiny_model, batch, path, task, 1).sum(), list(path.values()))
        for key, gradient in zip(path, gradients, strict=True):
            expected[key] += torch.tensordot(4 * root**3 / points, gradient, dims=1) * (given[key] - empty[key])
    found = integrated_gradients(tiny_model, batch, task, 1)
    change = abs(found.answer - found.baseline)
    for key in (("text", "inputs_embeds"), ("speech", "values"), ("face", "pixels")):
        ours, theirs = found.scores[key], expected[key][0].numpy()
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98, key
        assert ours.sum() == pytest.approx(theirs.sum(), abs=0.05 * change), key


def test_gradients_are_those_that_captum_finds(tiny_model, make_segment):
    """On the same points of the same path, all inputs at once."""
    from captum.attr import IntegratedGradients

    _, batch = sample(tiny_model, make_segment)
    task = task_of(tiny_model, "emotion")
    given = continuous_inputs(tiny_model, batch)
    empty = baselines(tiny_model, batch)

    def forward(*values: torch.Tensor) -> torch.Tensor:
        return answers(tiny_model, batch, dict(zip(given, values, strict=True)), task, 1)

    expected = IntegratedGradients(forward).attribute(
        tuple(given.values()), tuple(empty.values()), n_steps=24, method="gausslegendre"
    )
    found = integrated_gradients(tiny_model, batch, task, 1, steps=24)
    for (key, ours), theirs in zip(found.scores.items(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs[0].numpy(), rtol=1e-3, atol=1e-5, err_msg=str(key))


@pytest.mark.slow
def test_a_stretch_of_the_path_that_does_not_add_up_is_cut_in_two(tiny_model, make_segment, monkeypatch):
    _, batch = sample(tiny_model, make_segment)
    task = task_of(tiny_model, "emotion")
    smooth = integrated_gradients(tiny_model, batch, task, 1)
    with torch.no_grad():  # a step as sharp as a large network's, a third of the way along
        layers = [m for m in tiny_model.encoders["speech"].modules() if isinstance(m, torch.nn.Linear)]
        layers[0].weight.mul_(30)
    bounded = integrated_gradients(tiny_model, batch, task, 1)
    assert NODES * (len(EDGES) - 1) <= smooth.steps < bounded.steps < 2 * MOST_STEPS
    monkeypatch.setattr(attribution, "MOST_STEPS", 100 * MOST_STEPS)
    sharp = integrated_gradients(tiny_model, batch, task, 1)
    assert bounded.steps <= sharp.steps < 100 * MOST_STEPS
    assert abs(sharp.error) <= COMPLETE * abs(sharp.answer - sharp.baseline) + 1e-3


def test_gradients_pass_after_a_prediction_of_the_same_length(tiny_model, make_segment):
    _, batch = sample(tiny_model, make_segment)
    tiny_model.predict(batch)  # under inference mode, which a backbone's caches outlive
    integrated_gradients(tiny_model, batch, task_of(tiny_model, "emotion"), 1, steps=2)


def test_an_explanation_names_words_moments_and_regions(tiny_model, make_segment, tmp_path):
    segment = make_segment(3)
    found = explain(tiny_model, segment, target="joy")
    assert [w.text for w in found.words] == [w.text for w in segment.words]
    assert {w.text for w in found.words if w.valence < 0} == {"terrible,", "sad"}
    assert {w.text for w in found.words if w.valence > 0} == {"happy"}
    total = sum(w.score for w in found.words) + found.context + found.speech_scores.sum()
    total += sum(f.cells.sum() for f in found.faces)
    assert total == pytest.approx(found.log_odds[0] - found.log_odds[1] + found.error, abs=1e-6)
    assert sum(found.regions.values()) == pytest.approx(sum(f.cells.sum() for f in found.faces))
    assert segment.start <= found.speech_times.min() < found.speech_times.max() <= segment.end + 0.1
    assert [f.time for f in found.faces] == pytest.approx(list(segment.faces[0].times), abs=1e-5)
    assert found.target == "joy"
    assert "joy" in found.sentence()
    assert ("more likely" in found.sentence()) == (found.leading != "joy")
    assert "“terrible,” (unpleasant)" in found.sentence()
    assert found.to_dict()["words"][0]["text"] == "terrible,"
    page = write_page(found, segment, tmp_path / "new" / "why.html", source="a <clip>").read_text("utf-8")
    assert "a &lt;clip&gt;" in page
    assert "http" not in page
    shifted = page_of([(found, replace(segment, start=0.6, end=1.8))])
    assert re.findall(r'<text x="(\d+)"[^>]*>([\d.]+) s<', shifted) == [("240", "1"), ("540", "1.5")]
    for heading, total in (("words", sum(w.score for w in found.words)), ("voice", found.speech_scores.sum())):
        assert f'<h3>The {heading} <span class="faint">{signed(total)}</span></h3>' in page
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["why.html"]


@pytest.mark.parametrize("kept", [("text",), ("speech",), ("face",)], ids="+".join)
def test_one_modality_can_be_explained(tiny_model, make_segment, kept):
    segment = make_segment(1).without(*(set(MODALITIES) - set(kept)))
    found = explain(tiny_model, segment, steps=4)
    assert (bool(found.words), bool(found.speech_scores.size), bool(found.faces)) == tuple(
        m in kept for m in MODALITIES
    )
    assert "<h3>Contributions of the modalities</h3>" not in page_of([(found, segment)])


def test_what_cannot_be_explained_is_refused(tiny_model, make_segment):
    with pytest.raises(DataError, match="valid: anger"):
        explain(tiny_model, make_segment(0), target="happy")
    with pytest.raises(DataError, match="valid: emotion"):
        explain(tiny_model, make_segment(0), task="mood")
    with pytest.raises(ValueError, match="training mode"):
        explain(tiny_model.train(), make_segment(0))


def test_a_task_that_was_never_learnt_has_no_answer(tiny_model, make_segment, tmp_path):
    tiny_model.heads["intensity"].supported_subsets[:] = False
    segment = make_segment(3)
    found = explain(tiny_model, segment, "intensity")
    assert found.answer is None and found.leading is None and not found.words and not found.shapley.values
    assert found.to_dict()["answer"] is None and found.to_dict()["log_odds"] is None
    assert (
        found.sentence() == "The model has not learnt intensity from text+speech+face: there is no answer to explain."
    )
    assert found.sentence() in write_page(found, segment, tmp_path / "why.html").read_text("utf-8")
    tiny_model.heads["emotion"].supported_subsets[:] = False
    assert explain(tiny_model, segment, "emotion", "joy").answer is None


def test_a_coalition_that_was_never_learnt_is_null_and_said(tiny_model, make_segment):
    tiny_model.heads["intensity"].supported_subsets[[1, 2, 3, 4, 5, 6]] = False
    found = explain(tiny_model, make_segment(3), "intensity", steps=4)
    assert found.to_dict()["coalitions"]["text"] is None and found.answer is not None
    assert any("text, speech, face, text+speech, text+face, speech+face" in note for note in found.notes)


def test_shares_are_counted_from_the_prior_of_the_training_data_where_it_is_known(tiny_model, make_segment):
    assert "prior_unknown" in [n["code"] for n in explain(tiny_model, make_segment(3), steps=4).to_dict()["note_codes"]]
    prior = (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    tiny_model.config = tiny_model.config.with_priors({"emotion": prior})
    found = explain(tiny_model, make_segment(3), "emotion", "neutral", steps=4)
    assert found.shapley.none == found.shapley.coalitions["none"] == found.to_dict()["prior"] == 0.4
    assert sum(found.shapley.values.values()) == pytest.approx(found.answer - 0.4, abs=1e-6)
    assert found.notes == ()


def test_a_polarity_read_from_emotions_is_explained_as_it_is_answered(tiny_model, make_segment):
    tiny_model.heads["polarity"].supported_subsets[2] = False
    segment, batch = sample(tiny_model, make_segment, gone=("text", "face"))
    found = explain(tiny_model, segment, "polarity")
    assert found.answer == pytest.approx(tiny_model.predict(batch).tasks["polarity"][0].max(), abs=1e-5)
    assert found.complete and found.speech_scores.any()


def test_where_all_count_against_a_class_it_is_said():
    against: dict[Modality, float] = {"text": -0.15, "speech": -0.08}
    assert (
        _who(Shapley(against, 0.02, 0.25, {}), "anger")
        == "Nothing contributed to anger; the words counted most against it."
    )
    assert _who(Shapley(dict.fromkeys(against, 0.0), 0.25, 0.25, {}), "anger").startswith("No modality contributed")
