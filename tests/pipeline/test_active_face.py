"""The voice goes to the face that speaks, with and without a transcript."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from emofuse.media.decode import VideoFrame, stream
from emofuse.pipeline.persons import by_person, speaker_only, talk
from emofuse.types import FaceTrack

RATE = 16_000
TIMES = np.arange(1.2, 5.0, 0.2)


def track(person: int, size: float, motion: np.ndarray | None) -> FaceTrack:
    crops, boxes = np.zeros((2, 8, 8, 3), np.uint8), np.tile(np.array([0.0, 0.0, size, size]), (2, 1))
    mouth = None if motion is None else np.stack([TIMES, motion], axis=1)
    return FaceTrack(person, crops, np.array([1.0, 4.9]), boxes, np.ones(2), seconds=4.0, mouth=mouth)


@pytest.fixture
def spoken(make_segment):
    """Four seconds from 1.0 on, half a second of sound and half a second of silence in turn."""
    loud = (np.arange(4 * RATE) // (RATE // 2)) % 2
    wave = (np.sin(np.arange(4 * RATE) / 8) * 0.3 * loud).astype(np.float32)
    return replace(make_segment(1), start=1.0, end=5.0, waveform=wave, faces=())


def in_time() -> np.ndarray:
    """Motion where there is sound."""
    return np.array([0.3 if int((t - 0.1 - 1.0) / 0.5) % 2 else 0.02 for t in TIMES])


def test_a_mouth_that_moves_outweighs_a_larger_face_that_is_still(spoken):
    segment = replace(spoken, faces=(track(0, 200, np.full(len(TIMES), 0.01)), track(1, 80, in_time())))
    assert [person for person, _ in by_person(segment)] == [1, 0]
    assert by_person(segment)[0][1].present == {"text", "speech", "face"}


def test_of_two_mouths_the_one_that_moves_with_the_sound_speaks(spoken):
    late = np.roll(in_time(), 3)
    segment = replace(spoken, faces=(track(0, 100, late), track(1, 100, in_time())))
    assert by_person(segment)[0][0] == 1
    assert talk(segment.faces[1], segment) > 2 * talk(segment.faces[0], segment)


def test_where_mouths_were_not_looked_at_the_largest_face_speaks(spoken):
    segment = replace(spoken, faces=(track(0, 100, None), track(1, 80, None)))
    assert by_person(segment)[0][0] == 0 and talk(segment.faces[0], segment) == 0


def test_nobody_speaks_where_there_is_neither_a_voice_nor_words(spoken):
    faces = (track(0, 200, np.full(len(TIMES), 0.01)), track(1, 80, in_time()))
    segment = replace(spoken.without("text", "speech"), faces=faces)
    assert [person for person, _ in by_person(segment)] == [0, 1]


def test_alone_a_speaker_has_a_face_only_where_it_is_seen_to_speak(spoken):
    person, segment = speaker_only(replace(spoken, faces=(track(4, 100, in_time()),)))
    assert person == 4 and "face" in segment.present
    for motion in (None, np.full(len(TIMES), 0.01)):
        person, segment = speaker_only(replace(spoken, faces=(track(4, 100, motion),)))
        assert person is None and segment.present == {"text", "speech"}


@pytest.fixture(scope="module")
def two_faces(real_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real speaker, small on the right, beside a picture of the same person, large on the left, who only looks."""
    path = tmp_path_factory.mktemp("two") / "two.mp4"
    frames = [item for item in stream(real_clip, audio=False) if isinstance(item, VideoFrame)]
    still = cv2.resize(frames[0].rgb[:, 280:1000][:, ::-1], (540, 540))
    with av.open(str(real_clip)) as source, av.open(str(path), "w") as target:
        sound = target.add_stream_from_template(source.streams.audio[0])
        quick = {"preset": "ultrafast", "crf": "18"}
        pictures = target.add_stream("libx264", rate=Fraction(30000, 1001), options=quick)
        pictures.width, pictures.height = 960, 540
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = sound
                target.mux(packet)
        for frame in frames:
            canvas = np.full((540, 960, 3), 90, np.uint8)
            canvas[:, :540] = still
            canvas[80:500, 540:960] = cv2.resize(frame.rgb[:, 280:1000], (420, 420))
            target.mux(pictures.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")))
        target.mux(pictures.encode(None))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("transcript", [None, "WEBVTT\n\n00:01.000 --> 00:02.700\nKids are talking by the door."])
def test_the_face_that_speaks_is_known_in_a_real_clip(pipeline, two_faces, transcript):
    whole = next(s for _, s in pipeline.run(two_faces, transcript=transcript).segments() if "speech" in s.present)
    assert whole.faces[0].boxes[:, 0].min() > 500, "the speaker is on the right, and the smaller one"
    found = pipeline(two_faces, transcript=transcript)
    voiced = [p for p in found.segments if "speech" in p.present]
    silent = [p for p in found.segments if p.start == voiced[0].start and "speech" not in p.present]
    assert len(silent) == 1 and silent[0].person != voiced[0].person
