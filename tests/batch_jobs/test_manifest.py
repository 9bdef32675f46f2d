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


def test_codes_keep_their_zeros_and_cells_may_be_of_any_length(read):
    words = "so sad " * 300_000
    first = f'text,code,number,late,phone,long,share\n"{words}",00420,7,1,+4930123,12345678901234567890,0.5\n'
    rows = read(first + "fine,17,8,2,,2,1\n" * 100_000 + "fine,1,9,none,5,2,-0.25\n")
    assert rows[0]["text"] == words and len(rows) == 100_002
    assert [row["extras"] for row in (rows[0], rows[-1])] == [
        {"code": "00420", "number": 7, "late": "1", "phone": "+4930123", "long": "12345678901234567890", "share": 0.5},
        {"code": "1", "number": 9, "late": "none", "phone": "5", "long": "2", "share": -0.25},
    ]  # fmt: skip


def test_a_line_of_json_ends_where_the_line_ends(read):
    (row,) = read('{"text": "one\u2028line"}\r\n', "t.jsonl")
    assert row["text"] == "one\u2028line"


def test_halves_of_characters_are_signs_of_what_was_lost(read):
    """As posts have them that were cut within an emoji."""
    (row,) = read(r'{"text": "so sad \ud83d", "id": "\ud800", "tags": ["\udfff", "\ud83d\ude00"]}', "t.jsonl")
    assert (row["text"], row["id"], row["extras"]) == ("so sad \ufffd", "\ufffd", {"tags": ["\ufffd", "\U0001f600"]})
    assert pyarrow.array([row["text"]]).to_pylist() == ["so sad \ufffd"]


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
    assert [row["unread"] for row in rows] == [None, '{"start": "soon"}', '{"start": "-1"}', '{"start": "nan"}']


def test_failures_are_a_table_that_can_be_run_again(read):
    (row,) = read('{"id": "a", "media": "/a.mp4", "error": "cut off", "attempts": 2, "group": "x"}\n', "failed.jsonl")
    assert row["extras"] == {"group": "x"} and row["media"] == "/a.mp4"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv", "path,score\na.mp4,1\n", "has no column media or text; its columns: path, score"),
        ("t.csv", "text,transcipt\na,b\n", "a column 'transcipt': did you mean 'transcript'"),
        ("t.csv", "text,text\na,b\n", "the column text more than once"),
        ("t.csv", "text,id\na,1\nb\n", "Row #3: Expected 2 columns, got 1: b; each line has a cell for each column"),
        ("t.csv", b"text\n\xff\xfe\n", r"is not UTF-8 \(byte 5\); save it as CSV UTF-8"),
        ("t.csv", "text\nsad\n".encode("utf-16"), r"is not UTF-8 \(byte 0\); save it as CSV UTF-8"),
        ("t.csv", "\n \n", "is blank; its first line names the columns"),
        ("t.csv", "text,text,n\na,b,1\n", "the column text more than once"),
        ("t.jsonl", '{"text": "a"}\nnot json\n', "line 2: not JSON"),
        ("t.jsonl", "[1]\n", "line 1: a JSON list, not an object"),
        ("t.parquet", "no parquet", "cannot be read"),
    ],
)
def test_what_is_no_table_of_items_is_refused(read, name, content, told):
    with pytest.raises(DataError, match=told):
        read(content, name)


def test_turns_may_begin_with_a_bracket_and_come_as_a_text_or_a_list(read):
    lines = "ANN: How are you?\nBEN: Fine."
    rows = [{"text": "hi", "context": c} for c in (lines, ["a", "b"], '["a", "b"]', "[laughs] You came!", None)]
    told = [["ANN: How are you?", "BEN: Fine."], ["a", "b"], ["a", "b"], ["[laughs] You came!"], None]
    assert [row["context"] for row in read("\n".join(map(json.dumps, rows)), "t.jsonl")] == told
    (row,) = read("text,context\nhi,[laughs] You came!\n")
    assert row["context"] == ["[laughs] You came!"] and row["problem"] is None
    for broken in ("['a', 'b']", "[" * 100_000):
        (row,) = read(f'text,context\nhi,"{broken}"\n')
        assert row["problem"].startswith("context is no JSON list (")


@pytest.mark.parametrize("value", ["[" * 100_000, "1" * 5_000])
def test_json_that_python_gives_up_on_is_refused_in_a_line(read, value):
    with pytest.raises(DataError, match=r"t.jsonl, line 1: not JSON \(.+\)"):
        read(f'{{"text": {value}}}', "t.jsonl")


def test_an_apostrophe_is_taken_away_where_a_spreadsheet_needed_it_alone(read):
    assert [read("text\n'-1\n", name)[0]["text"] for name in ("t.csv", "t.tsv")] == ["-1", "-1"]
    assert read('{"text": "\'-\' is a minus"}', "t.jsonl")[0]["text"] == "'-' is a minus"


def test_names_that_begin_with_a_tilde_are_names(read, tmp_path):
    (row,) = read("media,transcript\n~$call.wav,~noise~.txt\n")
    assert (row["media"], row["transcript"]) == (str(tmp_path / "~$call.wav"), str(tmp_path / "~noise~.txt"))
