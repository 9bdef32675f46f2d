"""Early answers come as soon as an utterance pauses, and leave no trace in what is final."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emofuse.media.clip import open_clip
from emofuse.media.decode import read_audio
from emofuse.media.reader import MediaOptions, SegmentReader
from emofuse.pipeline import early
from emofuse.pipeline.early import alike
from emofuse.types import SAMPLE_RATE, FaceTrack, Segment

Talk = Callable[..., Path]


@pytest.fixture
def talk(repository: Path, tmp_path: Path) -> Talk:
    """Writes a recording: a long utterance, 0.35 s after it a short one that joins it, later two that do not join."""

    def write(softer: float = 0.0) -> Path:
        import soundfile

        voice = read_audio(repository / "demo" / "samples" / "voice.flac")
        spoken, short, pauses = voice[4_500:65_000], voice[4_500:15_000], (0.5, 0.35, 2.0, 0.7, 1.5)
        parts = (np.zeros(0, np.float32), spoken, short, spoken, spoken)
        noise = np.random.default_rng(0).normal(0, 1e-4, 20 * SAMPLE_RATE).astype(np.float32)
        sound = [
            x for part, pause in zip(parts, pauses, strict=True) for x in (part, noise[: int(pause * SAMPLE_RATE)])
        ]
        path = tmp_path / f"talk-{softer:g}.wav"
        soundfile.write(path, np.concatenate(sound) * 10 ** (-softer / 20), SAMPLE_RATE, subtype="FLOAT")
        return path

    return write


def lags(path: Path) -> list[tuple[Segment, float]]:
    """Each segment with the seconds of sound that were read beyond its end when it came."""
    reader = SegmentReader(open_clip(path), MediaOptions(), [], None, early=True)
    return [(segment, reader.heard - segment.end) for segment in reader.timed()]


@pytest.mark.parametrize("softer", [0.0, 50.0])
def test_what_is_final_is_the_same_to_the_bit(pipeline, talk, softer):
    path = talk(softer)
    plain, run = list(pipeline.stream(path)), pipeline.run(path, early=True)
    found = [prediction for prediction, _ in run]
    final = [p for p in found if not p.provisional]
    assert len(final) == len(plain) >= 3
    assert all(alike(one, other) for one, other in zip(final, plain, strict=True))
    assert len(found) > len(final)
    assert run.result().to_dict() == pipeline(path, batch_size=1).to_dict()


def test_faces_are_numbered_as_without(pipeline, sample):
    plain, found = list(pipeline.stream(sample)), list(pipeline.stream(sample, early=True))
    assert [p.provisional for p in found] == [True, False]
    assert all(alike(one, other) for one, other in zip(found[1:], plain, strict=True))


def test_an_utterance_is_answered_as_it_pauses_and_again_when_it_is_whole(talk):
    found = lags(talk())
    early_ones = [(s, lag) for s, lag in found if s.provisional]
    final = [(s, lag) for s, lag in found if not s.provisional]
    assert max(lag for _, lag in early_ones) <= 0.45, "0.3 s of silence, and a tenth of a second of sound"
    assert np.median([lag for _, lag in final]) >= 0.65
    for segment, _ in early_ones:
        later = [s for s, _ in final if s.start == segment.start]
        assert len(later) == 1 and later[0].end >= segment.end


def test_what_joins_an_utterance_revises_its_early_answer(talk):
    found = [segment for segment, _ in lags(talk())]
    first = [s for s in found if s.start == found[0].start]
    assert [s.provisional for s in first] == [True, True, False]
    assert len({round(s.end, 3) for s in first}) == 2, "the short one joined the long one"


def test_what_did_not_change_is_not_computed_again(pipeline, talk, monkeypatch):
    computed, compute = [], early.predict_chunk
    monkeypatch.setattr(early, "predict_chunk", lambda model, chunk: computed.append(1) or compute(model, chunk))
    found = list(pipeline.stream(talk(), early=True))
    ends = {(p.start, p.end) for p in found}
    assert len(computed) == len(ends) < len(found)


def test_an_early_answer_says_so_where_it_is_written(pipeline, talk):
    first = next(iter(pipeline.stream(talk(), early=True)))
    from emofuse.pipeline.formats import as_dict

    assert as_dict(first)["provisional"] is True
    assert "provisional" not in as_dict(next(iter(pipeline.stream(talk()))))


def test_segments_are_alike_only_with_the_same_arrays():
    crops = np.zeros((1, 2, 2, 3), np.uint8)
    track = FaceTrack(0, crops, np.zeros(1), np.zeros((1, 4)), np.ones(1))
    other = FaceTrack(0, crops + 1, np.zeros(1), np.zeros((1, 4)), np.ones(1))
    segment = Segment("a", 0.0, 1.0, faces=(track,))
    assert alike(segment, Segment("a", 0.0, 1.0, faces=(track,), provisional=True))
    assert not alike(segment, Segment("a", 0.0, 1.0, faces=(other,)))
    assert not alike(segment, Segment("a", 0.0, 1.0))
    assert not alike(np.zeros(1, np.float32), np.zeros(1))
