"""An evaluation from samples to reports: what it counts, what it says it cannot say, what it writes."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from emofuse.batch import collate
from emofuse.errors import DataError
from emofuse.evaluation import predict as outputs
from emofuse.evaluation.audit import OTHERS, gap
from emofuse.evaluation.compare import compare, to_dict, to_text
from emofuse.evaluation.evaluate import evaluate, evaluate_checkpoint, plain
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.evaluation.report.cards import in_words, worst
from emofuse.evaluation.report.page import _curves, _few, html_report, markdown_report, write
from emofuse.media.transcript import join
from emofuse.metrics import Interval, classification_report, multilabel_f1
from emofuse.modalities import MODALITIES, subset_name, subsets_of
from emofuse.tasks import TASKS


@pytest.mark.slow
def test_collected_rows_equal_single_predictions(tiny_model, samples):
    found = predict_examples(tiny_model, samples, batch_size=5)
    for i in (0, 1, 5, 6):
        alone = tiny_model.predict(collate([samples[i].prepare(tiny_model)]))
        np.testing.assert_allclose(found.values[GIVEN]["emotion"][i], alone.tasks["emotion"][0], atol=1e-5)
        has = {m for bit, m in enumerate(MODALITIES) if found.present[i] >> bit & 1}
        for subset in subsets_of():
            values = found.values[subset_name(subset)]["emotion"][i]
            if not subset <= has:
                assert np.isnan(values).all()
                continue
            segment = samples[i].load().without(*(set(MODALITIES) - subset))
            never = tiny_model.predict(collate([tiny_model.prepare(segment)]))
            np.testing.assert_allclose(values, never.tasks["emotion"][0], atol=1e-5)


def test_evaluation_counts_what_is_labelled_and_there(tiny_model, samples):
    found = evaluate(tiny_model, samples, resamples=20, batch_size=8)
    emotion = found.tasks["emotion"]
    assert set(found.tasks) == {"emotion", "intensity"}  # polarity is labelled nowhere
    assert (emotion.report["n"], found.tasks["intensity"].report["n"]) == (21, 24)
    assert {n: s["n"] for n, s in found.tasks["intensity"].subsets.items()} == {
        "text": 19, "speech": 24, "face": 16, "text+speech": 19, "text+face": 13, "speech+face": 16,
        "text+speech+face": 13,
    }  # fmt: skip
    rows = found.predictions.rows(GIVEN, "emotion")
    again = classification_report(
        found.predictions.values[GIVEN]["emotion"][rows],
        found.predictions.targets["emotion"][rows],
        TASKS["emotion"].classes,
        quiet=True,
    )
    assert emotion.report["uar"] == again["uar"] == emotion.intervals["uar"].estimate
    assert emotion.groups["sex"]["female"]["n"] + emotion.groups["sex"]["male"]["n"] == 21
    assert len(emotion.groups["speaker"]) == 4
    lost = [e["truth_probability"] for e in emotion.worst]
    assert lost == sorted(lost)
    assert all(e["truth"] != e["predicted"] for e in emotion.worst)


@pytest.mark.slow
def test_reports_are_self_contained_and_strict_json(tiny_model, samples, tmp_path):
    found = evaluate(tiny_model, samples, resamples=10, batch_size=8, protocol={"model": "<tiny>", "split": "dev"})
    write(found, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "predictions.npz", "report.html", "report.json", "report.md",
    ]  # fmt: skip
    html = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert "&lt;tiny&gt; on dev" in html
    assert "clip &lt;" in html
    numbers = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert numbers["tasks"]["emotion"]["report"]["uar"] == pytest.approx(found.tasks["emotion"].report["uar"])
    assert "| UAR |" in (tmp_path / "out" / "report.md").read_text("utf-8")
    back = outputs.load(tmp_path / "out" / "predictions.npz")
    assert back.ids == found.predictions.ids
    np.testing.assert_allclose(back.values[GIVEN]["emotion"], found.predictions.values[GIVEN]["emotion"], atol=1e-6)


def test_a_single_speaker_and_missing_classes_are_said(tiny_model, samples):
    alone = [s for s in samples if s.cluster == "s1"]
    found = evaluate(tiny_model, alone, resamples=10)
    assert any("single speaker" in note for note in found.notes)
    assert not any("only" in note for note in found.notes)
    assert any("no sample is" in note for note in found.notes)


def test_constant_predictions_and_few_speakers_are_said(tiny_model, samples):
    for head in tiny_model.heads.values():
        head.linear.weight.data.zero_()
        head.linear.bias.data.zero_()
    tiny_model.heads["emotion"].linear.bias.data[2] = 3.0
    found = evaluate(tiny_model, samples, resamples=5, batch_size=24)
    assert found.tasks["emotion"].report["uar"] == pytest.approx(1 / len({*map(np.argmax, _known(samples))}))
    assert np.isnan(found.tasks["intensity"].report["pearson"])
    for said in ("emotion: every prediction is", "intensity: the predictions are all", "only 4 speakers"):
        assert any(said in note for note in found.notes), said
    assert "correlation is undefined" in markdown_report(found)


def _known(samples) -> list[np.ndarray]:
    return [s.targets["emotion"] for s in samples if not np.isnan(s.targets["emotion"]).any()]


def test_an_empty_split_is_an_error_that_names_it(tiny_model, tmp_path):
    (tmp_path / "my.csv").write_text("text,speaker,split,emotion\nso,cy,train,joy\n")
    with pytest.raises(DataError, match="the dev split of manifest is empty"):
        evaluate_checkpoint(tiny_model, "manifest", tmp_path / "my.csv", "dev")


def test_nothing_to_evaluate_is_an_error(tiny_model, samples):
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(tiny_model, [])
    blank = {t: np.full_like(v, np.nan) for t, v in samples[0].targets.items()}
    with pytest.raises(DataError, match="no sample carries a label"):
        evaluate(tiny_model, [replace(samples[0], targets=blank)], resamples=2)
    with pytest.raises(DataError, match="share an id"):
        evaluate(tiny_model, [samples[0], samples[0]], resamples=2)


@pytest.mark.slow
def test_a_model_compared_with_itself_does_not_differ(tiny_model, samples, tmp_path):
    found = evaluate(tiny_model, samples, resamples=5, batch_size=8)
    write(found, tmp_path)
    compared = compare(found, tmp_path, resamples=20)
    assert set(compared) == {"emotion", "intensity"}
    assert compared["emotion"].metrics["uar"].difference.estimate == pytest.approx(0.0, abs=1e-9)
    assert compared["emotion"].metrics["uar"].p_permutation == 1.0
    assert compared["emotion"].mcnemar == 1.0
    assert json.dumps(to_dict(compared), allow_nan=False)
    assert "UAR" in to_text(compared, ("new", "old"))
    assert "4 clusters allow no p below 0.125" in to_text(compared)
    long = to_text(compared, ("a/long/name", "another/long/name")).splitlines()
    assert long[:2] == ["A: a/long/name", "B: another/long/name"]
    assert long[3].split()[:2] == ["A", "B"]


def test_comparisons_need_the_same_samples_and_labels(tiny_model, samples):
    first = predict_examples(tiny_model, samples[:4], subsets=[])
    with pytest.raises(DataError, match="share no sample"):
        compare(first, predict_examples(tiny_model, samples[4:6], subsets=[]))
    other = predict_examples(tiny_model, samples[:4], subsets=[])
    other.targets["intensity"][0] = 0.123
    with pytest.raises(DataError, match="folded differently"):
        compare(first, other, resamples=5)
    with pytest.raises(DataError, match="no predictions"):
        compare(first, "nowhere.npz")


def test_plain_has_no_numbers_that_json_lacks():
    assert plain({"a": np.float32("nan"), "b": (np.int64(1), float("inf")), "c": np.array([1.5])}) == {
        "a": None, "b": [1, None], "c": [1.5],
    }  # fmt: skip


def test_the_published_protocol_of_goemotions_is_answered_by_the_head_of_emotion(tiny_model, samples):
    ekman = TASKS["goemotions_ekman"]
    rng = np.random.default_rng(1)
    several = [replace(s, targets={**s.targets, ekman.name: (rng.random(7) < 0.3).astype(np.float32)}) for s in samples]
    found = evaluate(tiny_model, several, corpus="goemotions", resamples=5, batch_size=8)
    view = found.tasks["goemotions_ekman"]
    probs, truth = found.predictions.values[GIVEN]["emotion"], found.predictions.targets["goemotions_ekman"]
    assert view.report["macro_f1"] == pytest.approx(multilabel_f1(truth, probs, 0.3), abs=1e-9)
    assert set(view.decided) == {"threshold 0.3", "threshold 0.5", "thresholds tuned on the other half"}
    assert view.decided["threshold 0.3"]["macro_f1"] == pytest.approx(view.intervals["macro_f1"].estimate)
    assert found.protocol["views"] == {"goemotions_ekman": "emotion"}
    assert "thresholds tuned on the other half" in markdown_report(found)
    assert "goemotions_ekman" not in evaluate(tiny_model, samples, resamples=2, batch_size=8).tasks


@pytest.mark.slow
def test_worst_errors_say_what_the_model_was_given(tiny_model, samples, tmp_path):
    found = evaluate(tiny_model, samples, resamples=2, batch_size=8)
    segments = {s.id: s.load() for s in samples}
    for error in found.tasks["emotion"].worst:
        segment, evidence = segments[error["id"]], error["evidence"]
        assert evidence.get("words") == (join(segment.words) if segment.words else None)
        assert evidence["seconds"] == pytest.approx(segment.end - segment.start)
        assert evidence.get("faces") == (sum(len(t.crops) for t in segment.faces) or None)
    write(found, tmp_path)
    table = (tmp_path / "report.md").read_text("utf-8").split("### Worst errors")[1]
    assert "| sample | truth | predicted | confidence | evidence |" in table
    said = next(e for e in found.tasks["emotion"].worst if "words" in e["evidence"])
    assert f"“{said['evidence']['words']}” · {said['evidence']['seconds']:.1f} s of voice" in table
    long = {"evidence": {"words": "very " * 100, "faces": 1}, "present": ["text", "face"]}
    assert in_words(long).endswith("very…” · a face") and len(in_words(long)) < 180


@pytest.mark.parametrize("key", ["unimodal", "alone"])
def test_what_each_modality_says_is_read_from_new_and_earlier_reports(key):
    said = {"text": {"class": "joy", "probability": 0.7}, "face": {"class": "fear", "probability": 0.5}}
    (card,) = worst([{"id": "a", "predicted": "joy", "truth": "fear", "present": ["text", "face"], key: said}], {})
    assert card["unimodal"] == "text only: joy (70 %); face only: fear (50 %)"


def test_small_groups_count_together(tiny_model, samples):
    several = [replace(s, id=f"{s.id} {k}", cluster=f"{s.cluster} {k}") for k in range(3) for s in samples]
    names = ["Ann"] * 30 + ["Bob"] * 25 + ["Cy"] * 10 + ["Di"] * 7
    several = [replace(s, groups={"speaker": name}) for s, name in zip(several, names, strict=True)]
    groups = evaluate(tiny_model, several, resamples=2, batch_size=24).tasks["intensity"].groups["speaker"]
    assert {g: v["n"] for g, v in groups.items()} == {"Ann": 30, "Bob": 25, f"{OTHERS} (2)": 17}
    assert OTHERS not in str(
        gap(groups | {f"{OTHERS} (2)": groups["Ann"] | {"interval": Interval(9.0, 9, 9, 0.95, 2)}})
    )


def test_subsets_that_no_sample_has_are_said_to_be_missing(tiny_model, samples):
    silent = [replace(s, modalities=s.modalities - {"speech"}) for s in samples]
    text = markdown_report(evaluate(tiny_model, silent, resamples=2, batch_size=24))
    assert "Of the 7, these samples have text, face, text+face;" in text


def test_curves_end_where_they_must(tiny_model, samples):
    found = evaluate(tiny_model, samples, resamples=2, batch_size=8).tasks["emotion"]
    answered, roc = found.curves["answered"], found.curves["roc"]
    assert answered["share"][-1] == 1.0
    assert answered["accuracy"][-1] == pytest.approx(found.report["accuracy"])
    for name, curve in roc.items():
        assert (curve["false"][0], curve["true"][0], curve["false"][-1], curve["true"][-1]) == (0, 0, 1, 1)
        area = np.trapezoid(curve["true"], curve["false"])
        assert area == pytest.approx(found.report["per_class"][name]["auroc"], abs=1e-9)


def test_a_report_begins_with_results_and_says_on_how_few_samples_a_curve_rests(tiny_model, samples):
    found = evaluate(tiny_model, samples, resamples=2, batch_size=8)
    for text in (markdown_report(found), html_report(found)):
        assert (
            text.index("UAR")
            < text.index("Subsets of modalities")
            < text.index(">Protocol" if "<html" in text else "## Protocol")
        )
    assert _few(49) == " (only 49)" and _few(50) == ""
    assert len(_curves(found.tasks["emotion"])) == 2
