"""nEMO, ASED, EmoTale and EmoGator: made-up layouts, what is wrong in them, and splits by speaker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from emofuse.corpora.corpus import age_group
from emofuse.corpora.registry import corpus, read
from emofuse.errors import DataError
from emofuse.tasks import TASKS


def sound(path: Path, seconds: float = 0.2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(16_000 * seconds)) / 9), 16_000)
    return path


def folded(utterance, task: str = "emotion"):
    target = corpus(utterance.corpus).fold(utterance.labels, TASKS[task])
    return None if np.isnan(target).any() else (TASKS[task].classes or target)[int(target.argmax())]


def test_nemo_reads_speaker_emotion_and_the_sentence_on_request(tmp_path):
    sound(tmp_path / "samples" / "WR0_surprised_64.flac")
    sound(tmp_path / "samples" / "KD0_happiness_1.wav")
    sound(tmp_path / "samples" / "XX0_anger_1.wav")
    (tmp_path / "data.tsv").write_text("file_id\temotion\traw_text\nWR0_surprised_64.wav\tsurprised\tUcho.\n", "utf-8")
    found = read("nemo", tmp_path)
    assert [(u.id, u.speaker, u.split, u.text) for u in found.utterances] == [
        ("KD0_happiness_1", "KD0", "dev", None),
        ("WR0_surprised_64", "WR0", "train", None),
    ]
    assert [folded(u) for u in found.utterances] == ["joy", "surprise"]
    assert [p.kind for p in found.problems] == ["row"]
    assert read("nemo", tmp_path, transcript=True).utterances[1].text == "Ucho."
    assert [u.split for u in read("nemo", tmp_path, fold="WR0").utterances] == ["train", "test"]
    groups = [corpus("nemo").groups(u) for u in found.utterances]
    assert [(g["language"], g["sex"], g["age"]) for g in groups] == [
        ("Polish", "female", "20-29"),
        ("Polish", "male", "20-29"),
    ]


def test_nemo_without_its_table_has_no_words(tmp_path):
    sound(tmp_path / "samples" / "WR0_fear_64.flac")
    found = read("nemo", tmp_path, transcript=True)
    assert found.utterances[0].text is None and "data.tsv" in found.problems[0].mend


def test_ased_keeps_a_speaker_on_one_side(tmp_path):
    for name in ("05Angry/a5-03-01-02-50", "02Fearful/f2-03-01-02-50", "01Neutral/n1-01-02-01-07"):
        sound(tmp_path / f"{name}.flac")
    sound(tmp_path / "05Angry" / "a5-03-01.flac")
    found = read("ased", tmp_path)
    assert {(u.speaker, u.split, folded(u)) for u in found.utterances} == {
        ("07", "dev", "neutral"),
        ("50", "train", "fear"),
        ("50", "train", "anger"),
    }
    assert len(found.problems) == 1
    assert {corpus("ased").groups(u)["sex"] for u in found.utterances} == {"female", "male"}


def test_emotale_takes_the_mean_of_the_raters(tmp_path):
    for name in ("DK_004_A_5", "EN_003_B_1", "EN_007_S_2"):
        sound(tmp_path / "wav" / f"{name}.flac")
    header = "file," + ",".join(f"a{i}_{s}" for i in (1, 2, 3) for s in ("A", "V", "D", "cat")) + ",gt_emotion"
    rows = ["DK_004_A_5.wav,4,1.5,4,A,5,1,4,A,3,2,4,A,A", "EN_003_B_1.wav,1,3,2,B,,,,,1,x,2,B,B"]
    (tmp_path / "annotations.csv").write_text("\n".join([header, *rows]), "utf-8")
    found = read("emotale", tmp_path)
    angry, bored, unrated = found.utterances
    assert [u.split for u in found.utterances] == ["train", "test", "dev"]
    assert angry.labels == {"emotion": "anger", "valence": 1.5, "arousal": 4.0, "dominance": 4.0}
    assert folded(angry, "arousal") == pytest.approx(0.5) and folded(angry, "valence") == pytest.approx(-0.75)
    assert folded(bored) is None and folded(bored, "arousal") == pytest.approx(-1.0)
    assert "valence" not in bored.labels and [p.kind for p in found.problems] == ["label"]
    assert unrated.labels == {"emotion": "sadness"}
    assert [corpus("emotale").groups(u)["language"] for u in found.utterances] == ["Danish", "English", "English"]
    assert {u.id[:2] for u in read("emotale", tmp_path, language="Danish").utterances} == {"DK"}


def test_emotale_tells_sex_and_age_where_its_table_of_speakers_is_there(tmp_path):
    for name in ("DK_004_A_5", "EN_014_S_2", "EN_003_B_1"):
        sound(tmp_path / "wav" / f"{name}.flac")
    (tmp_path / "annotations.csv").write_text("file\n", "utf-8")
    (tmp_path / "speaker_info.csv").write_text("speaker,gender,age\n004,M,24\n014,F,9\n003,F,\n", "utf-8")
    groups = [corpus("emotale").groups(u) for u in read("emotale", tmp_path).utterances]
    assert [(g.get("sex"), g.get("age")) for g in groups] == [("male", "20-29"), ("female", None), ("female", "0-9")]


@pytest.mark.parametrize(("years", "group"), [("24", "20-29"), ("9", "0-9"), ("100", "100-109"), ("", ""), ("old", "")])
def test_ages_are_told_by_ten_years(years, group):
    assert age_group(years) == group and age_group("999") == age_group("-1") == ""


def test_emogator_names_its_thirty_categories(tmp_path):
    for name in ("000312-18-3", "000010-02-1", "000312-04-1", "000312-31-1"):
        sound(tmp_path / "data" / "mp3" / f"{name}.flac")
    found = read("emogator", tmp_path)
    assert [(u.labels["emotion"], folded(u), u.split) for u in found.utterances] == [
        ("amusement", "joy", "dev"),
        ("awe", None, "train"),
        ("neutral", "neutral", "train"),
    ]
    assert len(found.problems) == 1


@pytest.mark.parametrize("name", ["nemo", "ased", "emotale", "emogator"])
def test_another_folder_is_told_what_is_expected(name, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="the layout expected"):
        read(name, tmp_path)
