"""Saved analyses read back as what they were."""

from __future__ import annotations

import csv
import json
import re

import pytest

from emofuse.errors import MediaError
from emofuse.pipeline.analysis import Analysis
from emofuse.tasks import EMOTIONS, POLARITIES
from emofuse.types import Word

CUE = re.compile(r"(\d\d):(\d\d):(\d\d)[,.](\d{3}) --> (\d\d):(\d\d):(\d\d)[,.](\d{3})")
NOTHING = Analysis("silent.mp4", 3.0, "tiny", None, [], None, ("there was nothing to predict",))


def test_json_has_the_documented_shape(analysis, tmp_path):
    read = json.loads(analysis.save(tmp_path / "a.json").read_text(encoding="utf-8"))
    assert read == json.loads(json.dumps(analysis.to_dict()))
    assert list(read) == [
        *("source", "duration", "model", "overall", "speakers", "persons", "segments", "transcript", "notes"),
        "note_codes",
    ]
    for p in [read["overall"], *read["segments"]]:
        assert list(p) == [
            *(
                "start",
                "end",
                "person",
                "speaker",
                "present",
                "emotions",
                "polarity",
                "intensity",
                "valence",
                "arousal",
            ),
            "by_modality",
        ]
        assert set(p["emotions"]) == set(EMOTIONS) and set(p["polarity"]) == set(POLARITIES)
        assert sum(p["emotions"].values()) == pytest.approx(1)
        assert p["intensity"] is None and p["arousal"] is None
        assert list(p["by_modality"]) == p["present"]
    assert read["segments"][0]["present"] == ["text", "speech", "face"]
    assert read["transcript"][2] == {"text": "“no”, ça", "start": 3.0, "end": 3.5}


def test_a_model_with_further_heads_shows_them(make_prediction):
    p = make_prediction(others={"sentiment": 1.5})
    assert Analysis(None, None, "m", p, [p], None).to_dict()["segments"][0]["others"] == {"sentiment": 1.5}


def test_nothing_found_is_null_with_the_reason(tmp_path):
    read = json.loads(NOTHING.save(tmp_path / "a.json").read_text())
    assert read["overall"] is None and read["segments"] == [] and read["notes"] == ["there was nothing to predict"]
    assert NOTHING.save(tmp_path / "a.csv").read_text() == "source,start,end,person,speaker,present,emotion,text\n"
    assert NOTHING.save(tmp_path / "a.vtt").read_text() == "WEBVTT\n"
    assert NOTHING.save(tmp_path / "a.srt").read_text() == ""


def test_csv_has_a_row_a_prediction_with_the_path_of_each_value(analysis, tmp_path):
    with analysis.save(tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert rows[0]["source"] == "a, clip.mp4" and rows[0]["present"] == "text+speech+face"
    assert rows[0]["text"] == "I <can't> & won't" and rows[2]["text"] == ""
    assert float(rows[1]["emotions.anger"]) == pytest.approx(0.9) and rows[1]["emotion"] == "anger"
    assert rows[2]["by_modality.speech.joy"] == "" and rows[0]["arousal"] == ""


def test_the_dataframe_is_the_table(analysis):
    frame = analysis.to_dataframe()
    assert len(frame) == 3 and frame["emotions.anger"][1] == pytest.approx(0.9)
    columns = ["source", "start", "end", "person", "speaker", "present", "emotion", "text"]
    assert list(NOTHING.to_dataframe().columns) == columns


@pytest.mark.parametrize("ending", ["srt", "vtt"])
def test_captions_have_a_cue_a_segment(analysis, tmp_path, ending):
    text = analysis.save(tmp_path / f"a.{ending}").read_text(encoding="utf-8")
    times = [[int(part) for part in match.groups()] for match in CUE.finditer(text)]
    assert times == [[0, 0, 0, 0, 0, 0, 2, 0], [0, 0, 2, 500, 0, 0, 4, 0]]
    words = "I &lt;can't&gt; &amp; won't" if ending == "vtt" else "I <can't> & won't"
    assert f"[person 0: joy 70%] {words}\n" in text
    assert "[person 0: anger 90%] “no”, ça\n[person 1: fear 40%]\n" in text


def test_a_cue_of_a_text_without_time_still_lasts(make_prediction):
    p = make_prediction(0, 0, present=("text",), person=None)
    text = Analysis(None, None, "m", p, [p], (Word("oh", 0, 0),)).to_text(".srt")
    assert text == "1\n00:00:00,000 --> 00:00:00,001\n[joy 70%] oh\n"


def test_an_hour_is_written_as_one(make_prediction):
    p = make_prediction(3599.9996, 3661.5)
    assert "01:00:00,000 --> 01:01:01,500" in Analysis("x", 4000.0, "m", p, [p], None).to_text(".srt")


@pytest.mark.parametrize("name", ["a.xlsx", "a"])
def test_an_unknown_ending_says_which_are_known(analysis, tmp_path, name):
    with pytest.raises(
        MediaError, match=r"cannot save as .* valid: \.csv, \.eaf, \.json, \.rttm, \.srt, \.textgrid, \.vtt"
    ):
        analysis.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(analysis, tmp_path):
    with pytest.raises(MediaError, match=r"cannot write .*No such file or directory"):
        analysis.save(tmp_path / "nowhere" / "a.json")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(analysis, tmp_path, monkeypatch):
    path = analysis.save(tmp_path / "a.json")
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(MediaError, match="No space left on device"):
        analysis.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_timeline_is_drawn(analysis, tmp_path, ending):
    path = analysis.plot(tmp_path / f"a.{ending}")
    assert path.read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")
    assert len(list(tmp_path.iterdir())) == 1


def test_the_timeline_has_a_row_for_each_person_and_each_modality(analysis):
    from emofuse.pipeline.timeline import figure, rows

    assert [name for name, _ in rows(analysis.segments)] == ["person 0", "person 1", "text", "speech", "face"]
    assert [name for name, _ in rows(analysis.segments[:1])] == ["fused", "text", "speech", "face"]
    assert [axis.get_ylabel() for axis in figure(analysis.segments).axes[:5]] == [
        "person 0",
        "person 1",
        "text",
        "speech",
        "face",
    ]


def test_the_timeline_of_nothing_says_why(tmp_path):
    from emofuse.pipeline.timeline import figure

    assert "there was nothing to predict" in [
        t.get_text() for axis in figure([], "there was nothing to predict").axes for t in axis.texts
    ]
    assert NOTHING.plot(tmp_path / "a.png").is_file()


def test_a_timeline_of_another_kind_is_refused(analysis, tmp_path):
    with pytest.raises(MediaError, match=r"cannot draw to .* valid: \.pdf, \.png, \.svg"):
        analysis.plot(tmp_path / "a.gif")
