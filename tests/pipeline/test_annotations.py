"""What annotators use: TextGrid and eaf read back by their own library, RTTM, a row a second."""

from __future__ import annotations

import pytest

from emofuse.errors import MediaError
from emofuse.pipeline.aggregate import aggregate
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.annotations import by_second
from emofuse.types import Word


@pytest.fixture
def call(make_prediction) -> Analysis:
    """Ann and Ben, who speak at once for half a second; a person who is only seen."""
    segments = [
        make_prediction(0.0, 2.0, speaker="Ann Lee"),
        make_prediction(1.5, 4.0, "anger", 0.9, speaker="Ben", person=1),
        make_prediction(1.5, 4.0, "fear", 0.4, ("face",), person=2),
    ]
    words = (Word('"Hi"', 0.1, 0.5, "Ann Lee"), Word("no, ça", 2.0, 3.0, "Ben"))
    return Analysis("a call.wav", 4.0, "tiny", aggregate(segments), segments, words)


def test_rttm_says_who_speaks_when(call, tmp_path):
    lines = call.save(tmp_path / "a.rttm").read_text().splitlines()
    assert lines == [
        "SPEAKER a_call 1 0.000 2.000 <NA> <NA> Ann_Lee <NA> <NA>",
        "SPEAKER a_call 1 1.500 2.500 <NA> <NA> Ben <NA> <NA>",
    ]


def test_a_textgrid_has_a_tier_of_emotions_and_words_for_each(call, tmp_path):
    from pympi.Praat import TextGrid

    grid = TextGrid(str(call.save(tmp_path / "a.TextGrid")))
    tiers = {tier.name: [i for i in tier.get_intervals() if i[2].strip()] for tier in grid.get_tiers()}
    assert set(tiers) == {"Ann Lee emotion", "Ann Lee words", "Ben emotion", "Ben words", "person 2 emotion"}
    assert tiers["Ben emotion"] == [(1.5, 4.0, "anger 0.90")] and tiers["Ann Lee emotion"] == [(0.0, 2.0, "joy 0.70")]
    assert '"Hi"' in tiers["Ann Lee words"][0][2].replace('""', '"') and grid.xmax == 4.0


def test_an_eaf_has_the_same_tiers_and_the_medium(call, tmp_path):
    from pympi.Elan import Eaf

    document = Eaf(str(call.save(tmp_path / "a.eaf")))
    assert set(document.get_tier_names()) == {
        "Ann Lee emotion",
        "Ann Lee words",
        "Ben emotion",
        "Ben words",
        "person 2 emotion",
    }
    assert document.get_annotation_data_for_tier("Ben words") == [(1500, 4000, "no, ça")]
    assert document.get_linked_files()[0]["RELATIVE_MEDIA_URL"].endswith("a call.wav")


def test_each_second_has_a_row_for_everybody_in_it(call):
    rows = call.by_second()
    assert [(row["start"], row["speaker"], row["person"]) for row in rows] == [
        *((0, "Ann Lee", 0), (1, "Ann Lee", 0), (1, "Ben", 1), (1, None, 2)),
        *((2, "Ben", 1), (2, None, 2), (3, "Ben", 1), (3, None, 2)),
    ]
    assert rows[2]["emotions.anger"] == pytest.approx(0.9) and "text" not in rows[0]
    assert len(call.by_second(0.04)) > 100
    with pytest.raises(MediaError, match="a step of 0 s"):
        call.by_second(0)


def test_nothing_is_an_empty_document(tmp_path):
    nothing = Analysis("silent.mp4", 3.0, "tiny", None, [], None)
    assert nothing.to_text(".rttm") == "" and nothing.by_second() == []
    assert "TextGrid" in nothing.to_text(".textgrid") and "<ANNOTATION_DOCUMENT" in nothing.to_text(".eaf")


def test_steps_that_do_not_add_up_to_the_bit_have_no_row_of_who_comes_next(make_prediction):
    one, other = (make_prediction(start, start + 0.3, speaker=name) for start, name in ((0.0, "A"), (0.3, "B")))
    rows = by_second(None, [one, other], 0.1)
    assert [row["speaker"] for row in rows] == ["A"] * 3 + ["B"] * 3
