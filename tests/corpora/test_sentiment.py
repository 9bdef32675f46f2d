"""Corpora of opinions: CMU-MOSI, CMU-MOSEI, CH-SIMS, and utterance-level features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emofuse.corpora.features import read_features
from emofuse.corpora.mosi_folds import MOSI_FOLDS
from emofuse.corpora.registry import read
from emofuse.errors import DataError

HEADER = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\n"


def test_mosi_of_mmsa(make, tmp_path):
    make.text(
        tmp_path / "label.csv",
        HEADER
        + "03bSnISJMiM,1,ANYHOW IT WAS GOOD,2.4,,,,Positive,train\n"
        + "WKA5OygbEKI,2,NOT GOOD,-1.0,,,,Negative,valid\n"
        + "tmZoasNr4rU,3,SO SO,0,,,,Neutral,test\n"
        + "tmZoasNr4rU,4,SO SO,3.4,,,,Positive,test\n"
        + "tmZoasNr4rU,5,SO SO,bad,,,,Positive,test\n"
        + "tmZoasNr4rU,6,SO SO,1.0,,,,Positive,trial\n",
    )
    make.video(tmp_path / "Raw" / "03bSnISJMiM" / "1.mp4")
    found = read("mosi", tmp_path)
    assert [(u.id, u.split, u.labels["sentiment"]) for u in found.utterances] == [
        ("03bSnISJMiM_1", "train", 2.4),
        ("WKA5OygbEKI_2", "dev", -1.0),
        ("tmZoasNr4rU_3", "test", 0.0),
    ]
    assert [u.media is not None for u in found.utterances] == [True, False, False]
    assert sorted(p.kind for p in found.problems) == ["label"] * 3 + ["missing"] * 2


def test_mosi_of_cmu_takes_the_standard_folds(make, tmp_path):
    raw = tmp_path / "Raw"
    make.text(
        raw / "Labels" / "OpinionLevelSentiment.csv",
        "0.1,4.9,03bSnISJMiM,1,2.4\n5.0,6.0,03bSnISJMiM,2,-0.75\n1,2,tmZoasNr4rU,1,-3\n1,2,unknown,1,1\nx\n",
    )
    make.text(raw / "Transcript" / "Segmented" / "03bSnISJMiM.annotprocessed", "1_DELIM_ANYHOW \n2_DELIM_IT WAS\n")
    make.sound(raw / "Audio" / "WAV_16000" / "Segmented" / "03bSnISJMiM_1.wav")
    make.sound(raw / "Audio" / "WAV_16000" / "Segmented" / "tmZoasNr4rU_1.wav")
    found = read("mosi", tmp_path)
    assert [(u.id, u.split, u.text) for u in found.utterances] == [
        ("03bSnISJMiM_1", "train", "ANYHOW"),
        ("03bSnISJMiM_2", "train", "IT WAS"),
        ("tmZoasNr4rU_1", "test", None),
    ]
    assert found.utterances[0].media == raw / "Audio" / "WAV_16000" / "Segmented" / "03bSnISJMiM_1.wav"
    assert sorted(p.kind for p in found.problems) == ["label", "missing", "row"]


def test_the_standard_folds_of_mosi_are_52_10_and_31_videos():
    splits = list(MOSI_FOLDS.values())
    assert [splits.count(s) for s in ("train", "dev", "test")] == [52, 10, 31]  # type: ignore[arg-type]


RATINGS = (
    "Input.VIDEO_ID,Input.CLIP,Answer.anger,Answer.disgust,Answer.fear,"
    "Answer.happiness,Answer.sadness,Answer.sentiment,Answer.surprise\n"
)


def test_mosei_of_mmsa_takes_the_mean_of_its_raters(make, tmp_path):
    make.text(
        tmp_path / "label.csv", HEADER + "-3g5yACwYnA,10,Key is,1.0,,,,Positive,train\n-3g5yACwYnA,13,Ok,0,,,,,train\n"
    )
    make.text(
        tmp_path / "Raw" / "Labels" / "batch.csv",
        RATINGS + "-3g5yACwYnA,10,0,0,0,2,0,1,0\n-3g5yACwYnA,10,0,0,0,1,1,1,0\n-3g5yACwYnA,10,,0,0,0,0,2,0\n",
    )
    found = read("mosei", tmp_path)
    assert found.utterances[0].labels == {
        "sentiment": 1.0,
        "emotion": {"happiness": 1.5, "sadness": 0.5, "anger": 0.0, "surprise": 0.0, "disgust": 0.0, "fear": 0.0},
    }
    assert found.utterances[1].labels == {"sentiment": 0.0}
    assert any("a rating is empty" in p.what for p in found.problems)


def test_mosei_of_cmu_needs_its_folds(make, tmp_path):
    raw = tmp_path / "Raw"
    make.text(raw / "Labels" / "batch.csv", RATINGS + "abc,0,0,0,0,2,0,1,0\nabc,0,0,0,0,2,0,2,0\nxyz,1,0,0,0,0,0,0,0\n")
    make.text(raw / "Transcript" / "Segmented" / "Combined" / "abc.txt", "abc___0___0.0___4.2___And I'm ___ here\n")
    make.video(raw / "Videos" / "Segmented" / "Combined" / "abc_0.mp4")
    with pytest.raises(DataError, match=r"no folds\.json"):
        read("mosei", tmp_path)
    make.text(tmp_path / "folds.json", json.dumps({"train": [], "dev": ["abc"], "test": []}))
    found = read("mosei", tmp_path)
    assert [(u.id, u.split, u.text, u.labels["sentiment"]) for u in found.utterances] == [
        ("abc_0", "dev", "And I'm ___ here", 1.5)
    ]
    assert [p.what for p in found.problems] == ["video xyz is in no fold"]
    with pytest.raises(DataError, match="lists of videos train, dev, test"):
        read("mosei", tmp_path, folds_file=make.text(tmp_path / "other.json", '{"train": []}'))


@pytest.mark.parametrize(
    ("name", "table", "video", "clip"),
    [("ch_sims", "label.csv", "video_0001", "0001"), ("ch_sims_v2", "meta.csv", "aqgy3_0001", "00001")],
)
def test_ch_sims_keeps_a_label_for_each_modality(make, tmp_path, name, table, video, clip):
    make.text(
        tmp_path / table,
        HEADER
        + f"{video},1,我不想嫁给李茶,-0.6,-0.4,0.2,,Negative,train\n{video},2,好,1.0,1.0,1.0,1.0,Positive,test\n",
    )
    make.video(tmp_path / "Raw" / video / f"{clip}.mp4")
    found = read(name, tmp_path)
    one, two = found.utterances
    assert one.labels == {"sentiment": -0.6, "sentiment_text": -0.4, "sentiment_audio": 0.2}
    assert one.media == tmp_path / "Raw" / video / f"{clip}.mp4"
    assert one.text == "我不想嫁给李茶"
    assert two.media is None
    assert "1 of 1 videos have clips in several splits, as published" in found.notes


def features(path: Path, **changes) -> Path:
    arrays = {
        "text": np.ones((2, 4), np.float32),
        "audio": np.ones((2, 3), np.float32),
        "video": np.ones((2, 5), np.float32),
        "valence": np.array([1.0, -2.0], np.float32),
        "name": np.array(["a_b_1", "c_2"]),
        "text_raw": np.array(["x", "y"]),
    } | changes
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


def test_features_are_found_by_name(tmp_path):
    found = read_features(features(tmp_path / "mosi_utterance_features.npz"))
    assert found.videos == ("a_b", "c")
    assert found.row("c_2")["speech"].shape == (3,)
    with pytest.raises(DataError, match="no features of an utterance"):
        found.row("c_3")
    assert {u.id for u in read("mosi_features", tmp_path).utterances} == {"a_b_1", "c_2"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valence": None}, "no array valence"),
        ({"name": np.array(["a_1", {}], dtype=object)}, "without objects"),
        ({"text": np.ones((3, 4))}, "one row an utterance"),
    ],
)
def test_features_that_do_not_fit_are_an_error(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_features(features(tmp_path / "f.npz", **changes))


def test_a_row_of_features_that_is_not_finite_is_listed(tmp_path):
    audio = np.array([[1, 2, np.nan], [1, 2, 3]], np.float32)
    features(tmp_path / "mosi_utterance_features.npz", audio=audio)
    found = read("mosi_features", tmp_path)
    assert [u.id for u in found.utterances] == ["c_2"]
    assert [p.what for p in found.problems] == ["not finite: speech"]
