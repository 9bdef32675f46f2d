"""Corpora whose labels are in file names: RAVDESS, EMO-DB, CREMA-D; and FER+ with its votes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from emofuse.corpora.registry import corpus, read
from emofuse.errors import DataError

VOTES = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"


@pytest.fixture
def ravdess(make, tmp_path) -> Path:
    for actor in (1, 17, 21):
        folder = tmp_path / f"Actor_{actor:02}"
        make.sound(folder / f"03-01-02-01-01-01-{actor:02}.wav")
        make.sound(folder / f"03-02-03-02-02-01-{actor:02}.wav")
        make.video(folder / f"01-01-05-02-02-02-{actor:02}.mp4")
    return tmp_path


def test_ravdess_splits_by_actor_and_reads_one_channel(ravdess):
    found = read("ravdess", ravdess)
    assert [(u.id, u.split, u.speaker) for u in found.utterances] == [
        ("03-01-02-01-01-01-01", "train", "actor_01"),
        ("03-01-02-01-01-01-17", "dev", "actor_17"),
        ("03-01-02-01-01-01-21", "test", "actor_21"),
    ]
    assert found.utterances[0].labels == {"emotion": "calm", "intensity": "normal"}
    seen = read("ravdess", ravdess, "dev", channel="audio-visual", transcript=True)
    assert [(u.id, u.text) for u in seen.utterances] == [("01-01-05-02-02-02-17", "Dogs are sitting by the door.")]
    assert len(read("ravdess", ravdess, vocal="all").utterances) == 6


def test_ravdess_without_the_channel_says_which_there_are(ravdess):
    with pytest.raises(DataError, match="it has audio, audio-visual: set the option channel"):
        read("ravdess", ravdess, channel="video")
    with pytest.raises(DataError, match="did you mean 'audio-visual'"):
        read("ravdess", ravdess, channel="audiovisual")


def test_ravdess_lists_what_it_cannot_take(ravdess, make):
    make.truncate(ravdess / "Actor_17" / "03-01-02-01-01-01-17.wav", 0.5)
    make.sound(ravdess / "Actor_01" / "03-01-09-01-01-01-01.wav")
    found = read("ravdess", ravdess)
    assert len(found.utterances) == 2
    assert sorted(p.kind for p in found.problems) == ["row", "truncated"]
    assert "the dev split is empty: none of its files are in" in found.notes[0]
    assert "problems: 1 row, 1 truncated" in found.summary()


def test_emodb_cuts_the_zeros_off(make, tmp_path):
    make.sound(tmp_path / "wav" / "03a01Fa.wav", 0.8, silence=1.2)
    make.sound(tmp_path / "wav" / "14b10Wb.wav", 0.5)
    make.sound(tmp_path / "wav" / "15a07La.wav", 0.0, silence=1.0)
    found = read("emodb", tmp_path)
    assert [(u.split, u.speaker, u.labels["emotion"]) for u in found.utterances] == [
        ("train", "03", "happiness"),
        ("dev", "14", "anger"),
    ]
    assert found.utterances[0].end == pytest.approx(0.8, abs=0.001)
    assert [corpus("emodb").groups(u)["age"] for u in found.utterances] == ["30-39", "30-39"]
    assert [p.what for p in found.problems] == ["the recording is silent throughout"]


def test_emodb_folds_name_the_valid_speakers(make, tmp_path):
    make.sound(tmp_path / "wav" / "16a01Na.wav")
    assert read("emodb", tmp_path, fold="16").utterances[0].split == "test"
    assert read("emodb", tmp_path, fold="15").utterances[0].split == "dev"
    assert read("emodb", tmp_path, fold=13).utterances[0].split == "train"
    with pytest.raises(DataError, match="valid: 03, 08"):
        read("emodb", tmp_path, fold="17")


@pytest.fixture
def crema_d(make, tmp_path) -> Path:
    for name in ("1001_DFA_ANG_XX", "1064_IEO_HAP_HI", "1091_WSI_NEU_XX"):
        make.sound(tmp_path / "AudioWAV" / f"{name}.wav")
    make.text(
        tmp_path / "processedResults" / "tabulatedVotes.csv",
        '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"\n'
        '"100001",6,2,0,0,2,0,"1001_DFA_ANG_XX",10,0.6,"A"\n'
        '"100002",0,0,0,5,5,0,"1064_IEO_HAP_HI",10,0.5,"H:N"\n'
        '"200001",9,0,0,0,1,0,"1001_DFA_ANG_XX",10,0.9,"A"\n'
        '"300001",0,0,0,0,0,"x","1091_WSI_NEU_XX",10,1.0,"N"\n',
    )
    return tmp_path


def test_crema_d_reads_what_was_acted(crema_d):
    found = read("crema_d", crema_d)
    assert [(u.split, u.labels["emotion"], u.labels["level"]) for u in found.utterances] == [
        ("train", "anger", "unspecified"),
        ("dev", "happy", "high"),
        ("test", "neutral", "unspecified"),
    ]


def test_crema_d_reads_what_was_heard(crema_d):
    found = read("crema_d", crema_d, votes="voice")
    assert found.utterances[0].labels["emotion"] == {
        "anger": 6.0, "disgust": 2.0, "fear": 0.0, "happy": 0.0, "neutral": 2.0, "sad": 0.0,
    }  # fmt: skip
    assert [p.what for p in found.problems] == ["no votes on it (voice)"]
    assert len(read("crema_d", crema_d, votes="face").utterances) == 1
    assert "not a number" in read("crema_d", crema_d, votes="both").problems[0].what


def test_crema_d_without_its_votes_or_its_folder_says_so(make, tmp_path):
    make.sound(tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav")
    with pytest.raises(DataError, match="no processedResults/tabulatedVotes"):
        read("crema_d", tmp_path, votes="both")
    with pytest.raises(DataError, match="no folder VideoFlash"):
        read("crema_d", tmp_path, channel="video")


def test_ferplus_by_usage(make, tmp_path):
    for folder, name in (("FER2013Train", "fer0000000"), ("FER2013Test", "fer0032220")):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / f"{name}.png"), np.zeros((48, 48), np.uint8))
    rows = [
        "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",
        "Training,,0,0,0,0,0,0,0,0,0,10",
        "Training,fer0000001.png,4,0,0,1,3,2,0,0,0,0",
        "PublicTest,fer0028638.png,4,0,0,1,3,2,0,0,0,0",
        "PrivateTest,fer0032220.png,0,10,0,0,0,0,0,0,0,0",
        "PrivateTest,fer0032220.png,0,10,0,0,0,0,0,0,0,0",
        "Trainig,fer0000002.png,0,10,0,0,0,0,0,0,0,0",
    ]
    make.text(tmp_path / "fer2013new.csv", VOTES + "\n".join(rows) + "\n")
    found = read("ferplus", tmp_path)
    assert [(u.id, u.split) for u in found.utterances] == [("fer0000000", "train"), ("fer0032220", "test")]
    assert sorted(p.kind for p in found.problems) == ["duplicate", "missing", "row"]
    assert found.notes == (
        "1 rows of fer2013new.csv name no image: nothing to read for them",
        f"the dev split is empty: none of its files are in {tmp_path}",
    )


def test_facial_expressions_by_person(make, tmp_path):
    (tmp_path / "images").mkdir()
    people = ["Ann_Lee", "Bo_Ek", "Cy_Orr", "Di_Ax", "Ed_Fry", "Flo_Gu", "Gil_Ho", "Hal_Im"]
    for person in people:
        for number in (1, 2):
            cv2.imwrite(str(tmp_path / "images" / f"{person}_000{number}.jpg"), np.zeros((60, 60), np.uint8))
    rows = [f"me,{person}_000{n},{'Happiness' if n == 1 else 'fear'}" for person in people for n in (1, 2)]
    rows = [row.replace(",Hap", ".jpg,Hap").replace(",fear", ".jpg,fear") for row in rows]
    rows += ["me,Ann_Lee_0001.jpg,anger", "me,Bo_Ek_0003.jpg,anger", "me,Bo_Ek_0004.jpg,calm"]
    make.text(tmp_path / "data" / "legend.csv", "user.id,image,emotion\n" + "\n".join(rows) + "\n")
    found = read("facial_expressions", tmp_path)
    assert {str(u.labels["emotion"]) for u in found.utterances} == {"happiness", "fear"}
    assert sorted(p.kind for p in found.problems) == ["duplicate", "label", "missing"]
    parts = [{u.speaker for u in found.split(split)} for split in ("train", "dev")]
    assert all(parts) and not parts[0] & parts[1] and parts[0] | parts[1] == set(people)


def test_facial_expressions_needs_its_legend_and_columns(make, tmp_path):
    with pytest.raises(DataError, match=r"no data/legend\.csv"):
        read("facial_expressions", tmp_path)
    make.text(tmp_path / "data" / "legend.csv", "image,label\na.jpg,joy\n")
    with pytest.raises(DataError, match="has no column emotion"):
        read("facial_expressions", tmp_path)


def test_goemotions_rows(make, tmp_path):
    make.text(tmp_path / "labels.txt", "joy\nlove\nneutral\n")
    make.text(tmp_path / "train.tsv", 'So "good\t0,1\tid1\nOk\t2\tid2\nBad\t3\tid3\nshort\t1\n \t1\tid4\n')
    found = read("goemotions", tmp_path)
    assert [(u.id, u.text, u.labels["emotion"]) for u in found.utterances] == [
        ("id1", 'So "good', {"joy": 1.0, "love": 1.0}),
        ("id2", "Ok", {"neutral": 1.0}),
    ]
    assert [p.where for p in found.problems] == ["train.tsv row 3", "train.tsv row 4", "train.tsv row 5"]
