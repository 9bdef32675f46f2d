"""Missing modalities: the rate is kept, nobody is left with nothing, and scores are those of the subsets."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from emofuse.errors import DataError
from emofuse.evaluation.evaluate import evaluate
from emofuse.evaluation.missing import RATES, drop, missing, read_conditions
from emofuse.evaluation.report.missing import markdown, write
from emofuse.modalities import MODALITIES, mask_of


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.6, 0.7])
def test_the_rate_asked_for_goes_and_one_modality_stays(rate):
    present = np.array([7] * 100 + [5] * 50 + [2] * 10)
    left = drop(present, MODALITIES, rate, np.random.default_rng(0))
    had, free = 410, 410 - 160
    assert (left > 0).all() and ((left & ~present) == 0).all()
    assert had - np.bitwise_count(left).sum() == min(round(rate * had), free)
    if rate:  # every modality is taken from, about as often as the others
        gone = [np.sum((present[:100] & ~left[:100] & bit) > 0) for bit in (1, 2, 4)]
        assert min(gone) > 0.5 * max(gone)


def test_conditions_are_rates_and_patterns():
    assert read_conditions(["rates"], MODALITIES) == (list(RATES), [])
    assert read_conditions(["0.3", "face+speech", "text", "0.3"], MODALITIES) == ([0.3], ["speech+face", "text"])
    for wrong in ("1", "-0.1", "smell", "text+smell", "nan", ""):
        with pytest.raises(DataError, match="neither a rate"):
            read_conditions([wrong], MODALITIES)


def test_scores_are_those_of_the_subsets(tiny_model, samples, tmp_path):
    found = missing(tiny_model, samples, ["0", "0.5", "text", "speech+face"], seeds=(0, 1, 2), resamples=20)
    whole = evaluate(tiny_model, samples, resamples=20).tasks["emotion"]
    by = {row.condition: row for row in found.rows}
    assert list(by) == ["as given", "missing 0", "missing 0.5", "only text", "only speech+face"]
    assert by["as given"].score.estimate == pytest.approx(whole.report[found.metric])
    assert by["missing 0"].seeds == pytest.approx([whole.report[found.metric]] * 3)
    for pattern in ("text", "speech+face"):
        assert by[f"only {pattern}"].n == whole.subsets[pattern]["n"]
        assert by[f"only {pattern}"].score.estimate == pytest.approx(whole.subsets[pattern][found.metric])
    assert by["missing 0.5"].score.estimate == pytest.approx(np.mean(by["missing 0.5"].seeds))
    again = missing(tiny_model, samples, ["0.5"], seeds=(0, 1, 2), resamples=20)
    assert again.rows[1].seeds == by["missing 0.5"].seeds
    write(found, tmp_path)
    assert len(json.loads((tmp_path / "missing.json").read_text())["rows"]) == 5
    assert (tmp_path / "missing.png").read_bytes().startswith(b"\x89PNG")
    assert found.notes[0].startswith("2 of 21 samples have one modality only")
    assert "| only speech+face |" in markdown(found) and "seeds 0, 1, 2" in markdown(found)


def test_samples_of_one_modality_are_told_of(tiny_model, samples, tmp_path):
    alone = [replace(s, modalities=frozenset({"speech"})) for s in samples]
    found = missing(tiny_model, [*alone[:6], *samples[6:12]], ["0.5"], seeds=(0, 1), resamples=20)
    assert found.notes[0].startswith("6 of 11 samples have one modality only")
    none = missing(tiny_model, alone, ["0.5"], seeds=(0, 1), resamples=20)
    assert none.notes[0].startswith("every sample has one modality only") and none.rows[1].missing == 0
    assert "Note: every sample has one modality only" in markdown(none)
    text = missing(tiny_model, samples, ["text"], seeds=(0,), resamples=20)
    write(text, tmp_path)
    assert not (tmp_path / "missing.png").exists()


def test_what_no_head_has_learnt_is_left_out_and_counted(tiny_model, samples):
    """Such an answer is NaN, which counted as the first class."""
    learnt = missing(tiny_model, samples, ["0.5", "speech"], seeds=(0, 1), resamples=20)
    tiny_model.heads["emotion"].supported_subsets[mask_of({"speech"}, tiny_model.modalities)] = False
    found = missing(tiny_model, samples, ["0.5"], seeds=(0, 1), resamples=20)
    before, after = learnt.rows[1], found.rows[1]
    assert before.unanswered == 0 and 0 < after.unanswered < 2 * after.n
    assert after.seeds != before.seeds and not np.isnan(after.score.estimate)
    assert f"missing 0.5: {after.unanswered} of {2 * after.n} answers are left out" in markdown(found)
    with pytest.raises(DataError, match="no head has learnt to answer from it"):
        missing(tiny_model, samples, ["speech"], seeds=(0,), resamples=20)
    tiny_model.heads["emotion"].supported_subsets[[1, 2, 4]] = False
    whole = [s for s in samples if len(s.load().present) == 2]
    none = missing(tiny_model, whole, ["0.9"], seeds=(0, 1), resamples=20).rows[1]
    assert none.unanswered == 2 * none.n and np.isnan([none.score.estimate, *none.seeds]).all()
