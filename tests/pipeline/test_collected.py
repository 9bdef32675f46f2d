"""Collected rows: a table's, or those of a job's committed parts with the columns that its items brought."""

from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.errors import DataError
from emofuse.pipeline.collected import committed, part_rows, read_rows


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job of three parts, of which one is written but not committed."""
    import pyarrow
    from pyarrow import parquet

    for folder in ("segments", "clips"):
        (tmp_path / folder).mkdir()
    for part in range(3):
        segments = [{"id": f"c{part}", "segment": i, "valence": 0.1 * i, "text": "words"} for i in range(2)]
        parquet.write_table(pyarrow.Table.from_pylist(segments), tmp_path / "segments" / f"part-{part}.parquet")
        if part < 2:
            clip = [{"id": f"c{part}", "valence": 0.05, "text": "words words", "posted": f"2026-03-0{part + 1}"}]
            parquet.write_table(pyarrow.Table.from_pylist(clip), tmp_path / "clips" / f"part-{part}.parquet")
    (tmp_path / "clips" / ".emofuse-1.parquet").write_bytes(b"half")
    return tmp_path


def test_segments_have_their_clips_columns_and_clips_their_own(job):
    found = list(read_rows(job, "segments"))
    assert [(r["id"], r["segment"], r["posted"]) for r in found] == [
        ("c0", 0, "2026-03-01"), ("c0", 1, "2026-03-01"), ("c1", 0, "2026-03-02"), ("c1", 1, "2026-03-02"),
    ]  # fmt: skip
    assert found[1]["valence"] == 0.1 and found[1]["text"] == "words", "what both have is the segment's"
    assert [r["text"] for r in read_rows(job, "clips")] == ["words words"] * 2


def test_only_what_is_committed_counts(job):
    assert [part.name for part in committed(job)] == ["part-0.parquet", "part-1.parquet"]
    assert len(list(part_rows(committed(job)[0], "segments"))) == 2


def test_a_folder_of_parts_and_a_table_are_rows_too(job, tmp_path):
    assert len(list(read_rows(job / "segments"))) == 6
    table = tmp_path / "a.csv"
    table.write_text("id,valence\nx,0.5\n", "utf-8")
    assert list(read_rows(table, "segments")) == [{"id": "x", "valence": "0.5"}]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no rows; give a table"):
        read_rows(tmp_path / "empty")
