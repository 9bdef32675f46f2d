"""Corpora of dialogues: MELD, IEMOCAP, MUStARD."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emofuse.corpora.registry import read
from emofuse.corpora.text import repair
from emofuse.errors import DataError

MELD = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"


@pytest.fixture
def meld(make, tmp_path) -> Path:
    make.text(
        tmp_path / "train_sent_emo.csv",
        MELD
        + '1,"Hey, you\x92re here!",Joey,joy,positive,0,0,1,1,"00:00:01,000","00:00:02,000"\n'
        + '3,And now?,Ross,surprise,negative,0,2,1,1,"00:00:04,000","00:00:05,000"\n'
        + '2,Yes\x85 I am.,Ross,neutral,neutral,0,1,1,1,"00:00:02,500","00:00:03,500"\n'
        + '4,What?,Joey,surprised,negative,1,0,1,1,"00:00:01,000","00:00:02,000"\n',
    )
    make.text(tmp_path / "test_sent_emo.csv", MELD + '1,Hi.,Joey,joy,positive,0,0,1,1,"00:00:01,000","00:00:02,000"\n')
    return tmp_path


def test_meld_reads_turns_in_order_with_their_speakers(meld):
    found = read("meld", meld, "train")
    assert [u.text for u in found.utterances] == ["Hey, you’re here!", "Yes… I am.", "And now?"]
    assert found.utterances[2].context == ("Joey: Hey, you’re here!", "Ross: Yes… I am.")
    assert found.utterances[2].labels == {"emotion": "surprise", "sentiment": "negative"}
    assert [u.context for u in read("meld", meld, "train", context=0).utterances] == [(), (), ()]
    assert read("meld", meld, "train", context=1).utterances[2].context == ("Ross: Yes… I am.",)
    assert [p.kind for p in found.problems] == ["label"]
    assert found.utterances[0].dialogue != read("meld", meld, "test").utterances[0].dialogue


def test_meld_clips_that_are_missing_broken_or_misaligned_leave_the_text(meld, make):
    clips = meld / "train" / "train_splits"
    make.video(clips / "dia0_utt0.mp4", 1.0)
    make.video(clips / "dia0_utt1.mp4", 9.0)
    found = read("meld", meld, "train")
    assert [u.media for u in found.utterances] == [clips / "dia0_utt0.mp4", None, None]
    assert sorted(p.kind for p in found.problems) == ["label", "misaligned", "missing"]
    assert all(u.text for u in found.utterances)
    assert [u.media for u in read("meld", meld, "train", clips=False).utterances] == [None] * 3


def test_meld_without_a_column_is_not_meld(make, tmp_path):
    make.text(tmp_path / "dev_sent_emo.csv", "Utterance,Speaker\nHi,Joey\n")
    with pytest.raises(DataError, match="no column Dialogue_ID, Emotion"):
        read("meld", tmp_path)


@pytest.mark.parametrize(
    ("came", "mended"),
    [("You\x92re", "You’re"), ("itâ€™s", "it’s"), ("a\x85b", "a…b"), ("  a\t b\n", "a b"), ("café Ã©", "café Ã©")],
)
def test_text_is_repaired(came, mended):
    assert repair(came) == mended


EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.0000 - 7.0000]\tSes01F_impro01_F000\tneu\t[2.5000, 3.0000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral; Sadness;\t(tired)
C-E4:\tNeutral state;\t()
C-F1:\tNeutral;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()

[7.5000 - 8.0000]\tSes01F_impro01_M000\texc\t[4.0000, 5.0000, 3.0000]
C-E2:\tExcited;\t()

[9.0000 - 9.5000]\tSes01F_impro01_F001\txxx\t[1.0000, 1.0000, 1.0000]
[9.0000 - 8.5000]\tSes01F_impro01_F002\tsad\t[1.0000, 1.0000, 1.0000]
"""


@pytest.fixture
def iemocap(make, tmp_path) -> Path:
    for session in range(1, 6):
        folder, dialogue = tmp_path / f"Session{session}", f"Ses0{session}F_impro01"
        content = EVALUATION.replace("Ses01", f"Ses0{session}")
        make.text(folder / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", content)
        make.text(folder / "dialog" / "EmoEvaluation" / "Categorical" / f"{dialogue}_e1_cat.txt", "x :Neutral; ()\n")
        make.text(
            folder / "dialog" / "transcriptions" / f"{dialogue}.txt",
            f"{dialogue}_F000 [006.0000-007.0000]: Excuse me.\nM: Yeah.\n{dialogue}_M000 [007.5000-008.0000]: Great!\n",
        )
        make.sound(folder / "sentences" / "wav" / dialogue / f"{dialogue}_F000.wav", 1.0)
        make.sound(folder / "sentences" / "wav" / dialogue / f"{dialogue}_M000.wav", 3.0)
        make.sound(folder / "sentences" / "wav" / dialogue / f"{dialogue}_F001.wav", 0.5)
    return tmp_path


def test_iemocap_sessions_are_folds(iemocap):
    found = read("iemocap", iemocap)
    assert {u.dialogue[:5]: u.split for u in found.utterances if u.dialogue} == {
        "Ses01": "train", "Ses02": "train", "Ses03": "train", "Ses04": "dev", "Ses05": "test",
    }  # fmt: skip
    first = read("iemocap", iemocap, fold=1)
    assert {u.split for u in first.utterances if u.id.startswith("Ses05")} == {"dev"}
    assert {u.split for u in first.utterances if u.id.startswith("Ses01")} == {"test"}


def test_iemocap_turns(iemocap):
    found = read("iemocap", iemocap, "train")
    one, two, three = found.utterances[:3]
    assert (one.speaker, one.text, one.context) == ("Ses01_F", "Excuse me.", ())
    assert one.labels == {
        "emotion": "neu", "votes": {"neu": 3.0, "sad": 1.0}, "valence": 2.5, "activation": 3.0, "dominance": 2.5,
    }  # fmt: skip
    assert (two.media, two.text, two.context) == (None, "Great!", ("Ses01_F: Excuse me.",))
    assert (three.media is not None, three.text) == (True, None)
    kinds = [p.kind for p in found.problems]
    assert kinds.count("misaligned") == kinds.count("row") == 5
    assert read("iemocap", iemocap, votes=True).utterances[0].labels["emotion"] == {"neu": 3.0, "sad": 1.0}


def test_iemocap_video_is_cut_by_time(iemocap, make):
    for session in range(1, 6):
        make.video(
            iemocap / f"Session{session}" / "dialog" / "avi" / "DivX" / f"Ses0{session}F_impro01.avi", 8.2, fps=5
        )
    found = read("iemocap", iemocap, "train", media="avi")
    one, two = found.utterances[:2]
    assert (one.start, one.end) == (6.0, 7.0)
    assert two.media is not None
    assert two.media.name == "Ses01F_impro01.avi"
    assert len(found.utterances) == 6
    assert any("Ses01F_impro01_F001 is at 9.0 to 9.5" in p.what for p in found.problems)


def mustard_entry(show: str, line: str, sarcasm: bool = True) -> dict:
    return {
        "utterance": line, "speaker": "A", "context": ["Where were you all of last night?", "Out."],
        "context_speakers": ["B", "C"], "show": show, "sarcasm": sarcasm,
    }  # fmt: skip


def test_mustard_tests_on_friends_and_keeps_scenes_whole(make, tmp_path):
    entries = {f"1_{i}": mustard_entry("BBT", f"Line {i}") for i in range(4)}
    entries |= {f"2_{i}": mustard_entry("FRIENDS", f"Line {i}", False) for i in range(2)}
    entries["3_0"] = entries["1_0"] | {"context_speakers": ["B"]}
    entries["3_1"] = entries["1_0"] | {"sarcasm": "yes"}
    make.text(tmp_path / "sarcasm_data.json", json.dumps(entries))
    make.video(tmp_path / "utterances_final" / "1_0.mp4")
    found = read("mustard", tmp_path)
    assert [u.id for u in found.split("test")] == ["2_0", "2_1"]
    assert len({(u.dialogue, u.split) for u in found.utterances if u.id.startswith("1_")}) == 1
    assert found.utterances[0].context == ("B: Where were you all of last night?", "C: Out.")
    assert found.utterances[0].media == tmp_path / "utterances_final" / "1_0.mp4"
    assert sorted(p.kind for p in found.problems) == ["label", "misaligned", *["missing"] * 5]
    assert [u.id for u in read("mustard", tmp_path, "test", fold="BBT").utterances] == ["1_0", "1_1", "1_2", "1_3"]


def test_mustard_that_is_no_json_says_where(make, tmp_path):
    make.text(tmp_path / "data" / "sarcasm_data.json", "{")
    with pytest.raises(DataError, match="is not JSON"):
        read("mustard", tmp_path)


def test_later_turns_are_read_only_where_a_protocol_asks_for_them(meld):
    assert [u.after for u in read("meld", meld, "train").utterances] == [(), (), ()]
    found = read("meld", meld, "train", future=1).utterances
    assert [u.after for u in found] == [("Ross: Yes… I am.",), ("Ross: And now?",), ()]
    assert found[2].context == ("Joey: Hey, you’re here!", "Ross: Yes… I am.")
    with pytest.raises(DataError, match="future=-1; valid: a whole number from 0 on"):
        read("meld", meld, "train", future=-1)
