"""Contrast: what was made to differ between two collections is told, what was not is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emofuse.cli.app import run
from emofuse.errors import DataError
from emofuse.keywords.contrast import clips, differences, words
from emofuse.keywords.documents import tabulate


def rows(count: int, anger: float, seed: int, each: int = 1):
    """Clips of `each` alike rows, led by anger in a share of them, else by joy."""
    rng = np.random.default_rng(seed)
    for number, angry in enumerate((np.random.default_rng(1000 + seed).random(count) < anger).tolist()):
        for _ in range(each):
            negative = float(np.clip(rng.normal(0.7 if angry else 0.2, 0.1), 0, 1))
            yield {"id": str(number), "emotion": "anger" if angry else "joy", "polarity.negative": negative}


def found_in(a, b, **options):
    return {(one.what, one.name): one for one in differences(clips(a, "id"), clips(b, "id"), **options)}


def test_shares_and_means_differ_by_what_they_were_made_to():
    found = found_in(rows(300, 0.2, 0), rows(300, 0.5, 1))
    anger = found["leads", "anger"]
    assert anger.a == pytest.approx(0.2, abs=0.06) and anger.difference == pytest.approx(anger.b - anger.a)
    assert anger.low > 0.1 and anger.low < 0.3 < anger.high
    assert found["mean", "negative"].low > 0 > found["leads", "joy"].high
    assert found["leads", "fear"].difference == 0
    assert ("mean", "valence") not in found, "what nobody has is not compared"


def test_rows_of_one_clip_count_once():
    """Ten alike rows a clip leave the interval as wide as one."""
    one, ten = (found_in(rows(80, 0.3, 0, each), rows(80, 0.3, 1, each))["leads", "anger"] for each in (1, 10))
    assert ten.difference == pytest.approx(one.difference)
    assert ten.high - ten.low == pytest.approx(one.high - one.low, rel=0.05)
    loose = differences(clips(rows(80, 0.3, 0, 10)), clips(rows(80, 0.3, 1, 10)))
    anger = next(d for d in loose if d.name == "anger")
    assert anger.high - anger.low < 0.5 * (ten.high - ten.low)


def test_intervals_of_no_difference_hold_zero_as_often_as_they_say():
    held = 0
    for seed in range(100):
        one = found_in(rows(60, 0.4, 2 * seed), rows(60, 0.4, 2 * seed + 1), resamples=200)["leads", "anger"]
        held += one.low <= 0 <= one.high
    assert held >= 88


def test_the_command_names_the_table_that_is_wrong(tmp_path: Path, capsys):
    """Of two, the one without predictions, or with a number that is none."""
    good, plain, wrong = (tmp_path / name for name in ("good.csv", "plain.csv", "wrong.csv"))
    good.write_text("text,predicted_emotion,predicted_joy\nhi,joy,0.9\nho,joy,0.8\n")
    plain.write_text("text\nhi\n")
    wrong.write_text("text,predicted_emotion,predicted_joy\nhi,joy,0.9\nho,joy,90\n")
    for a, b, said in [
        (good, plain, f"no row of {plain} has a prediction (columns predicted_emotion"),
        (plain, good, f"no row of {plain} has a prediction"),
        (good, wrong, f"{wrong}, row 2: the column 'predicted_joy' holds '90', and joy is a number from 0 to 1"),
    ]:
        assert run(["contrast", str(a), str(b)]) == 2
        assert said in capsys.readouterr().err
    wrong.write_text("said,predicted_emotion\nhi,joy\n")
    assert run(["contrast", str(good), str(wrong), "--text-column", "text"]) == 2
    assert f"the rows of {wrong} have no column 'text'" in capsys.readouterr().err


def documents(count: int, late: float, seed: int):
    """Texts of some of two hundred words of no difference, and `late` in a share of them."""
    rng = np.random.default_rng(seed)
    common = [[(f"w{w}", 1.0) for w in rng.integers(0, 200, 30)] for _ in range(count)]
    return [[*words_, ("late", 1.0)] if rng.random() < late else words_ for words_ in common]


def test_a_word_that_is_more_frequent_is_told_and_few_others():
    a, b = documents(120, 0.1, 0), documents(150, 0.5, 1)
    table = tabulate([*a, *b])
    told = words(table.take(slice(120)), table.take(slice(120, None)))
    assert told.compared == 201 and told.found[0].name == "late" and len(told.found) <= 5
    assert told.found[0].difference == pytest.approx(40, abs=15), "in 100 documents"
    assert told.found[0].low > 20


def test_alike_collections_have_hardly_a_word_that_differs():
    table = tabulate([*documents(100, 0.3, 2), *documents(100, 0.3, 3)])
    assert len(words(table.take(slice(100)), table.take(slice(100, None))).found) <= 3
    assert words(table.take(slice(2)), table.take(slice(2, 3)), least=50).compared == 0


def test_the_command_compares_two_tables(tmp_path: Path, capsys):
    for name, share, seed in (("a", 0.1, 0), ("b", 0.6, 1)):
        said = (r | {"text": "it was late" if r["emotion"] == "anger" else "thanks"} for r in rows(100, share, seed))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said), "utf-8")
    out = tmp_path / "difference.json"
    both = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    assert run(["contrast", *both, "--id", "id", "--text-column", "text", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    told = {(d["what"], d["name"]): d for d in found["differences"]}
    assert found["clips"] == [100, 100] and told["leads", "anger"]["low"] > 0.3
    assert told["word", "late"]["low"] > 0 > told["word", "thanks"]["high"]
    assert "words differ" in capsys.readouterr().out
    assert run(["contrast", *both, "--of", "anger"]) == 2
    assert "name the column of the texts" in capsys.readouterr().err


def test_a_clip_may_be_named_by_any_cell_and_rows_without_a_name_are_clips_of_their_own():
    named = [row | {"id": [row["id"], 1]} for row in rows(30, 0.3, 0, 2)]
    assert len(clips(named, "id").sums) == 30
    empty = [row | {"id": None if number % 2 else ""} for number, row in enumerate(rows(30, 0.3, 0))]
    assert len(clips(empty, "id").sums) == 30


def test_what_has_no_prediction_or_no_clip_is_an_error():
    with pytest.raises(DataError, match="no row of the table has a prediction"):
        clips([{"text": "a"}])
    with pytest.raises(DataError, match="no column 'ids'; did you mean 'id'"):
        clips(rows(1, 0.5, 0), "ids")


def test_a_word_that_parts_both_collections_wholly_is_told_first():
    """Drawn anew, its difference never varies."""
    table = tabulate([*[[("plain", 1.0)]] * 50, *[[("plain", 1.0), ("refund", 1.0)]] * 50])
    (told,) = words(table.take(slice(50)), table.take(slice(50, None))).found
    assert (told.name, told.a, told.b, told.low, told.high) == ("refund", 0, 100, 100, 100)
