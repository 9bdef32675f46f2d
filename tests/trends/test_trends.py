"""Trends: means by period and group, alerts at the rate asked for, and what made them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from emofuse.cli.app import run
from emofuse.errors import DataError
from emofuse.trends.alerts import alerts, periods_between, threshold
from emofuse.trends.series import Columns, against_before, label, series, time_in

DAY = 86400.0


def rows(days: int, shift_at: int | None = None, by: float = 0.15, each: int = 40, seed: int = 0, group: str = "a"):
    """So many rows a day, of which `shift_at` and later days express more."""
    rng = np.random.default_rng(seed)
    for day in range(days):
        mean = 0.3 + (by if shift_at is not None and day >= shift_at else 0.0)
        for i in range(each):
            value = float(np.clip(rng.normal(mean, 0.1), 0, 1))
            yield {
                "when": day * DAY + 60 * i,
                "channel": group,
                "name": f"{group}{day}.{i}",
                "predicted_negative": value,
            }


COLUMNS = Columns("when", ("channel",), "name")


def test_a_period_has_the_mean_of_its_rows_and_an_interval_that_holds_it():
    (found,) = series(rows(3), "negative", "day", COLUMNS)
    values = [row["predicted_negative"] for row in rows(3)]
    assert [b.count for b in found.bins] == [40] * 3 and found.group == ("a",)
    assert found.bins[1].mean == pytest.approx(np.mean(values[40:80]))
    assert found.bins[1].variance == pytest.approx(np.var(values[40:80], ddof=1))
    low, high = found.bins[1].interval(found.pooled)
    assert low < 0.3 < high and high - low == pytest.approx(2 * 1.96 * 0.1 / 40**0.5, rel=0.2)


def test_times_are_read_as_people_write_them():
    written = ["2026-03-02T00:30:00Z", "2026-03-02 01:10", "2026-03-02T02:59:59+02:00", 1772409600]
    table = [{"t": moment, "anger": 0.5} for moment in written]
    (found,) = series(table, "anger", "hour", Columns("t"))
    assert [(label(b.start, "hour"), b.count) for b in found.bins] == [
        ("2026-03-02T00:00Z", 3),
        ("2026-03-02T01:00Z", 1),
    ]
    (weekly,) = series(table, "anger", "week", Columns("t"))
    assert label(weekly.bins[0].start, "week") == "2026-03-02", "a Monday"


def test_rows_without_a_value_are_left_out_and_none_at_all_is_an_error():
    table = [{"t": 1, "anger": 0.5}, {"t": 1, "anger": ""}, {"t": 1, "anger": None}, {"t": 1, "anger": "nan"}]
    assert series(table, "anger", "turn", Columns("t"))[0].bins[0].count == 1
    with pytest.raises(DataError, match="no row has a value of joy"):
        series(table, "joy", "turn", Columns("t"))


@pytest.mark.parametrize(
    ("of", "column", "cell", "said"),
    [
        ("negative", "negative", "7", "the column 'negative' holds '7', and negative is a number from 0 to 1; mend"),
        ("negative", "polarity.negative", -0.01, "the column 'polarity.negative' holds '-0.01'"),
        ("anger", "predicted_anger", "much", "the column 'predicted_anger' holds 'much', and anger is a number from 0"),
        ("anger", "anger", "inf", "the column 'anger' holds 'inf'"),
        ("valence", "valence", 1.5, "and valence is a number from -1 to 1"),
    ],
)
def test_a_value_that_no_measure_has_is_named_with_its_row(of, column, cell, said):
    table = [{"t": 1, column: 1.000001}, {"t": 1, column: cell}]
    with pytest.raises(DataError, match=f"^row 2: .*{said}"):
        series(table, of, "turn", Columns("t"))


@pytest.mark.parametrize(
    ("of", "columns", "cell", "said"),
    [
        ("angr", Columns("t"), 1, "there is no measure 'angr'; did you mean 'anger'"),
        ("anger", Columns("time"), 1, "row 1 has no column 'time'"),
        ("anger", Columns("t"), "yesterday", "row 1: the time 'yesterday' cannot be read"),
        ("anger", Columns("t", ("chanel",)), 1, "row 1 has no column 'chanel'"),
    ],
)
def test_what_is_not_there_is_named(of, columns, cell, said):
    with pytest.raises(DataError, match=said):
        series([{"t": cell, "anger": 0.5, "channel": "x"}], of, "day", columns)


def test_a_change_is_found_soon_with_the_rows_that_made_it():
    (found,) = series(rows(60, shift_at=40), "negative", "day", COLUMNS)
    first = alerts(found, threshold(periods_between("1/year", "day")))[0]
    assert 40 <= first.at <= 43 and 39 <= first.since <= 41 and first.direction == "up"
    assert first.deviation == pytest.approx(0.15, abs=0.05)
    assert len(alerts(found, threshold(365.0))) == 1, "a shift that lasts is told once"
    assert first.items[0][0] > 0.5 and all(int(name[1:].split(".")[0]) >= 39 for _, name in first.items)


def test_a_fall_is_found_with_the_smallest_values():
    (found,) = series(rows(60, shift_at=30, by=-0.15), "negative", "day", COLUMNS)
    first = alerts(found, threshold(365.0))[0]
    assert first.direction == "down" and first.deviation < -0.1 and first.items[0][0] < 0.1


@pytest.mark.parametrize(("each", "least"), [(1, 0.53), (20, 0.35)], ids=["days differ", "rows differ"])
def test_false_alarms_come_at_the_rate_that_was_asked_for(each, least):
    """Of 300 normal series watched for a month, as many raise an alarm as a rate of one a month makes: 1 - 1/e.

    Where the spread of a day's mean is known from its rows, the alarms are fewer.
    """
    limit, month = threshold(periods_between("1/month", "day")), 30
    alarmed = 0
    for seed in range(300):
        (found,) = series(rows(14 + month, each=each, seed=seed), "negative", "day", COLUMNS)
        alarmed += bool(alerts(found, limit))
    assert least < alarmed / 300 < 1 - np.exp(-1) + 0.1
    assert threshold(periods_between("1/year", "day")) > limit


@pytest.mark.parametrize("rate", ["often", "0/month", "1/fortnight", "1", "nan/week", "inf/month", "1e999/week"])
def test_a_rate_is_a_number_by_a_period(rate):
    with pytest.raises(DataError, match="is not a rate of false alarms"):
        periods_between(rate, "day")


def test_a_short_series_has_no_alerts_but_an_error():
    (found,) = series(rows(10), "negative", "day", COLUMNS)
    with pytest.raises(DataError, match="a has 10 periods, and 14 are taken for normal"):
        alerts(found, 5.0)


def test_a_day_is_held_against_the_same_day_of_the_weeks_before():
    table = [{"t": day * DAY, "anger": 0.1 + (0.5 if day == 21 else 0.0)} for day in range(22)]
    (found,) = series(table, "anger", "day", Columns("t"))
    assert against_before(found.bins, 21, "day") == pytest.approx(0.5)
    assert against_before(found.bins, 3, "day") is None


def test_the_command_writes_periods_and_alerts_by_group(tmp_path: Path, capsys):
    path, out = tmp_path / "posts.csv", tmp_path / "trend.json"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["when", "channel", "name", "predicted_negative"])
        writer.writeheader()
        writer.writerows(sorted([*rows(40, shift_at=39), *rows(40, seed=9, group="b")], key=lambda row: row["when"]))
    options = ["--time", "when", "--group", "channel", "--id", "name"]
    code = run(["trend", str(path), *options, "--json", str(out), "--false-alarms", "1/year"])
    found = json.loads(out.read_text())
    assert code == 4 and [alert["group"] for alert in found["alerts"]] == ["a"]
    assert len(found["periods"]) == 80 and found["alerts"][0]["items"][0]["name"].startswith("a3")
    shown = capsys.readouterr().out
    assert "a: 1600 rows, 1970-01-01 to 1970-02-09" in shown and "negative up by 0.1" in shown
    assert run(["trend", str(path), *options, "--csv", str(path)]) == 2
    assert (
        run(["trend", str(path), "--time", "nowhere"]) == 2
        and run(["trend", str(tmp_path / "no.csv"), "--time", "t"]) == 2
    )


@pytest.mark.parametrize("cell", ["20260301", 20260301, "2026-03-01", 1772323200, "1772323200.0"])
def test_a_day_without_hyphens_is_a_day(cell):
    assert label(time_in({"t": cell}, "t", 1, "day"), "day") == "2026-03-01"


@pytest.mark.parametrize("cell", [1772323200000, "1712010112345", 1e300])
def test_milliseconds_are_refused_with_the_row(cell):
    with pytest.raises(DataError, match=r"row 7: the time .* \(are these milliseconds\? divide them by 1000"):
        time_in({"t": cell}, "t", 7, "day")
