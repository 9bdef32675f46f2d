"""Files that grow: whole at the end, and what was done when a run is killed."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emofuse.cli.growing import GrowingList, GrowingTable, check_parts, part_of
from emofuse.errors import OutputError
from emofuse.pipeline.formats import columns


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_there_at_once_and_a_later_column_is_in_all_rows(tmp_path: Path):
    path, part = tmp_path / "all.csv", tmp_path / "all.csv.part"
    path.write_text("of an earlier run")
    with GrowingTable(str(path)) as table:
        table.add([{"source": "a", "text": "“no”,\nça", "joy": 0.5}])
        assert [row["text"] for row in rows_of(part)] == ["“no”,\nça"] and path.read_text() == "of an earlier run"
        table.add([{"source": "b", "error": "cut off"}])
        table.add([{"source": "c", "joy": 0.25}])
        assert [row["error"] for row in rows_of(part)] == ["", "cut off", ""]
    assert not part.exists() and [row["joy"] for row in rows_of(path)] == ["0.5", "", "0.25"]
    assert list(rows_of(path)[0])[:3] == ["source", "start", "end"]


def test_an_array_is_the_same_json_as_a_whole(tmp_path: Path):
    path = tmp_path / "all.json"
    with GrowingList(str(path)) as array:
        array.add({"source": "ä", "segments": [1]})
        assert json.loads((tmp_path / "all.json.part").read_text() + "]") == [{"source": "ä", "segments": [1]}]
        array.add({"source": "b"})
    assert path.read_text() == json.dumps([{"source": "ä", "segments": [1]}, {"source": "b"}], indent=2, ensure_ascii=False) + "\n"  # fmt: skip  # noqa: E501


def test_nothing_is_an_empty_file(tmp_path: Path):
    with GrowingList(str(tmp_path / "a.json")), GrowingTable(str(tmp_path / "a.csv")):
        pass
    assert json.loads((tmp_path / "a.json").read_text()) == [] and rows_of(tmp_path / "a.csv") == []


def test_an_error_leaves_the_part_and_says_where(tmp_path: Path, capsys):
    path = tmp_path / "all.csv"
    with pytest.raises(KeyboardInterrupt), GrowingTable(str(path)) as table:
        table.add([{"source": "a"}])
        raise KeyboardInterrupt
    assert not path.exists() and [row["source"] for row in rows_of(tmp_path / "all.csv.part")] == ["a"]
    assert "what was done until then is in" in capsys.readouterr().err
    with pytest.raises(OutputError, match=r"all\.csv\.part' holds what an earlier run had done when it was killed"):
        check_parts([str(path), None, "-"])


@pytest.mark.slow
def test_a_kill_leaves_what_was_done(tmp_path: Path):
    code = (
        "import os, signal; from emofuse.cli.growing import GrowingList, GrowingTable\n"
        "with GrowingTable('all.csv') as table, GrowingList('all.json') as array:\n"
        "    for name in 'abc': table.add([{'source': name}]); array.add({'source': name})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [row["source"] for row in rows_of(tmp_path / "all.csv.part")] == ["a", "b", "c"]
    left = (tmp_path / "all.json.part").read_text()
    assert [entry["source"] for entry in json.loads(left + "]")] == ["a", "b", "c"]


def test_stdout_gets_elements_as_they_come_and_a_table_at_the_end(capsys):
    assert part_of("-") is None
    with GrowingList("-") as array, GrowingTable("-") as table:
        array.add({"source": "a"})
        assert '"source": "a"' in capsys.readouterr().out
        table.add([{"source": "a"}])
        table.add([{"source": "b", "joy": 1.0}])
        assert capsys.readouterr().out == ""
    table_text, _, array_end = capsys.readouterr().out.partition("\n]")
    header, *rows = table_text.splitlines()[-3:]
    assert header == ",".join(columns([{"joy": 1.0}])) and [row[:2] for row in rows] == ["a,", "b,"]
    assert array_end == "\n"
