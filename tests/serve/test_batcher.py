"""Segments of many requests through the model together: each gets its own answers, and an error stays its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from emofuse.pipeline.predict_batches import predict_batches
from emofuse.serve.asking import Asked
from emofuse.serve.batcher import Batched, Batcher, Group
from emofuse.serve.extent import Bounds
from emofuse.serve.work import Work
from emofuse.types import SAMPLE_RATE, Segment, Word

TEXTS = ["i am so happy!", "this is not great", "sad", "terrible, i am so so sad this is not happy", "so so happy"]


def words(text: str) -> Segment:
    """A segment of words alone, as long as reading them aloud."""
    parts = text.split()
    return Segment(text, 0.0, len(text) / 15, tuple(Word(w, i, i + 1.0) for i, w in enumerate(parts)))


@pytest.fixture
def turns() -> list[Batched]:
    """What the batcher said of its turns."""
    return []


@pytest.fixture
def batcher(pipeline, turns) -> Iterator[Batcher]:
    """Up to eight segments of a minute."""
    made = Batcher(pipeline.model, 8, 60.0, on_batch=turns.append)
    yield made
    made.close()


@pytest.fixture
def held(batcher) -> Iterator[threading.Event]:
    """The model is busy until the event is set."""
    release, busy = threading.Event(), threading.Event()
    batcher.call(lambda: (busy.set(), release.wait(30)))
    assert busy.wait(30)
    yield release
    release.set()


def alone(pipeline, segment):
    """What a pipeline of its own says of a segment."""
    return next(iter(predict_batches(pipeline.model, [(None, None, segment)], 1)))[1]


def test_requests_that_wait_together_are_predicted_together_and_get_their_own(batcher, held, turns, pipeline):
    futures = [batcher.submit(Group([(None, words(text))])) for text in TEXTS]
    held.set()
    answers = [future.result(30)[0] for future in futures]
    assert [(turn.rows, turn.requests) for turn in turns] == [(5, 5)]
    for text, answer in zip(TEXTS, answers, strict=True):
        expected = alone(pipeline, words(text))
        assert list(answer.emotions.values()) == pytest.approx(list(expected.emotions.values()), abs=1e-5)
        assert answer.end == expected.end


def test_a_turn_holds_no_more_rows_than_it_may_and_keeps_the_order(batcher, held, turns):
    futures = [batcher.submit(Group([(None, words("sad"))] * 3)) for _ in range(5)]
    held.set()
    assert all(len(future.result(30)) == 3 for future in futures)
    assert [turn.rows for turn in turns] == [6, 6, 3]


def test_a_turn_holds_no_more_seconds_of_sound_than_it_may_and_words_as_they_come(batcher, held, turns):
    words_of_25 = Segment("long", 0.0, 25.0, (Word("sad", 0.0, 25.0),))
    sound_of_25 = Segment("loud", 0.0, 25.0, waveform=np.zeros(25 * SAMPLE_RATE, np.float32))
    futures = [batcher.submit(Group([(None, segment)])) for segment in (sound_of_25, words_of_25) for _ in range(3)]
    held.set()
    assert all(future.result(30)[0] is not None for future in futures)
    assert [turn.requests for turn in turns] == [2, 1, 3]


@pytest.mark.parametrize("alone", [False, True])
def test_a_text_is_predicted_as_a_whole_in_the_turn_of_its_sentences_as_in_the_pipeline(
    pipeline, batcher, turns, alone
):
    text = "I cannot believe it! We made it all the way."
    found = Work(pipeline, batcher, Asked({"text": text}, alone=alone), Bounds(1.0, 60, 1e6)).run()
    assert [turn.rows for turn in turns] == [3]
    expected = pipeline(text=text)
    assert found.whole and found.overall.emotions == expected.overall.emotions
    assert [p.emotions for p in found.segments] == [p.emotions for p in expected.segments]


def test_who_asks_to_be_alone_is_and_is_answered_to_the_bit(batcher, held, turns, pipeline):
    futures = [batcher.submit(Group([(None, words(t))], alone=i == 1)) for i, t in enumerate(TEXTS)]
    held.set()
    answers = [future.result(30)[0] for future in futures]
    assert sorted(turn.requests for turn in turns) == [1, 4]
    expected = alone(pipeline, words(TEXTS[1]))
    assert answers[1].emotions == expected.emotions and answers[1].embedding.tobytes() == expected.embedding.tobytes()


def test_words_do_not_wait_in_one_batch_with_voices(batcher, held, turns):
    rng = np.random.default_rng(0)
    voice = Segment("voice", 0.0, 1.0, waveform=rng.standard_normal(16_000).astype(np.float32) * 0.1)
    groups = [Group([(None, segment)]) for segment in (words("sad"), voice, words("happy"), voice)]
    futures = [batcher.submit(group) for group in groups]
    held.set()
    assert all(future.result(30)[0] is not None for future in futures)
    assert [(turn.requests, round(turn.seconds, 1)) for turn in turns] == [(2, 0.5), (2, 2.0)]


def test_a_request_that_breaks_the_model_breaks_no_other(batcher, held, pipeline, monkeypatch):
    prepare = pipeline.model.prepare

    def breaks(segment: Segment):
        if segment.id == "not sad":
            raise ValueError("broken")
        return prepare(segment)

    monkeypatch.setattr(pipeline.model, "prepare", breaks)
    futures = [batcher.submit(Group([(None, words(text))])) for text in ("sad", "not sad", "so happy")]
    held.set()
    assert futures[0].result(30)[0] is not None and futures[2].result(30)[0] is not None
    with pytest.raises(ValueError, match="broken"):
        futures[1].result(30)
    assert batcher.submit(Group([(None, words("sad"))])).result(30)[0] is not None


def test_cancelled_groups_are_not_predicted(batcher, held, turns):
    kept, dropped = (batcher.submit(Group([(None, words("sad"))])) for _ in range(2))
    assert batcher.depth == 2 and dropped.cancel()
    held.set()
    assert kept.result(30)[0] is not None
    batcher.call(lambda: None).result(30)
    assert sum(turn.requests for turn in turns) == 1


def test_jobs_let_callers_go_first(batcher, held, turns):
    done: list[str] = []
    for name, patient in (("job", True), ("caller", False)):
        future = batcher.submit(Group([(None, words("sad"))], patient=patient))
        future.add_done_callback(lambda _, name=name: done.append(name))
    held.set()
    batcher.call(lambda: None).result(30)
    batcher.submit(Group([(None, words("sad"))], patient=True)).result(30)
    assert done[:2] == ["caller", "job"]


def test_a_turn_waits_a_moment_for_those_that_are_being_read(pipeline, turns):
    batcher = Batcher(pipeline.model, 8, 60.0, linger=5.0, on_batch=turns.append)
    batcher.reading = 2
    first = batcher.submit(Group([(None, words("sad"))]))
    threading.Timer(0.2, lambda: batcher.submit(Group([(None, words("so happy"))]))).start()
    first.result(30)
    batcher.close()
    assert turns[0].requests == 2


def test_a_request_that_ends_is_no_longer_waited_for(pipeline, turns):
    batcher = Batcher(pipeline.model, 8, 60.0, linger=60.0, on_batch=turns.append)
    began = time.monotonic()
    with ExitStack() as others:
        for _ in range(2):
            others.enter_context(batcher.awaited())
        first = batcher.submit(Group([(None, words("sad"))]))
        time.sleep(0.2)
        assert not first.done() and batcher.reading == 2
    first.result(30)
    assert batcher.reading == 0 and time.monotonic() - began < 30
    batcher.close()


def test_what_waits_is_answered_before_the_end_and_nothing_is_taken_after(pipeline):
    batcher = Batcher(pipeline.model, 2, 60.0)
    futures = [batcher.submit(Group([(None, words("sad"))])) for _ in range(7)]
    batcher.close()
    assert all(future.result(0)[0] is not None for future in futures)
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(Group([(None, words("sad"))]))


def test_what_is_prepared_beforehand_is_answered_the_same(batcher, held, pipeline, monkeypatch):
    segments = [words(text) for text in TEXTS]
    samples = [pipeline.model.prepare(segment) for segment in segments]
    expected = [alone(pipeline, segment) for segment in segments]
    monkeypatch.setattr(pipeline.model, "prepare", lambda segment: pytest.fail("it was prepared"))
    futures = [batcher.submit(Group([(None, s)], samples=[p])) for s, p in zip(segments, samples, strict=True)]
    held.set()
    for future, answer in zip(futures, expected, strict=True):
        assert future.result(30)[0].emotions == pytest.approx(answer.emotions, abs=1e-6)
