"""An analysis watched while it is made is the analysis."""

from __future__ import annotations

import pytest

from emofuse.errors import MediaError
from emofuse.pipeline.aggregate import aggregate
from emofuse.pipeline.predict_batches import predict_batches
from emofuse.types import Segment


class StoppedError(Exception):
    """Raised to end the work."""


def test_watched_to_the_end_it_is_what_a_call_returns(pipeline, sample, words, whole):
    seconds = []
    run = pipeline.run(sample, transcript=words, progress=lambda done, total: seconds.append((done, total)))
    sizes = []
    for prediction, segment in run:
        assert (prediction.start, prediction.end) == (segment.start, segment.end)
        sizes.append(len(run.result().segments))
    assert sizes == [1, 2, 3]
    assert run.result().to_dict() == whole.to_dict()
    assert seconds == sorted(seconds) and seconds[-1][0] == pytest.approx(whole.duration)


def test_the_first_predictions_come_before_the_rest_is_read(pipeline, sample, tmp_path):
    turns = [f"00:0{i / 2:.3f} --> 00:0{i / 2 + 0.4:.3f}\n<v {'AB'[i % 2]}>word" for i in range(10)]
    words, seconds = tmp_path / "words.vtt", []
    words.write_text("\n\n".join(["WEBVTT", *turns]), "utf-8")
    run = pipeline.run(sample, transcript=words, progress=lambda done, total: seconds.append(done))
    following = iter(run)
    first, _ = next(following)
    assert seconds[-1] < 4 * 0.5 + 1.0, "four come together"
    assert run.result().segments == [first]
    assert len(list(following)) >= 8


def test_what_progress_raises_ends_the_work(pipeline, sample):
    def stop(done: float, total: float | None) -> None:
        if done > 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        list(pipeline.run(sample, progress=stop))


def test_a_bad_file_raises_as_it_is_watched(pipeline, bad):
    with pytest.raises(MediaError, match="not media"):
        list(pipeline.run(bad["not media"][0]))


def test_a_short_text_is_read_as_a_whole_beside_its_sentences(pipeline):
    found = pipeline(text="I lost my keys again. Then my sister called. We laughed all evening!")
    assert len(found.segments) == 3 and found.overall is not None
    whole = Segment("whole", 0.0, found.segments[-1].end, words=found.transcript)
    ((_, expected),) = predict_batches(pipeline.model, [(None, None, whole)], 1)
    assert expected is not None and found.overall.emotions == pytest.approx(expected.emotions, abs=1e-6)
    assert found.overall.emotions != pytest.approx(aggregate(found.segments).emotions, abs=1e-6)


@pytest.mark.parametrize("early", [False, True])
def test_what_is_said_of_half_a_text_does_not_stay(pipeline, early):
    text = "I lost my keys again. Then my sister called. We laughed all evening!"
    run = pipeline.run(text=text, batch_size=1, early=early)
    on_the_way = [run.result() for _ in run]
    assert [found.whole for found in on_the_way] == [False, True, True]
    assert on_the_way[1].overall.emotions != pytest.approx(on_the_way[2].overall.emotions, abs=1e-6)
    assert run.result().overall.emotions == pytest.approx(pipeline(text=text).overall.emotions, abs=1e-6)


@pytest.mark.parametrize(
    "inputs",
    [
        {"text": "So it goes on and on. " * 60},
        {"transcript": "WEBVTT\n\n00:00.000 --> 00:01.000\n<v A>Hello.\n\n00:01.000 --> 00:02.000\n<v B>Hello."},
    ],
    ids=["too long to be read at once", "two who talk"],
)
def test_all_else_is_the_mean_of_its_segments(pipeline, inputs):
    found = pipeline(**inputs)
    assert len(found.segments) > 1
    assert found.overall.emotions == pytest.approx(aggregate(found.segments).emotions, abs=1e-9)


def test_a_segment_carries_the_turns_that_its_model_learnt_with(pipeline):
    said = "\n".join(f"{'AB'[i % 2]}NN: This is what I have to say, number {i}." for i in range(8))
    turns = pipeline.model.encoder("text").config.context_turns
    last = list(pipeline.run(text=said).segments())[-1][1]
    assert len(last.context) == turns == 5
    assert last.context[-1] == "ANN: This is what I have to say, number 6."
    assert "BNN:" not in [word.text for word in last.words or ()]


def test_what_the_model_never_learnt_is_said_in_place_of_an_empty_table(pipeline, tiny_config, voice):
    model = type(pipeline.model)(tiny_config).eval()
    model.heads["emotion"].supported_subsets[2] = model.heads["polarity"].supported_subsets[2] = False
    found = type(pipeline)(model)(audio=voice)
    assert found.overall.emotions is None and found.overall.polarity is None
    assert "this model has not learnt to tell emotions from speech alone: none are given for it" in found.notes
    assert not any("has not learnt" in note for note in pipeline(text="I am so happy!").notes)


def test_a_polarity_that_rests_on_emotions_too_is_marked(pipeline, voice):
    shape = pipeline(audio=voice).to_dict()
    assert shape["overall"]["derived"] == shape["segments"][0]["derived"] == {"polarity": ["emotion", "polarity"]}
