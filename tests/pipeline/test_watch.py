"""An analysis watched while it is made is the analysis."""

from __future__ import annotations

import pytest

from emofuse.errors import MediaError


class StoppedError(Exception):
    """Raised to end the work."""


def test_watched_to_the_end_it_is_what_a_call_returns(pipeline, sample, words, whole):
    seconds = []
    watch = pipeline.watch(sample, transcript=words, progress=lambda done, total: seconds.append((done, total)))
    sizes = []
    for prediction, segment in watch:
        assert (prediction.start, prediction.end) == (segment.start, segment.end)
        sizes.append(len(watch.result().segments))
    assert sizes == [1, 2, 3]
    assert watch.result().to_dict() == whole.to_dict()
    assert seconds == sorted(seconds) and seconds[-1][0] == pytest.approx(whole.duration)


def test_the_first_prediction_comes_before_the_rest_is_read(pipeline, sample, words):
    seconds = []
    watch = pipeline.watch(sample, transcript=words, progress=lambda done, total: seconds.append(done))
    first, _ = next(iter(watch))
    assert seconds[-1] < first.end + 1.0 < 6.0
    assert watch.result().segments == [first]


def test_what_progress_raises_ends_the_work(pipeline, sample):
    def stop(done: float, total: float | None) -> None:
        if done > 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        list(pipeline.watch(sample, progress=stop))


def test_a_bad_file_raises_as_it_is_watched(pipeline, bad):
    with pytest.raises(MediaError, match="not media"):
        list(pipeline.watch(bad["not media"][0]))
