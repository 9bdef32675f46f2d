"""A call's report: each speaker's course, who talks, and where to listen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emofuse.errors import DataError
from emofuse.notes import Note
from emofuse.pipeline.aggregate import aggregate
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.call_report import call_report
from emofuse.types import Word


@pytest.fixture
def call(make_prediction) -> Analysis:
    """Ten minutes: the customer is at 0.2, then 0.9, then `end`; the agent talks over them once."""

    def turn(start: float, end: float, negative: float, speaker: str):
        polarity = {"negative": negative, "neutral": 1 - negative, "positive": 0.0}
        return make_prediction(start, end, present=("text", "speech"), person=None, speaker=speaker, polarity=polarity)

    segments = [
        turn(0, 30, 0.2, "customer"),
        turn(30, 60, 0.1, "agent"),
        turn(200, 260, 0.9, "customer"),
        turn(250, 270, 0.1, "agent"),
        turn(560, 600, 0.3, "customer"),
    ]
    words = (Word("<never>", 210, 211, "customer"), Word("again", 255, 256, "customer"))
    return Analysis("call.wav", 600.0, "tiny", aggregate(segments), segments, words)


def test_each_speaker_has_a_start_a_worst_and_an_end(call):
    customer, agent = call_report(call).courses
    assert (customer.speaker, customer.start, customer.worst, customer.end) == ("customer", 0.2, 0.9, 0.3)
    assert customer.worst_at == 200 and customer.recovered and customer.talk == pytest.approx(130 / 600)
    assert not agent.recovered, "who never got worse has nothing to recover from"


def test_silence_and_overlap_are_shares_of_the_call(call):
    report = call_report(call)
    assert report.silence == pytest.approx(1 - 170 / 600) and report.overlap == pytest.approx(10 / 600)


def test_the_moments_are_the_worst_with_their_words(call):
    first = call_report(call).moments[0]
    assert (first.speaker, first.start, first.value) == ("customer", 200, 0.9)
    page = call_report(call).to_html()
    assert "&lt;never&gt;" in page and "<never>" not in page and "3:20.0" in page
    assert "http" not in page.split("</style>")[1], "nothing is fetched"


def test_a_call_is_a_row_of_a_table(call):
    row = call_report(call).row()
    assert row["source"] == "call.wav" and row["customer.worst"] == 0.9 and row["agent.recovered"] is False


def test_where_nobody_is_known_there_is_no_report(call, make_prediction):
    nobody = Analysis("a.wav", 9.0, "tiny", None, [make_prediction(0, 1)], None)
    with pytest.raises(DataError, match="has no speaker of whom negative is known; give channels="):
        call_report(nobody)
    with pytest.raises(DataError, match="there is no measure 'anger_'"):
        call_report(call, of="anger_")


def test_a_call_of_which_speakers_were_left_out_has_no_silence_to_tell(call):
    partly = replace(call, notes=(Note("only", names="customer", segments=2),))
    report = call_report(partly)
    assert report.silence is None and report.overlap is None and report.row()["silence"] is None
    assert "who else talks was left out" in report.to_html().lower()


def test_satisfaction_is_the_mean_of_what_a_model_that_learnt_it_says(call):
    rates = {0: 4.0, 200: 1.0, 560: 3.0}
    said = [{"satisfaction": rates[int(p.start)]} if p.speaker == "customer" else {} for p in call]
    segments = [replace(p, others=others) for p, others in zip(call, said, strict=True)]
    customer, agent = call_report(replace(call, segments=segments)).courses
    assert customer.satisfaction == pytest.approx((30 * 4 + 60 * 1 + 40 * 3) / 130) and agent.satisfaction is None
    assert "satisfaction, 1 to 5" in call_report(replace(call, segments=segments)).to_html()
    assert "satisfaction" not in call_report(call).to_html()


def test_segments_of_one_speaker_that_overlap_count_once(call):
    first, *others = call.segments
    report = call_report(replace(call, segments=[first, replace(first, start=15.0, end=30.0), *others]))
    assert report.overlap == call_report(call).overlap and report.silence == call_report(call).silence
    assert report.courses[0].talk == pytest.approx(130 / 600)
