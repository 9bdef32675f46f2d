"""Perturbations do what they say, more so when more severe, and always the same; stress scores them."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.errors import DataError
from emofuse.evaluation.perturb import face, speech, text
from emofuse.evaluation.perturb.attack import ATTACKS
from emofuse.evaluation.perturb.catalogue import catalogue
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.evaluation.report.stress import costs, markdown, write
from emofuse.evaluation.stress import TOGETHER, Curve, Stress, adversarial, stress
from emofuse.metrics import Interval, uar
from emofuse.modalities import mask_of
from emofuse.model.kinds import task_loss

RATE = 16_000


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def power(x: np.ndarray) -> float:
    return float(np.mean(np.square(x, dtype=np.float64)))


@pytest.mark.parametrize("snr", [20.0, 0.0])
def test_noise_has_the_ratio_asked_for(rng, snr):
    clean = tone(200) * 0.1
    for noisy in (speech.noise(clean, snr, rng), speech.babble(clean, snr, rng, [tone(300), tone(470, 0.3)])):
        assert 10 * np.log10(power(clean) / power(noisy - clean)) == pytest.approx(snr, abs=0.1)


def test_clipping_hits_the_share_asked_for(rng):
    clean = (rng.standard_normal(RATE) * 0.05).astype(np.float32)
    loud = speech.clipping(clean, 0.25, rng)
    assert np.mean(np.abs(loud) > 0.999 * np.abs(loud).max()) == pytest.approx(0.25, abs=0.01)
    assert np.abs(loud).max() == pytest.approx(np.abs(clean).max(), rel=1e-5)
    assert not speech.clipping(np.zeros(100, np.float32), 0.5, rng).any()


def test_the_telephone_cuts_low_and_high(rng):
    for hertz, passes in ((100, False), (1000, True), (3000, True), (5000, False)):
        heard = power(speech.telephone(tone(hertz), 3400, rng))
        assert (heard > 0.5 * power(tone(hertz))) == passes


def test_the_codec_keeps_the_length_and_the_tone_in_time(rng):
    clean = tone(440, 1.3)
    heard = speech.codec(clean, 24, rng)
    assert heard.shape == clean.shape
    assert heard.dtype == np.float32
    assert np.corrcoef(heard[2000:-2000], clean[2000:-2000])[0, 1] > 0.9


def test_silence_stays_silent(rng):
    silence = np.zeros(4000, np.float32)
    assert not speech.noise(silence, 0, rng).any()
    assert not speech.babble(silence, 0, rng, [silence]).any()
    np.testing.assert_array_equal(speech.babble(tone(300), 0, rng, []), tone(300))


def test_faces_get_worse_with_severity(rng):
    crop = cv2.resize(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8), (48, 48), interpolation=cv2.INTER_CUBIC)

    def distance(change, severity):
        changed = change(crop, severity, rng)
        assert changed.shape == crop.shape
        assert changed.dtype == np.uint8
        return np.abs(changed.astype(float) - crop).mean()

    for change, mild, severe in (
        (face.blur, 2, 16), (face.darkness, 0.5, 0.05), (face.occlusion, 0.1, 0.5), (face.low_resolution, 32, 8),
        (face.jpeg, 50, 2),
    ):  # fmt: skip
        assert distance(change, mild) < distance(change, severe)
    covered = (face.occlusion(crop, 0.25, rng) == 128).all(axis=2).mean()
    assert covered == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(face.low_resolution(crop, 64, rng), crop)


def test_words_change_as_asked(rng):
    words = [f"word{c}{d}" for c in "abcdefghij" for d in "abcdefghij"]
    slips = sum(a != b for a, b in zip(words, text.typos(words, 0.4, rng), strict=True))
    assert 20 < slips <= 60
    assert 55 < len(text.dropped(words, 0.25, rng)) < 95
    assert len(text.dropped(["one"], 1.0, rng)) == 1
    assert text.asr(["I'm", "SO", "happy!", "—"], 0.0, rng) == ["i'm", "so", "happy"]
    assert text.asr(["!!!"], 0.4, rng) == ["uh"]


def test_negations_and_emoji(rng):
    said = ["I", "don't", "like", "it,", "not", "at", "all"]
    assert text.negation(said, 1, rng) == ["I", "do", "not", "like", "it,", "not", "at", "all"]
    assert text.negation(said, 2, rng) == ["I", "dont", "like", "it,", "not", "at", "all"]
    assert text.negation(said, 3, rng) == ["I", "do", "like", "it,", "at", "all"]
    assert text.negation(["not"], 3, rng) == ["not"]
    typed = ["great", "😂!"]
    assert text.emoji(typed, 1, rng) == ["great", "face", "with", "tears", "of", "joy", "!"]
    assert text.emoji(typed, 2, rng) == ["great", "!"]
    assert text.emoji(["sad"], 3, rng) == ["sad", "🙂"]


def test_a_segment_is_always_changed_in_the_same_way_and_only_where_it_should(make_segment):
    segment = make_segment(3)
    for perturbation in catalogue([tone(300)]).values():
        change = perturbation.at(perturbation.severities[-1])
        once, again = change(segment), change(segment)
        assert once.present == segment.present
        assert once.words == again.words
        np.testing.assert_array_equal(once.waveform, again.waveform)
        if perturbation.modality != "speech":
            assert once.waveform is segment.waveform
        if perturbation.modality != "text":
            assert once.words is segment.words
        np.testing.assert_array_equal(once.faces[0].crops, again.faces[0].crops)
        assert change(segment.without(perturbation.modality)).present == segment.present - {perturbation.modality}
        assert len(perturbation.labels) == len(perturbation.severities)


def test_an_adversarial_step_raises_the_loss_by_a_bounded_change(tiny_model, samples):
    labelled = [s for s in samples if not np.isnan(s.targets["emotion"]).any()][:6]
    batch = collate([s.prepare(tiny_model) for s in labelled])
    task = tiny_model.tasks[0]
    before = task_loss(task, tiny_model(batch).logits["emotion"], batch.targets["emotion"]).item()
    for modality in ("text", "speech", "face"):
        moved = adversarial(tiny_model, batch, modality, 0.05, task)
        after = task_loss(task, tiny_model(moved).logits["emotion"], batch.targets["emotion"]).item()
        assert after > before
    start, end = (
        batch.inputs["speech"]["values"],
        adversarial(tiny_model, batch, "speech", 0.05, task).inputs["speech"]["values"],
    )
    ratio = (end - start).flatten(1).norm(dim=1) / start.flatten(1).norm(dim=1)
    np.testing.assert_allclose(ratio.numpy(), 0.05, rtol=1e-3)


@pytest.mark.slow
def test_stress_scores_alone_and_together(tiny_model, samples, tmp_path):
    found = stress(tiny_model, samples, only=["noise", "emoji", "adversarial face"], resamples=10, batch_size=12)
    assert [(c.name, c.modality) for c in found.curves] == [
        ("noise", "speech"), ("emoji", "text"), ("adversarial face", "face"),
    ]  # fmt: skip
    noise, emoji = found.curves[0], found.curves[1]
    assert set(noise.points) == {"unimodal speech", TOGETHER}
    assert len(noise.points[TOGETHER]) == len(noise.labels) == 5
    assert noise.changed == [1.0] * 5
    rows = [s for s in samples if not np.isnan(s.targets["emotion"]).any() and len(s.load().present) > 1]
    left = predict_examples(tiny_model, rows, subsets=[], change=lambda segment: segment.without("speech"))
    truth, said = left.targets["emotion"].argmax(axis=1), left.values[GIVEN]["emotion"].argmax(axis=1)
    assert noise.without.estimate == pytest.approx(uar(truth, said, 7))
    assert emoji.changed == [0.0, 0.0, 1.0]
    assert emoji.points[TOGETHER][0] == emoji.clean[TOGETHER]
    write(found, tmp_path)
    assert json.loads((tmp_path / "stress.json").read_text("utf-8"))["curves"][0]["name"] == "noise"
    assert "data:image/png" in (tmp_path / "stress.html").read_text("utf-8")
    assert "| noise | 20 (signal-to-noise ratio, dB) |" in (tmp_path / "stress.md").read_text("utf-8")


def test_what_costs_most_comes_first_and_whether_fusion_compensates_is_said():
    def at(*scores: float) -> list[Interval]:
        return [Interval(s, s - 0.1, s + 0.1, 0.95, 9) for s in scores]

    def curve(name: str, alone: float, both: float) -> Curve:
        clean = {"unimodal speech": at(0.8)[0], TOGETHER: at(0.9)[0]}
        points = {"unimodal speech": at(0.7, alone), TOGETHER: at(0.9, both)}
        return Curve(name, "speech", "dB", ("1", "2"), clean, points, [1.0, 1.0], at(0.7)[0])

    found = Stress({"n": 9}, "emotion", "uar", [curve("mild", 0.6, 0.63), curve("bad", 0.2, 0.81)])
    header, rows = costs(found)
    assert header[2:] == ("unimodal", "cost", TOGETHER, "cost", "the others by themselves")
    assert rows[0] == ("bad", "2 (dB)", "0.800 → 0.200", "0.600", "0.900 → 0.810", "0.090", "0.700")
    assert rows[1][3:] == ("0.200", "0.900 → 0.630", "0.270", "0.700")
    assert "keeps 50% of its score on average; with the others left whole, 80% is kept. In 1 of 2" in markdown(found)


def test_stress_refuses_what_it_does_not_know(tiny_model, samples):
    with pytest.raises(DataError, match="did you mean 'noise'"):
        stress(tiny_model, samples, only=["nois"])
    with pytest.raises(DataError, match="valid: emotion"):
        stress(tiny_model, samples, task="mood")
    with pytest.raises(DataError, match="no sample carries"):
        stress(tiny_model, samples, task="polarity")


def test_samples_that_an_attack_leaves_as_they_are_do_not_count_as_changed(tiny_model, samples):
    (moved,) = stress(tiny_model, samples, only=["adversarial face"], resamples=10).curves
    assert moved.changed == [1.0] * len(moved.labels)
    for head in (tiny_model.heads["emotion"], tiny_model.modality_heads["face"].tasks["emotion"]):
        torch.nn.init.zeros_(head.linear.weight)
    (still,) = stress(tiny_model, samples, only=["adversarial face"], resamples=10).curves
    assert still.changed == [0.0] * len(still.labels)


@pytest.mark.slow
def test_an_attack_takes_away_words_until_the_label_leads_no_more(tiny_model, samples):
    (found,) = stress(tiny_model, samples, only=["word attack"], resamples=10).curves
    assert found.labels == ("1", "2", "4") and found.modality == "text" and TOGETHER in found.points
    scores = [point.estimate for point in found.points["unimodal text"]]
    assert scores[-1] <= scores[0] <= found.clean["unimodal text"].estimate
    assert 0 < found.changed[0] <= found.changed[-1] < 1, "what was wrong already is left as it is"


def test_an_attacked_segment_is_the_least_that_is_wrong(tiny_model, make_segment):
    segment, task = make_segment(3).only("text"), tiny_model.tasks[0]
    with torch.no_grad():  # all classes nearly alike, so that words decide
        logits = tiny_model(collate([tiny_model.prepare(segment)])).logits["emotion"][0]
        tiny_model.heads["emotion"].linear.bias -= logits - 0.01 * torch.eye(7)[0]

    def said(given):
        return int(tiny_model.predict(collate([tiny_model.prepare(given)])).tasks["emotion"][0].argmax())

    label, attack = said(segment), ATTACKS["word attack"]
    changed = attack.on(tiny_model, segment, task, label, 8)
    gone = len(segment.words) - len(changed.words)
    assert said(changed) != label and gone >= 1
    weaker = attack.on(tiny_model, segment, task, label, gone - 1)
    assert weaker is segment or said(weaker) == label
    assert attack.on(tiny_model, segment, task, (label + 1) % 7, 8) is segment, "it is wrong already"
    whole = make_segment(3)
    quiet = ATTACKS["sound attack"].on(tiny_model, whole, task, said(whole), 1)
    assert quiet.words == whole.words and not np.array_equal(quiet.waveform, whole.waveform)


@pytest.mark.slow
def test_what_no_head_has_learnt_is_left_out_and_counted(tiny_model, samples, tmp_path):
    """Such an answer is NaN, which counted as the first class."""
    (before,) = stress(tiny_model, samples, only=["adversarial face"], resamples=10).curves
    tiny_model.heads["emotion"].supported_subsets[mask_of({"face"}, tiny_model.modalities)] = False
    found = stress(tiny_model, samples, only=["adversarial face"], resamples=10)
    (curve,) = found.curves
    assert not before.unanswered and curve.unanswered == {"unimodal face": 14}
    assert curve.clean["unimodal face"].clusters == 0
    assert np.isnan([point.estimate for point in (curve.clean["unimodal face"], *curve.points["unimodal face"])]).all()
    assert curve.points[TOGETHER] == before.points[TOGETHER]
    write(found, tmp_path)
    assert "14 samples of unimodal face are left out" in (tmp_path / "stress.md").read_text("utf-8")
