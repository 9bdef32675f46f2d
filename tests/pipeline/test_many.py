"""Many items: paths, texts, transcripts and mappings, with ids, within a window."""

from __future__ import annotations

import shutil
import threading
from itertools import count, islice

import numpy as np
import pytest

from emofuse.errors import EmofuseError, MediaError
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.predict_batches import predict_chunk

TEXTS = ["I am so happy!", "this is not great", "sad", "terrible, I am so so sad. This is not happy."]


def texts(number):
    return [{"id": f"t{i}", "text": TEXTS[i % len(TEXTS)]} for i in range(number)]


def test_a_list_of_everything_comes_back_in_order_with_its_ids(pipeline, sample, words, voice, face):
    items = [
        {"id": 7, "text": "I am so happy!"},
        {"source": sample, "transcript": words, "id": "clip"},
        {"audio": voice, "image": face},
        {"media": str(words)},
        {"id": "odd", "source": sample, "txt": "sad"},
        {"id": "both", "source": sample, "media": sample},
        42,
        {"id": "nothing"},
    ]
    found = list(pipeline.predict_iter(items))
    assert [type(one) for one in found] == [Analysis] * 4 + [MediaError] * 4
    assert [one.id for one in found] == ["7", "clip", None, None, "odd", "both", None, "nothing"]
    assert found[0].to_dict()["id"] == "7" and "id" not in found[2].to_dict()
    assert found[0].overall.emotions == pytest.approx(pipeline(text="I am so happy!").overall.emotions, abs=1e-5)
    alone = pipeline(sample, transcript=words)
    assert [p.start for p in found[1].segments] == [p.start for p in alone.segments]
    assert found[1].overall.emotions == pytest.approx(alone.overall.emotions, abs=1e-5)
    assert "did you mean 'text'" in str(found[4]) and "were both given" in str(found[5])
    assert "a source is a path, not" in str(found[6]) and "nothing was handed in" in str(found[7])


def test_an_error_of_words_that_nobody_named_says_how_they_came_to_be_read(pipeline, sample, tmp_path):
    clip, beside = tmp_path / "a.mp4", tmp_path / "a.srt"
    shutil.copy(sample, clip)
    for content, said in ((b"\0\1\2", "it is not text"), (b"no times here", "a.srt holds no times")):
        beside.write_bytes(content)
        (found,) = pipeline.predict_many([clip], progress=False)
        assert said in str(found) and str(found).endswith(
            "; it lies beside the clip under its name, and was taken for its transcript: mend, rename or remove it, "
            "give the words with the clip, or leave such files alone (--no-sidecars, in Python sidecars=False)"
        )
    named, broken = tmp_path / "b.mp4", {"source": clip, "transcript": beside}
    named.write_bytes(b"no video")
    shutil.copy(sample.with_suffix(".srt"), tmp_path / "b.srt")
    assert not any("beside" in str(found) for found in pipeline.predict_many([named, broken], progress=False))


def test_no_more_than_a_window_is_taken_and_not_answered(pipeline):
    taken = 0

    def endless():
        nonlocal taken
        for i in count():
            taken += 1
            yield {"id": str(i), "text": TEXTS[i % len(TEXTS)]} if i % 3 else {"id": str(i), "source": "nowhere.mp4"}

    answers = pipeline.predict_iter(endless(), batch_size=4, window=12)
    for i, answer in enumerate(islice(answers, 100)):
        assert answer.id == str(i) and isinstance(answer, Analysis) == bool(i % 3)
        assert taken - i <= 12
    answers.close()
    assert not [t for t in threading.enumerate() if t.name == "emofuse-reader"]


def test_a_thousand_errors_in_a_row_come_as_they_are_met(pipeline):
    taken = 0

    def broken():
        nonlocal taken
        yield {"text": "sad"}
        for taken in range(1000):  # noqa: B007
            yield "nowhere.mp4"

    answers = pipeline.predict_iter(broken())
    assert isinstance(next(answers), Analysis) and taken < 70
    assert sum(isinstance(answer, MediaError) for answer in answers) == 1000


def test_answers_do_not_depend_on_who_reads_quicker(pipeline):
    one, other = ([a.overall for a in pipeline.predict_many(texts(40), progress=False)] for _ in range(2))
    assert [p.emotions for p in one] == [p.emotions for p in other]
    assert all(np.array_equal(a.embedding, b.embedding) for a, b in zip(one, other, strict=True))


def test_words_beside_a_clip_are_its_transcript(pipeline, sample, words, tmp_path):
    clip = shutil.copy(sample, tmp_path / "a.mp4")
    shutil.copy(words, tmp_path / "a.srt")
    (tmp_path / "a.txt").write_text("other words")
    beside, given, without = pipeline.predict_many([clip, {"source": clip, "text": "so sad"}, str(clip)])
    assert {m for p in beside.segments for m in p.present} == {"text", "speech", "face"}
    assert [note.code for note in beside.notes] == ["sidecar"] and "a.srt, which lies beside" in beside.notes[0]
    assert beside.transcript == pipeline(clip, transcript=words).transcript == without.transcript
    assert [word.text for word in given.transcript] == ["so", "sad"]
    (plain,) = pipeline.predict_many([clip], sidecars=False)
    assert plain.transcript is None and pipeline(clip).transcript is None


def test_one_item_is_not_several(pipeline, sample):
    for one in (str(sample), sample, {"text": "sad"}, None, 5):
        with pytest.raises(EmofuseError, match="put it in a list"):
            pipeline.predict_many(one)
    with pytest.raises(ValueError, match="batch_size is a whole number from 1 on, not 0"):
        next(pipeline.predict_iter([{"text": "sad"}], 0))
    with pytest.raises(ValueError, match="batch_size is a whole number from 1 on, not '16'"):
        next(pipeline.predict_iter([{"text": "sad"}], "16"))


def test_a_text_is_predicted_as_a_whole_in_the_call_of_its_sentences(pipeline, monkeypatch):
    """Beside the last of them: of four sentences, which fill the first call, it comes in the next."""
    calls: list[int] = []
    one, two = "I lost my keys again today. ", "Then my sister called me. "

    def counted(model, chunk):
        calls.append(len(chunk))
        return predict_chunk(model, chunk)

    monkeypatch.setattr("emofuse.pipeline.many.predict_chunk", counted)
    assert pipeline(text=one + two).whole and calls == [3]
    calls.clear()
    assert pipeline(text=2 * (one + two)).whole and calls == [4, 1]
    calls.clear()
    both, single = pipeline.predict_many([{"text": one + two}, {"text": one}], progress=False)
    assert both.whole and not single.whole and calls == [4]
    assert both.overall.emotions == pytest.approx(pipeline(text=one + two).overall.emotions, abs=1e-5)


def test_a_stream_predicts_sentences_alone(pipeline, monkeypatch):
    """Nobody hears of its text as a whole, which a run that is followed has at its end."""
    rows: list[int] = []

    def counted(model, chunk):
        rows.append(len(chunk))
        return predict_chunk(model, chunk)

    monkeypatch.setattr("emofuse.pipeline.predict_batches.predict_chunk", counted)
    text = "I lost my keys again today. Then my sister called me. "
    assert len(list(pipeline.stream(text=text, batch_size=4))) == sum(rows) == 2
    rows.clear()
    run = pipeline.run(text=text, batch_size=4)
    assert len(list(run)) == 2 and sum(rows) == 3 and run.result().whole and sum(rows) == 3
