"""Examples put together from corpora of one modality: one class, each modality from its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emofuse.data.pairing import by_class, mean_targets, paired
from emofuse.errors import DataError
from emofuse.evaluation.evaluate import evaluate_checkpoint


def test_pairs_are_of_one_class_and_take_each_modality_from_its_own(samples):
    labelled = [s for s in samples if not np.isnan(s.targets["emotion"]).any()]
    for sample in paired({"text": labelled, "speech": labelled}, 6):
        text, speech = sample.id.split("+")[:2]
        origins = {s.id: s for s in labelled}
        assert np.array_equal(origins[text].targets["emotion"], origins[speech].targets["emotion"])
        segment = sample.load()
        assert segment.present <= {"text", "speech"}
        np.testing.assert_array_equal(segment.waveform, origins[speech].load().waveform)
        assert all(0 <= w.start <= w.end <= segment.end + 1e-6 for w in segment.words or ())
    with pytest.raises(DataError, match="two modalities"):
        paired({"text": labelled}, 3)


@pytest.fixture
def comments(tmp_path: Path) -> Path:
    """GoEmotions of two comments, one of which has two labels that fold to one emotion and one that does not."""
    (tmp_path / "labels.txt").write_text("joy\nlove\nanger\n", "utf-8")
    (tmp_path / "dev.tsv").write_text("I am so happy!\t0,1\ta\nGo away, you fool.\t2\tb\n", "utf-8")
    return tmp_path


@pytest.mark.parametrize("corpus", ["manifest", "goemotions"])
def test_labels_that_may_stand_beside_each_other_pair_with_one_class(tiny_model, comments: Path, corpus: str):
    """Whichever of the two lends its part, whether or not the corpus has tasks of its own."""
    sounds = []
    for name, emotion in (("one", "joy"), ("two", "anger")):
        soundfile.write(comments / f"{name}.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 16_000)
        sounds.append(f"{name}.wav,{name},dev,{emotion}")
    (comments / "own.csv").write_text("\n".join(["media,speaker,split,emotion", *sounds]), "utf-8")
    roots = {"manifest": comments / "own.csv", "goemotions": comments}
    other = {"manifest": {"text": ("goemotions", comments)}, "goemotions": {"speech": ("manifest", roots["manifest"])}}
    found = evaluate_checkpoint(
        tiny_model, corpus, roots[corpus], "dev", pairs=other[corpus], limit=4, resamples=5, options={}
    )
    assert found.protocol["paired"] == {"text": "goemotions", "speech": "manifest"}
    assert found.tasks["emotion"].report["n"] == 4


def test_samples_of_several_labels_are_paired_by_the_leading_one_and_never_by_none(samples):
    """A text that carries no label at all is not one of the first class."""
    labels = {"a": [1.0, 1.0, 0.0], "b": [0.0, 0.0, 0.0], "c": [0.0, 1.0, 1.0], "d": [np.nan] * 3}
    texts, voices = (
        [replace(samples[1], id=m + i, targets={"both": np.array(t, np.float32)}) for i, t in labels.items()]
        for m in ("text ", "speech ")
    )
    assert by_class(texts, "both") == {0: [0], 1: [2]}
    found = paired({"text": texts, "speech": voices}, 4, task="both")
    assert [sample.id for sample in found] == [f"text {i}+speech {i}+#{n}" for n, i in enumerate("acac")]
    assert [sample.targets["both"].tolist() for sample in found] == [labels["a"], labels["c"]] * 2
    with pytest.raises(DataError, match="labelled samples of both of two modalities at least"):
        paired({"text": texts[1:2], "speech": voices}, 1, task="both")


def test_who_ties_is_of_no_class_and_who_lacks_a_modality_lends_none(samples):
    tie, joy = np.zeros(7, np.float32), np.eye(7, dtype=np.float32)[1]
    tie[:2] = 0.5
    both = frozenset(("text", "speech"))
    examples = [
        replace(samples[1], id="tie", targets={"emotion": tie}, modalities=both),
        replace(samples[1], id="silent", targets={"emotion": joy}, modalities=frozenset(["text"])),
        replace(samples[1], id="spoken", targets={"emotion": joy}, modalities=both),
    ]
    assert by_class(examples, "emotion") == {1: [1, 2]}
    found = paired({"text": examples, "speech": examples}, 20)
    assert {pair.id.split("+")[1] for pair in found} == {"spoken"}
    assert {pair.id.split("+")[0] for pair in found} == {"silent", "spoken"}


def test_modalities_of_a_corpus_are_those_of_any_sample(tiny_model, comments: Path):
    soundfile.write(comments / "one.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 16_000)
    rows = [",a,dev,joy,Such fun!", "one.wav,b,dev,joy,Such fun!"]
    (comments / "own.csv").write_text("\n".join(["media,speaker,split,emotion,text", *rows]), "utf-8")
    pairs = {"text": ("goemotions", comments)}
    found = evaluate_checkpoint(tiny_model, "manifest", comments / "own.csv", "dev", pairs=pairs, limit=4, resamples=5)
    assert found.protocol["paired"] == {"text": "goemotions", "speech": "manifest"}


def test_targets_of_a_pair_are_the_mean_of_what_is_known(samples):
    known, unknown = np.array([1.0, 0.0], np.float32), np.full(2, np.nan, np.float32)
    parts = [replace(samples[1], targets={"t": t}) for t in (known, unknown, known[::-1])]
    assert mean_targets(parts)["t"].tolist() == [0.5, 0.5]
    assert np.isnan(mean_targets([parts[1], parts[1]])["t"]).all()
