"""Feature files of MMSA: sequences without their padding, labels held against the corpus's own table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.corpora.mmsa import read_feature_file
from emofuse.corpora.registry import read
from emofuse.data.load import load_segment
from emofuse.errors import DataError
from tests.mmsa import KEPT, part, write

WIDTHS = (8, 5, 4)
ROWS = {
    "train": [("03bSnISJMiM$_$1", 2.4), ("03bSnISJMiM$_$11", -1.0)],
    "valid": [("WKA5OygbEKI$_$2", 0.0)],
    "test": [("tmZoasNr4rU$_$3", -0.75)],
}
TABLE = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\n"


def parts(**changes: Any) -> dict[str, dict[str, Any]]:
    found = {name: part(rows, WIDTHS, i) for i, (name, rows) in enumerate(ROWS.items())}
    found["train"] |= changes
    return found


@pytest.mark.parametrize(("protocol", "numpy"), [(4, 1), (3, 2), (5, 2)])
def test_an_utterance_has_the_rows_that_its_lengths_say(tmp_path: Path, protocol: int, numpy: int):
    made = parts()
    found = read_feature_file(write(tmp_path / "unaligned_50.pkl", made, protocol, numpy))
    assert [(e.id, e.split) for e in found.entries] == [
        ("03bSnISJMiM_1", "train"), ("03bSnISJMiM_11", "train"), ("WKA5OygbEKI_2", "dev"), ("tmZoasNr4rU_3", "test"),
    ]  # fmt: skip
    states, train = found.row("03bSnISJMiM_11"), made["train"]
    for name, modality in (("text", "text"), ("audio", "speech"), ("vision", "face")):
        length = train["text_bert"][1, 1].sum() if name == "text" else train[f"{name}_lengths"][1]
        np.testing.assert_array_equal(states[modality], train[name][1, :length])
        assert states[modality].shape == (length, WIDTHS[list(KEPT).index(name)])
    assert found.entries[0].labels == {"label": pytest.approx(2.4)}
    assert read_feature_file(tmp_path / "unaligned_50.pkl") is found


def test_without_lengths_rows_of_zeros_at_the_ends_are_padding(tmp_path: Path):
    made = {name: part(rows, WIDTHS, 0, aligned=True) for name, rows in ROWS.items()}
    del made["test"]["text_bert"]
    audio = made["test"]["audio"]
    audio[0] = 0
    audio[0, 3:7] = 1
    audio[0, 5] = 0
    found = read_feature_file(write(tmp_path / "aligned_50.pkl", made)).row("tmZoasNr4rU_3")
    np.testing.assert_array_equal(found["speech"], audio[0, 3:7])
    np.testing.assert_array_equal(found["text"], made["test"]["text"][0][made["test"]["text"][0].any(axis=1)])


def test_what_is_not_finite_is_zero_and_what_is_all_zero_is_not_there(tmp_path: Path):
    made = parts()
    made["train"]["audio"][0, 1, 2] = -np.inf
    made["train"]["vision"][1] = 0
    write(tmp_path / "f.pkl", made)
    found = read("mosi", tmp_path, features="f.pkl")
    first, second = (load_segment(u) for u in found.utterances[:2])
    assert first.features is not None and second.features is not None
    assert first.features["speech"][1, 2] == 0
    assert set(second.features) == {"text", "speech"}
    assert any("1 features of f.pkl are not finite" in note for note in found.notes)


def test_a_file_is_held_against_the_table_of_its_corpus(tmp_path: Path):
    write(tmp_path / "Processed" / "unaligned_50.pkl", parts())
    (tmp_path / "label.csv").write_text(
        TABLE
        + "03bSnISJMiM,0001,SAID 0,2.4,,,,Positive,train\n03bSnISJMiM,11,SAID 1,1.0,,,,Positive,train\n"
        + "WKA5OygbEKI,2,SAID 0,0,,,,Neutral,test\nabc,1,SAID,0,,,,Neutral,train\n"
    )
    found = read("mosi", tmp_path, features="Processed/unaligned_50.pkl")
    assert [(u.id, u.split) for u in found.utterances] == [
        ("03bSnISJMiM_1", "train"), ("03bSnISJMiM_11", "train"), ("WKA5OygbEKI_2", "dev"), ("tmZoasNr4rU_3", "test"),
    ]  # fmt: skip
    assert [u.labels["sentiment"] for u in found.utterances] == pytest.approx([2.4, -1.0, 0.0, -0.75])
    assert sorted((p.kind, p.where.split()[1]) for p in found.problems) == [
        ("label", "03bSnISJMiM_11"), ("leak", "WKA5OygbEKI_2"), ("row", "tmZoasNr4rU_3"),
    ]  # fmt: skip
    assert "sentiment is -1, and 1 in label.csv row 3" in str(next(p for p in found.problems if p.kind == "label"))
    assert any("1 of 4 clips of the table have no features" in note for note in found.notes)


def test_without_a_table_a_note_says_that_nothing_was_checked(tmp_path: Path):
    write(tmp_path / "f.pkl", parts())
    found = read("mosei", tmp_path, features="f.pkl")
    assert not found.problems
    assert any("nothing checks them" in note for note in found.notes)


def test_sims_has_a_label_for_every_modality(tmp_path: Path):
    made = {
        name: part([(f"video_{i:04}$_$0001", 0.4)], WIDTHS, i) for i, name in enumerate(("train", "valid", "test"), 1)
    }
    for fields in made.values():
        fields |= {
            f"regression_labels_{m}": np.array([value]) for m, value in zip("TAV", (0.2, -0.4, 1.0), strict=True)
        }
    write(tmp_path / "unaligned_39.pkl", made)
    (tmp_path / "label.csv").write_text(TABLE + "video_0001,1,很好,0.4,0.2,-0.4,0.8,Positive,train\n")
    found = read("ch_sims", tmp_path, features="unaligned_39.pkl")
    assert found.utterances[0].id == "video_0001_0001"
    assert found.utterances[0].labels == pytest.approx(
        {"sentiment": 0.4, "sentiment_text": 0.2, "sentiment_audio": -0.4, "sentiment_vision": 1.0}
    )
    assert [p.what for p in found.problems if p.kind == "label"] == [
        "sentiment_vision is 1, and 0.8 in label.csv row 2"
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": ["a$_$1"]}, "one entry an utterance belongs in every field; there are id 1, raw_text 2"),
        (
            {"audio": np.zeros((2, 5))},
            r"train audio: \[utterance, time, feature\] belongs there; entry 0 has shape \(5,\)",
        ),
        ({"regression_labels": np.array(["a", "b"])}, "train regression_labels: one number an utterance"),
    ],
)
def test_a_field_that_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], why: str):
    path = write(tmp_path / "f.pkl", parts(**changes))
    with pytest.raises(DataError, match=why):
        read_feature_file(path)


def test_another_pickle_is_no_feature_file(tmp_path: Path):
    with pytest.raises(DataError, match=r"holds keys a; dictionaries train, valid and test belong there"):
        read_feature_file(write(tmp_path / "f.pkl", {"a": 1}))
    made = parts()
    del made["valid"]["vision"]
    with pytest.raises(DataError, match=r"valid has no vision; it has text, audio"):
        read_feature_file(write(tmp_path / "g.pkl", made))
    with pytest.raises(DataError, match=r"no nowhere.pkl; the layout expected"):
        read("mosi", tmp_path, features="nowhere.pkl")
