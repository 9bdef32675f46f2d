"""Against an index: a lag that was put in is found, and chance is called chance however many lags are tried."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emofuse.cli.app import run
from emofuse.errors import DataError
from emofuse.trends.against import against, read_index
from emofuse.trends.series import Bin, Series

DAY = 86400.0


def smooth(count: int, seed: int, memory: float = 0.7) -> np.ndarray:
    """A series of which each day is much like the one before (AR(1))."""
    rng, values = np.random.default_rng(seed), [0.0]
    for _ in range(count + 50):
        values.append(memory * values[-1] + rng.normal())
    return np.array(values[-count:])


def as_series(values: np.ndarray) -> Series:
    return Series((), "day", [Bin(i * DAY, 1, float(v)) for i, v in enumerate(values)])


def as_index(values: np.ndarray) -> dict[float, float]:
    return {i * DAY: float(v) for i, v in enumerate(values)}


@pytest.mark.parametrize("lag", [3, 0, -4])
def test_the_lag_that_was_put_in_is_found(lag):
    rng, index = np.random.default_rng(0), smooth(120, 1)
    follows = np.roll(index, lag) + rng.normal(0, 0.3, 120)
    found = against(as_series(follows), as_index(index), 7)
    assert found.lag == lag and found.correlation > 0.9 and found.p < 0.05
    assert found.lags == 15 and found.periods == 120 and f"over {found.lags} lags" in found.sentence()


def test_days_without_rows_are_left_out_not_moved_up():
    index = smooth(120, 1)
    kept = [i for i in range(120) if i % 9]
    series = Series((), "day", [Bin(i * DAY, 1, float(index[i - 2])) for i in kept if i >= 2])
    found = against(series, as_index(index), 7)
    assert found.lag == 2 and found.correlation == pytest.approx(1)
    assert found.periods == len([i for i in kept if i >= 2])


def test_chance_is_called_chance_at_the_rate_that_p_says():
    """Of 200 pairs of smooth series that know nothing of each other, one in twenty has p ≤ 0.05, give or take."""
    pairs = ((as_series(smooth(90, 2 * i)), as_index(smooth(90, 2 * i + 1))) for i in range(200))
    p = np.array([against(series, index, 5, draws=99).p for series, index in pairs])
    assert 0.01 <= np.mean(p <= 0.05) <= 0.10 and 0.4 < np.mean(p) < 0.6


def test_too_few_days_in_common_are_an_error():
    with pytest.raises(DataError, match="too few periods in common for 7 lags"):
        against(as_series(smooth(26, 0)), as_index(smooth(26, 1)), 7)
    with pytest.raises(DataError, match="too few periods in common"):
        against(as_series(smooth(90, 0)), {(i + 200) * DAY: 1.0 * i for i in range(90)}, 7)
    with pytest.raises(DataError, match="the index has no values"):
        against(as_series(smooth(90, 0)), {}, 7)


def test_an_index_is_read_by_its_columns():
    rows = [
        {"date": "2026-03-01", "price": "1.5", "volume": 7},
        {"date": "2026-03-01T12", "price": "2.5", "volume": 9},
    ]
    assert list(read_index(rows, "when", None, "day").values()) == [2.0]
    assert list(read_index(rows, "date", "volume", "day").values()) == [8.0]
    with pytest.raises(DataError, match="no column 'prise' beside its time; did you mean 'price'"):
        read_index(rows, "date", "prise", "day")
    with pytest.raises(DataError, match="'dear' in the column 'price' is no number"):
        read_index([{"date": "2026-03-01", "price": "dear"}], "date", None, "day")


def test_the_command_tells_lag_p_and_how_many_lags_were_tried(tmp_path: Path, capsys):
    index = smooth(80, 4)
    table, other, out = tmp_path / "posts.jsonl", tmp_path / "index.csv", tmp_path / "trend.json"
    values = 0.5 + 0.05 * np.roll(index, 2)
    table.write_text("".join(json.dumps({"t": i * DAY, "anger": v}) + "\n" for i, v in enumerate(values.tolist())))
    other.write_text("date,price\n" + "".join(f"{i * DAY},{v}\n" for i, v in enumerate(index.tolist())))
    options = ["--time", "t", "--of", "anger", "--against", str(other), "--lags", "4", "--threshold", "1000"]
    assert run(["trend", str(table), *options]) == 0
    assert "follows by 2 period(s)" in (said := capsys.readouterr().out) and "over 9 lags" in said
    assert run(["trend", str(table), *options, "--json", str(out)]) == 0
    assert json.loads(out.read_text())["against"][0]["lag"] == 2


@pytest.mark.parametrize("periods", [4, 5, 6, 7, 8])
def test_fewer_periods_than_lags_are_an_error_too(periods):
    with pytest.raises(DataError, match="too few periods in common for 7 lags"):
        against(as_series(smooth(periods, 0)), as_index(smooth(periods, 1)), 7)
