"""Many calls: what was made to differ by group is told with intervals, in the order of names, and nobody is ranked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emofuse.cli.app import run
from emofuse.errors import DataError
from emofuse.pipeline.calls import OTHERS, by_group, calls


def segments(count: int, queue: str, end: float, seed: int = 0, agent: str = "agent", rating: float | None = None):
    """Calls of a minute: the customer is at 0.3, then 0.8, then `end`, more or less; an agent answers."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        clip = {"id": f"{queue}{number}", "queue": queue, "agent": f"a{number % 3}", "duration": 60.0}
        levels = [(0, 20, 0.3, "Customer"), (15, 30, 0.1, agent), (30, 40, 0.8, "Customer"), (50, 60, end, "Customer")]
        for start, stop, level, who in levels:
            value = float(np.clip(rng.normal(level, 0.05), 0, 1))
            row = {"start": start, "end": stop, "speaker": who, "present": "text+speech", "polarity.negative": value}
            yield clip | row | {"others.satisfaction": rating}


def test_groups_have_the_means_they_were_made_with_in_the_order_of_their_names():
    rows = [*segments(40, "sales", 0.2), *segments(30, "repairs", 0.7, 1), *segments(5, "legal", 0.9, 2)]
    repairs, sales, rest = by_group(calls(rows, "customer", "queue"))
    assert [(g.name, g.calls) for g in (repairs, sales, rest)] == [("repairs", 30), ("sales", 40), (OTHERS, 5)]
    for group, end in ((repairs, 0.7), (sales, 0.2)):
        assert group.means["end"].low < end < group.means["end"].high
        assert group.means["end"].high - group.means["end"].low < 0.1
        assert group.means["start"].value == pytest.approx(0.3, abs=0.03)
        assert group.means["worst"].value == pytest.approx(0.8, abs=0.03)
    assert sales.means["recovered"].value == 1 and repairs.means["recovered"].value < 0.2
    assert sales.means["overlap"].value == pytest.approx(5 / 60) and "satisfaction" not in sales.means
    assert sales.means["silence"].value == pytest.approx(10 / 60)


def test_satisfaction_is_told_where_the_model_says_it():
    (group,) = by_group(calls(segments(20, "sales", 0.2, rating=4.5), "customer", None))
    assert group.name == "all" and group.means["satisfaction"].value == 4.5
    assert group.to_dict()["satisfaction.low"] == 4.5


def test_silence_is_not_told_where_others_were_left_out():
    alone = (row for row in segments(20, "sales", 0.2) if row["speaker"] == "Customer")
    (group,) = by_group(calls(alone, "customer", None))
    assert "silence" not in group.means and "end" in group.means


@pytest.mark.parametrize("by", ["agent", "Agent-ID", "handled_by_employee", "name"])
def test_calls_are_not_compared_by_who_is_at_work(by):
    with pytest.raises(DataError, match="nobody is ranked by emotion"):
        calls(segments(20, "sales", 0.2), "customer", by)


def test_a_column_that_holds_the_names_of_speakers_is_refused_whatever_it_is_called():
    rows = [*segments(20, "Ann", 0.2, agent="Ann"), *segments(20, "Ben", 0.5, agent="Ben")]
    with pytest.raises(DataError, match=r"'queue' names who speaks \(ann\): nobody is ranked"):
        calls(rows, "customer", "queue")


def test_what_is_not_known_is_an_error():
    with pytest.raises(DataError, match="negative of the speaker 'custmer' is known; did you mean 'customer'"):
        calls(segments(3, "sales", 0.2), "custmer", None)
    with pytest.raises(DataError, match="no column 'que'; did you mean 'queue'"):
        calls(segments(3, "sales", 0.2), "customer", "que")


def test_a_number_that_no_prediction_has_is_named_with_its_row():
    rows = list(segments(2, "a", 0.2))
    rows[3]["polarity.negative"] = 7
    with pytest.raises(DataError, match=r"row 4: the column 'polarity\.negative' holds '7', and negative is a number"):
        calls(rows, "customer", None)


def test_the_command_reads_a_jobs_folder(tmp_path: Path, capsys):
    import pyarrow
    from pyarrow import parquet

    rows = list(segments(25, "sales", 0.2))
    own = ("id", "start", "end", "speaker", "present", "polarity.negative")
    clips = {row["id"]: {name: row[name] for name in ("id", "queue", "agent", "duration")} for row in rows}
    for table, part in (("segments", [{n: r[n] for n in own} for r in rows]), ("clips", list(clips.values()))):
        (tmp_path / table).mkdir()
        parquet.write_table(pyarrow.Table.from_pylist(part), tmp_path / table / "part-0.parquet")
    out = tmp_path / "calls.json"
    assert run(["calls", str(tmp_path), "--by", "queue", "--json", str(out)]) == 0
    (group,) = json.loads(out.read_text())["groups"]
    assert group["group"] == "sales" and group["calls"] == 25 and group["end.low"] < 0.2 < group["end.high"]
    assert "no measure of anybody's work" in capsys.readouterr().out
    assert run(["calls", str(tmp_path), "--by", "agent"]) == 2
    assert run(["calls", str(out)]) == 2 and "is no folder that emofuse batch wrote" in capsys.readouterr().err


def test_empty_cells_are_rows_without_the_number_and_others_are_named():
    rows = [row | {"others.satisfaction": "", "clip.start": ""} for row in segments(20, "sales", 0.2)]
    (group,) = by_group(calls(rows, "customer", None))
    assert group.calls == 20 and "satisfaction" not in group.means
    for change, said in (
        ({"start": None}, "row 2 has no start: seconds are needed"),
        ({"end": ""}, "row 2 has no end"),
        ({"start": "soon"}, "row 2: start is 'soon', which is no number"),
        ({"others.satisfaction": "good"}, "row 2: others.satisfaction is 'good'"),
    ):
        with pytest.raises(DataError, match=said):
            calls([rows[0], rows[1] | change, *rows[2:]], "customer", None)
    for without in (
        [row | {"duration": ""} for row in rows],
        [{k: row[k] for k in row if k != "duration"} for row in rows],
    ):
        with pytest.raises(DataError, match="no call has a duration"):
            calls(without, "customer", None)
