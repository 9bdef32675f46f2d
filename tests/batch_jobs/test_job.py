"""The folder of a job: who begins it, what may be in it, and what is no job of this emofuse."""

from __future__ import annotations

import json
from datetime import date

import pyarrow
import pyarrow.parquet as parquet
import pytest

from emofuse.batch_jobs import job as jobs
from emofuse.batch_jobs.job import Job, JobOptions, begin
from emofuse.batch_jobs.outputs import write_tables
from emofuse.batch_jobs.plan import Item
from emofuse.errors import DataError, OutputError

ITEMS = [Item("one", text="so sad"), Item("two", text="so glad")]
OPTIONS = JobOptions(formats=("csv",))


def test_of_two_who_begin_a_job_at_once_the_later_goes_on_with_it(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    first = begin(folder, ITEMS, OPTIONS, "m", ["t.csv"])
    (folder / "job-77.part").touch()
    (folder / ".emofuse-abc.json").touch()
    monkeypatch.setattr(jobs, "begun", lambda folder: False)  # asked a moment before the first wrote
    assert begin(folder, ITEMS, OPTIONS, "m", ["t.csv"]).told == first.told
    with pytest.raises(DataError, match="was begun otherwise"):
        begin(folder, ITEMS, OPTIONS, "another", ["t.csv"])
    (folder / "notes.md").touch()
    with pytest.raises(OutputError, match=r"is not empty and holds no job \(notes.md, …\)"):
        begin(folder, ITEMS, OPTIONS, "m", ["t.csv"])


@pytest.mark.parametrize("change", [{"counts": None}, {"options": None}, {"options": {"later": 1}}])
def test_a_job_that_another_version_wrote_is_refused_in_a_line(tmp_path, change):
    folder = begin(tmp_path / "out", ITEMS, OPTIONS, "m", ["t.csv"]).folder
    told = json.loads((folder / "job.json").read_text()) | change
    (folder / "job.json").write_text(json.dumps({key: value for key, value in told.items() if value is not None}))
    with pytest.raises(DataError, match=r"job.json is not as this emofuse .* writes it"):
        Job(folder)


def test_lists_of_days_are_cells_of_a_table_too(tmp_path):
    job = begin(tmp_path / "out", ITEMS, OPTIONS, "m", ["t.csv"])
    rows = pyarrow.table({"id": ["one"], "days": [[date(2026, 1, 2)]]})
    for table in ("segments", "clips"):
        parquet.write_table(rows, job.part(table, 0))
    write_tables(job)
    assert (job.folder / "clips.csv").read_text() == 'id,days\none,"[""2026-01-02""]"\n'
