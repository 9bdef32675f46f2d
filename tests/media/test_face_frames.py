"""Whole pictures in place of faces: which are kept, in what shape, and by what a clip is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emofuse.data.load import load_segment
from emofuse.media.faces.collect import FaceCollector, faces_in_image
from emofuse.media.faces.frames import FrameCollector, collector
from emofuse.media.faces.track import FaceOptions
from emofuse.media.image import VideoFrame
from emofuse.media.reader import MediaOptions, segments
from emofuse.types import NOBODY, Utterance

OPTIONS = FaceOptions(view="frames", crop_size=64, max_crops=16, crop_interval=0.25)


def frame(time: float, shade: int = 200) -> VideoFrame:
    return VideoFrame(time, rgb=np.full((90, 160, 3), shade, np.uint8))


def test_a_whole_picture_keeps_its_shape_between_grey_bars():
    (track,) = faces_in_image(np.full((90, 160, 3), 200, np.uint8), options=OPTIONS)
    (crop,) = track.crops
    assert track.person == NOBODY and crop.shape == (64, 64, 3)
    assert track.boxes.tolist() == [[0, 0, 160, 90]]
    assert (crop[14:50] == 200).all() and (crop[:14] == 128).all() and (crop[50:] == 128).all()


def test_pictures_are_spread_over_the_segment_and_no_more_than_asked_for():
    frames = FrameCollector(OPTIONS)
    for number in range(100):
        frames.push(frame(number * 0.1))
    (track,) = frames.tracks(1.0, 7.0)
    assert len(track.crops) == 16 and track.times[0] >= 1.0 and track.times[-1] < 7.0
    assert np.diff(track.times).max() <= 0.6 and track.seconds == 6.0
    (short,) = frames.tracks(7.0, 7.5)
    assert len(short.crops) == 2


def test_a_picture_stands_until_the_next_one():
    frames = FrameCollector(OPTIONS)
    frames.push(frame(0.0, 50))
    frames.push(frame(10.0, 90))
    (track,) = frames.tracks(3.0, 5.0)
    assert track.times.tolist() == [3.0] and track.crops[0, 32, 32, 0] == 50
    (later,) = frames.tracks(11.0, 12.0)
    assert later.crops[0, 32, 32, 0] == 90
    assert FrameCollector(OPTIONS).tracks(0.0, 1.0) == ()


def test_training_and_reading_keep_the_same_pictures(repository):
    sample = repository / "demo" / "samples" / "sample.mp4"
    (loaded,) = load_segment(Utterance("u", "manifest", "train", "a", media=sample, start=0.0, end=2.0), OPTIONS).faces
    assert loaded.person == NOBODY and 4 <= len(loaded.crops) <= 16
    for segment in segments(sample, options=MediaOptions(faces=OPTIONS)):
        (track,) = segment.faces
        assert track.person == NOBODY and track.crops.shape[1:] == (64, 64, 3)
    assert isinstance(collector(None, FaceOptions()), FaceCollector)


def test_a_face_has_up_to_sixteen_crops_where_they_stand_for_less(repository):
    sample = repository / "demo" / "samples" / "sample.mp4"
    utterance = Utterance("u", "manifest", "train", "a", media=sample, start=0.0, end=4.0)
    often = FaceOptions(max_crops=16, crop_interval=0.2, detect_interval=0.2, calm_interval=0.2)
    usual, many, eight = (
        load_segment(utterance, options).faces[0].times
        for options in (FaceOptions(), often, replace(often, max_crops=8))
    )
    assert len(usual) <= 5 and 2 * len(usual) <= len(many) <= 16 and len(eight) == 8 < len(many)
    assert set(eight) < set(many) and np.diff(many).min() >= 0.2 - 1e-6
