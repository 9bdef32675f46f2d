"""Stretches and channels of a clip by every call of a pipeline: the answers of what is cut out, by the file's clock."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.errors import MediaError
from emofuse.pipeline.call_report import call_report
from emofuse.pipeline.wire import from_wire, to_wire


def emotions(found):
    return [p.emotions for p in found]


def test_a_stretch_is_answered_as_what_is_cut_out_is(pipeline, voice):
    rate, samples = voice
    whole, cut = pipeline(audio=voice, start=2.0, end=6.0), pipeline(audio=(rate, samples[32_000:96_000]))
    assert emotions(whole) == emotions(cut) != [] and whole.overall.emotions == cut.overall.emotions
    times = [[moment for p in found for moment in (p.start, p.end)] for found in (whole, cut)]
    assert [moment - 2.0 for moment in times[0]] == pytest.approx(times[1])
    assert (whole.start, whole.duration) == (2.0, cut.duration) == (2.0, 4.0) and cut.start == 0.0
    assert {n.code for n in whole.notes} == {*(n.code for n in cut.notes), "stretch"}
    assert whole.to_dict()["start"] == 2.0 and "start" not in cut.to_dict()
    assert from_wire(to_wire(whole)).to_dict() == whole.to_dict()


def test_every_call_takes_a_stretch(pipeline, sample, words):
    whole = pipeline(sample, transcript=words, start=1.95, end=3.9)
    assert [p.present for p in whole] == [{"text", "speech", "face"}] and whole.segments[0].start >= 1.95
    assert emotions(pipeline.stream(sample, transcript=words, start=1.95, end=3.9)) == emotions(whole)
    item = {"source": sample, "transcript": str(words), "start": 1.95, "end": 3.9}
    items = [item, item | {"start": 50, "end": None}, item | {"end": 1.0}]
    found, bad, also = pipeline.predict_many(items, progress=False)
    assert emotions(found) == emotions(whole)
    assert isinstance(bad, MediaError) and "start is 50 s, and the clip ends at" in str(bad)
    assert isinstance(also, MediaError) and "not after start" in str(also)


def test_words_beside_a_clip_are_taken_for_a_stretch_where_they_have_times(pipeline, sample, words, tmp_path):
    (tmp_path / "a.mp4").write_bytes(sample.read_bytes())
    (tmp_path / "a.txt").write_text("words of the whole clip, without times")
    item = {"source": tmp_path / "a.mp4", "start": 1.95, "end": 3.9}
    (without,) = pipeline.predict_many([item], progress=False)
    assert without.transcript is None
    (tmp_path / "a.srt").write_bytes(words.read_bytes())
    (found,) = pipeline.predict_many([item], progress=False)
    assert [w.text for w in found.transcript][:3] == ["We", "made", "it"] and found.notes[0].code == "sidecar"


def test_a_report_of_a_stretch_counts_from_its_start(pipeline, voice):
    rate, samples = voice
    later = (rate, np.concatenate([np.zeros(50 * rate, np.float32), samples]))
    one, other = pipeline(audio=voice, speaker="ann"), pipeline(audio=later, speaker="ann", start=50.0)
    (mine,), (its,) = call_report(one).courses, call_report(other).courses
    assert (mine.start, mine.worst, mine.end, mine.talk) == pytest.approx((its.start, its.worst, its.end, its.talk))
    assert its.worst_at == pytest.approx(mine.worst_at + 50.0)


def test_a_named_channel_is_predicted_and_the_others_are_not(pipeline, voice):
    rate, samples = voice
    call = (rate, np.stack([samples, np.roll(samples, rate)]))
    how = {"audio": call, "channels": ["agent", "customer"]}
    expected = pipeline(**how, only="customer")
    for channel in (1, "1", "customer", "CUSTOMER"):
        found = pipeline(**how, channel=channel)
        assert emotions(found) == emotions(expected) != [] and {p.speaker for p in found} == {"customer"}


def test_an_item_with_a_wrong_name_does_not_stop_the_rest(pipeline):
    items = [{"text": "sad", "only": 3}, {"text": "sad", "channel": 0}, {"text": "sad"}]
    one, other, found = pipeline.predict_many(items, progress=False)
    assert isinstance(one, MediaError) and isinstance(other, MediaError) and found.overall is not None
