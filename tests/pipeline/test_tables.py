"""Tables in, tables out: every row comes back, with what is predicted of it, as it is read."""

from __future__ import annotations

import csv
import io
import json
from itertools import islice
from pathlib import Path

import pytest

from emofuse.errors import DataError
from emofuse.pipeline.pipeline import Pipeline
from emofuse.pipeline.prototypes import Prototypes
from emofuse.pipeline.rules import parse_rules
from emofuse.pipeline.tables import ADDED, Columns, predict_table, read_table, write_table

TEXTS = ["i am so happy", "", "this is not great, sad", 'quoted "text", with\na line', "terrible"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "comments.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "who", "talk", "comment"])
        writer.writerows([i, "ab"[i % 2], "t1", text] for i, text in enumerate(TEXTS))
    return path


def test_every_row_comes_back_with_its_prediction(pipeline, table):
    names, rows = predict_table(pipeline, table, Columns("comment", "id"))
    found = list(rows)
    assert names == ["id", "who", "talk", "comment", *(f"predicted_{name}" for name in ADDED)]
    assert [row["comment"] for row in found] == TEXTS and [row["id"] for row in found] == list("01234")
    alone = pipeline(text=TEXTS[0]).overall
    assert found[0]["predicted_joy"] == pytest.approx(alone.emotions["joy"]) and found[0]["predicted_error"] is None
    assert found[0]["predicted_emotion"] == alone.top[0]
    assert found[1]["predicted_emotion"] is None and found[1]["predicted_error"]
    text = io.StringIO(newline="")
    write_table(names, iter(found), text)
    again = list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))
    assert [row["comment"] for row in again] == TEXTS and len(again) == 5


def test_rows_name_the_callers_rules_and_have_a_column_for_each_label_by_prototype(pipeline, table, monkeypatch):
    monkeypatch.setattr("emofuse.pipeline.prototypes.ALIKE", 2.0)
    own = Pipeline(pipeline.model, pipeline.name, pipeline.options)
    own.rules = parse_rules("lexicon: [{word: sad, emotion: anger}]")
    own.prototypes = Prototypes(own.model, ["stuck"])
    names, rows = predict_table(own, table, Columns("comment", "id"))
    found = list(rows)
    assert names[-2:] == ["predicted_rules", "predicted_by_prototype.stuck"]
    assert [row["predicted_rules"] for row in found] == ["", None, "“sad”", "", ""]
    likeness = found[0]["predicted_by_prototype.stuck"]
    assert likeness == pytest.approx(own(text=TEXTS[0]).overall.by_prototype["stuck"], abs=1e-5)


def test_earlier_rows_of_a_dialogue_are_context(pipeline, table):
    _, rows = predict_table(pipeline, table, Columns("comment", speaker="who", dialogue="talk"))
    last = list(rows)[-1]
    before = ["a: i am so happy", "a: this is not great, sad", 'b: quoted "text", with\na line']
    again = pipeline(text="terrible", speaker="a", context=before).overall
    assert last["predicted_joy"] == pytest.approx(again.emotions["joy"], abs=1e-5)


def test_rows_are_answered_before_the_table_is_read(pipeline, tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps({"t": f"this is row {i}"}) + "\n" for i in range(3000)))
    _, rows = predict_table(pipeline, path, Columns("t"))
    assert [row["t"] for row in islice(rows, 3)] == ["this is row 0", "this is row 1", "this is row 2"]
    rows.close()


@pytest.mark.parametrize(
    ("name", "content", "columns", "said"),
    [
        ("a.csv", "id,comment\n1,x\n", Columns("coment"), "no column 'coment'; did you mean 'comment'"),
        ("a.csv", "id,id\n1,x\n", Columns("id"), "the names of its columns, each once"),
        ("a.csv", "", Columns("id"), "the names of its columns"),
        ("a.csv", "text,predicted_emotion\nx,joy\n", Columns("text"), "a column 'predicted_emotion' already"),
        ("a.csv", "text\nx,y,z\n", Columns("text"), "row 2: 3 cells, and 1 columns"),
        ("a.jsonl", '{"text": "x"}\n[1]\n', Columns("text"), "line 2: a line holds one object, not list"),
        ("a.jsonl", '{"text": \n', Columns("text"), "line 1: no JSON"),
        ("a.parquet", "text", Columns("text"), "it is not Parquet"),
        ("a.xlsx", "text", Columns("text"), "is no table"),
    ],
)
def test_what_is_no_table_is_refused_with_the_place(pipeline, tmp_path, name, content, columns, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=said):
        list(predict_table(pipeline, tmp_path / name, columns)[1])


def test_parquet_and_tabs_are_read(tmp_path):
    import pandas

    frame = pandas.DataFrame({"text": ["a", "b"], "n": [1, 2]})
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.tsv").write_text("text\tn\na\t1\nb\t2\n")
    assert [row["text"] for row in read_table(tmp_path / "a.parquet")[1]] == ["a", "b"]
    assert list(read_table(tmp_path / "a.tsv")[1]) == [{"text": "a", "n": "1"}, {"text": "b", "n": "2"}]


def test_json_lines_in_another_encoding_or_of_endless_digits_are_refused(tmp_path):
    for content, said in (
        (b'{"text": "caf\xe9"}', "is not in UTF-8"),
        (b'{"n": ' + b"1" * 5000 + b"}", "line 1: no JSON"),
    ):
        (tmp_path / "t.jsonl").write_bytes(content)
        with pytest.raises(DataError, match=said):
            list(read_table(tmp_path / "t.jsonl")[1])
