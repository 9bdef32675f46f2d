"""Tables of items: what their cells mean, and what is refused."""

from __future__ import annotations

import json

import pyarrow
import pyarrow.parquet as parquet
import pytest

from emofuse.batch_jobs.manifest import read_manifest
from emofuse.errors import DataError


@pytest.fixture
def read(tmp_path):
    def call(content, name="t.csv"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_manifest(str(tmp_path / name)))

    return call


def test_cells_of_texts_are_texts_whatever_they_look_like(read, tmp_path):
    rows = read(
        '\ufeffid,text,media,score\n007,NA,,1\n2,"two\nlines, one cell",,2\n3,\'=1+1,,\n4,,a b.mp4,4\n5,null,/x.wav,5\n'
    )
    assert [row["id"] for row in rows] == ["007", "2", "3", "4", "5"]
    assert [row["text"] for row in rows] == ["NA", "two\nlines, one cell", "=1+1", None, "null"]
    assert [row["media"] for row in rows[3:]] == [str(tmp_path / "a b.mp4"), "/x.wav"]
    assert [row["extras"]["score"] for row in rows] == [1, 2, None, 4, 5]


def test_other_kinds_of_tables_hold_the_same(read, tmp_path):
    rows = [
        {"text": "so sad", "context": ["A: hi", "B: no"], "k": 1},
        {"text": "fine", "k": "two", "media": "s3://b/c.mp4"},
    ]
    lines = "\n".join(map(json.dumps, rows)) + "\n"
    one, other = read(lines, "t.jsonl")
    assert one["context"] == ["A: hi", "B: no"] and one["default_id"] == "t:1" and one["extras"] == {"k": "1"}
    assert other["media"] == "s3://b/c.mp4" and other["extras"] == {"k": '"two"'}
    semicolons = read("text;context\nso sad;A: hi\n", "s.csv")
    tabs = read('text\tcontext\nso sad\t["A: hi"]\n', "s.tsv")
    assert semicolons[0]["context"] == tabs[0]["context"] == ["A: hi"]
    parquet.write_table(pyarrow.table({"text": ["so sad"], "start": [None], "n": [3]}), tmp_path / "t.parquet")
    (row,) = read_manifest(str(tmp_path / "t.parquet"))
    assert (row["text"], row["extras"], row["problem"]) == ("so sad", {"n": 3}, None)


def test_a_bad_row_says_what_is_wrong_with_it_and_the_others_stay(read):
    rows = read("text,start\nfine,\nsad,soon\nsad,-1\nsad,nan\n")
    assert [row["problem"] is None for row in rows] == [True, False, False, False]
    assert "start is 'soon', not a number of seconds" in rows[1]["problem"]


def test_failures_are_a_table_that_can_be_run_again(read):
    (row,) = read('{"id": "a", "media": "/a.mp4", "error": "cut off", "attempts": 2, "group": "x"}\n', "failed.jsonl")
    assert row["extras"] == {"group": "x"} and row["media"] == "/a.mp4"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv", "path,score\na.mp4,1\n", "has no column media or text; its columns: path, score"),
        ("t.csv", "text,transcipt\na,b\n", "a column 'transcipt': did you mean 'transcript'"),
        ("t.csv", "text,text\na,b\n", "the column text more than once"),
        ("t.csv", "text,id\na\n", "cannot be read"),
        ("t.csv", b"text\n\xff\xfe\n", "cannot be read"),
        ("t.jsonl", '{"text": "a"}\nnot json\n', "line 2: not JSON"),
        ("t.jsonl", "[1]\n", "line 1: a JSON list, not an object"),
        ("t.parquet", "no parquet", "cannot be read"),
    ],
)
def test_what_is_no_table_of_items_is_refused(read, name, content, told):
    with pytest.raises(DataError, match=told):
        read(content, name)
