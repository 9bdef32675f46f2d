"""Faces: found, framed as in FER2013, told apart, and the best crops chosen."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emofuse.errors import MediaError
from emofuse.media.decode import VideoFrame, stream
from emofuse.media.faces.collect import (
    WHOLE_PICTURE,
    FaceCollector,
    FaceDetector,
    FaceOptions,
    HaarDetector,
    YuNetDetector,
    faces_in_image,
)
from emofuse.media.faces.crop import Crop, appearance, chosen, cut, quality, squared
from emofuse.media.faces.detect import overlap
from emofuse.media.faces.yunet import from_yunet
from tests.scenes import bust, scene

FACE = np.array([175.0, 64.0, 100.0, 100.0])
"""Where the portrait's face is."""


@pytest.fixture(scope="module")
def man(real_clip: Path) -> np.ndarray:
    """Another real person, head and collar."""
    frame = next(f for f in stream(real_clip, audio=False) if isinstance(f, VideoFrame))
    return cv2.resize(frame.rgb[0:720, 280:1000], (270, 270), interpolation=cv2.INTER_AREA)


def test_haar_is_a_detector_and_finds_the_portrait(portrait: np.ndarray) -> None:
    detector = HaarDetector()
    assert isinstance(detector, FaceDetector)
    grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    found = detector.detect(grey)
    assert len(found) == 1
    assert overlap(found.boxes[0], FACE) > 0.7
    assert 0.5 < found.scores[0] <= 1 and found.frontal[0] == 1
    assert overlap(detector.detect(portrait).boxes[0], found.boxes[0]) == 1
    assert len(detector.detect(grey, largest=0.1)) == 0
    assert len(detector.detect(np.zeros((10, 10), np.uint8))) == 0


def test_a_tilted_head_is_found_when_looking_hard(portrait: np.ndarray) -> None:
    turn = cv2.getRotationMatrix2D((225, 114), 24, 1.0)
    tilted = cv2.warpAffine(portrait, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    (track,) = faces_in_image(tilted)
    assert overlap(track.boxes[0], FACE) > 0.5


def test_a_still_gives_one_square_crop_per_face(portrait: np.ndarray) -> None:
    notes: list[str] = []
    (track,) = faces_in_image(portrait, time=2.5, notes=notes)
    assert notes == []
    assert track.crops.shape == (1, 112, 112, 3) and track.crops.dtype == np.uint8
    assert track.times.tolist() == [2.5] and track.person == 0
    assert overlap(track.boxes[0], FACE) > 0.7
    assert 0.5 < track.quality[0] <= 1


@pytest.mark.slow
def test_stills_without_a_face(portrait: np.ndarray) -> None:
    from skimage.data import chelsea, coffee

    for picture in (coffee(), chelsea(), np.zeros((480, 640, 3), np.uint8), np.full((64, 64, 3), 128, np.uint8)):
        notes: list[str] = []
        assert faces_in_image(picture, notes=notes) == () and notes == []


def test_a_face_crop_is_taken_whole(portrait: np.ndarray) -> None:
    tight = portrait[64:164, 175:275]
    (found,) = faces_in_image(tight)
    assert found.boxes[0].tolist() == [0, 0, 100, 100]
    hidden = np.ascontiguousarray(tight[::-1])
    notes: list[str] = []
    (fallback,) = faces_in_image(hidden, notes=notes)
    assert notes == [WHOLE_PICTURE]
    assert fallback.boxes[0].tolist() == [0, 0, 100, 100]
    assert fallback.quality[0] <= 0.5


@pytest.mark.slow
def test_fer_plus_faces_keep_their_framing(corpora_root: Path) -> None:
    """FER+ faces pasted into a frame at 2 to 4 times their size come back as they were."""
    folder = corpora_root / "ferplus"
    with (folder / "fer2013new.csv").open() as file:
        names = [row["Image name"] for row in csv.DictReader(file) if row["Usage"] == "PublicTest" and row["NF"] == "0"]
    rng = np.random.default_rng(0)
    overlaps = []
    for name in rng.permutation([n for n in names if n])[:12]:
        face = cv2.imread(str(folder / "FER2013Valid" / name), cv2.IMREAD_COLOR)
        side = int(48 * rng.uniform(2, 4))
        x, y = int(rng.integers(0, 640 - side)), int(rng.integers(0, 360 - side))
        picture = scene((cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC), x, y), width=640, height=360)
        tracks = faces_in_image(picture)
        overlaps.append(max((overlap(t.boxes[0], np.array([x, y, side, side])) for t in tracks), default=0.0))
        whole = faces_in_image(face)
        assert len(whole) == 1 and whole[0].crops.shape == (1, 112, 112, 3)
    assert np.mean(np.array(overlaps) > 0.5) >= 0.5
    assert np.median([o for o in overlaps if o > 0.3]) > 0.65


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (250, 220, 0)])
def test_a_plain_colour_is_no_face(colour: tuple[int, int, int]) -> None:
    notes: list[str] = []
    assert faces_in_image(np.full((200, 200, 3), colour, np.uint8), notes=notes) == () and notes == []


def test_crops_are_turned_until_eyes_are_level(portrait: np.ndarray) -> None:
    turn = cv2.getRotationMatrix2D((225, 114), 25, 1.0)
    leaning = cv2.warpAffine(portrait, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    (upright,) = faces_in_image(portrait)
    (plain,) = faces_in_image(leaning)
    (level,) = faces_in_image(leaning, options=FaceOptions(align=True))

    def alike(track) -> float:
        one, two = (cv2.resize(t.crops[0], (32, 32)).astype(float).ravel() for t in (upright, track))
        return float(np.corrcoef(one, two)[0, 1])

    assert alike(level) > max(0.8, alike(plain) + 0.2)


def crop(time: float, good: float) -> Crop:
    return Crop(time, np.zeros((4, 4, 3), np.uint8), np.zeros(4), good)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), max_size=40), st.integers(1, 8))
def test_chosen_crops_are_good_and_spread(parts: list[tuple[float, float]], most: int) -> None:
    crops = [crop(time, good) for time, good in parts]
    picked = chosen(crops, most)
    assert len(picked) == min(most, len(crops))
    assert len({id(c) for c in picked}) == len(picked)
    assert [c.time for c in picked] == sorted(c.time for c in picked)
    if crops:
        assert max(c.quality for c in crops) in {c.quality for c in picked}


def test_quality_falls_with_blur_size_and_turning_away(portrait: np.ndarray) -> None:
    sharp = cut(portrait, FACE, 112)
    best = quality(sharp, 112, 1.0, 112)
    assert best > 0.7
    assert quality(cv2.GaussianBlur(sharp, (0, 0), 4), 112, 1.0, 112) < 0.7 * best
    assert quality(sharp, 30, 1.0, 112) < 0.8 * best
    assert quality(sharp, 112, 0.3, 112) < 0.8 * best
    assert quality(np.full((112, 112, 3), 7, np.uint8), 112, 1.0, 112) == 0.0


def test_a_crop_over_the_edge_continues_it(portrait: np.ndarray) -> None:
    for box in ([-40.0, -40.0, 100.0, 100.0], [480.0, 480.0, 90.0, 90.0], [900.0, 10.0, 20.0, 20.0]):
        assert cut(portrait, np.array(box), 64).shape == (64, 64, 3)
    inside = cut(portrait, FACE, 100)
    np.testing.assert_array_equal(inside, portrait[64:164, 175:275])


def test_the_margin_widens_the_square() -> None:
    assert squared(np.array([10.0, 20.0, 40.0, 60.0]), 0.0).tolist() == [0.0, 20.0, 60.0, 60.0]
    assert squared(np.array([0.0, 0.0, 100.0, 100.0]), 0.1) == pytest.approx([-10, -10, 120, 120])


def test_looks_tell_people_apart(portrait: np.ndarray, man: np.ndarray) -> None:
    her = appearance(portrait, FACE)
    assert float(her @ her) == pytest.approx(1.0, abs=1e-5)
    moved = appearance(scene((bust(portrait), 200, 100)), np.array([285.0, 164.0, 100.0, 100.0]))
    found = HaarDetector().detect(cv2.cvtColor(man, cv2.COLOR_RGB2GRAY)).boxes[0]
    assert float(her @ moved) > 0.9
    assert float(her @ appearance(man, found)) < FaceOptions().alike - 0.05


def test_yunet_rows_become_squares_with_frontality() -> None:
    ahead = [100, 100, 60, 80, 115, 130, 145, 130, 130, 145, 118, 160, 142, 160, 0.9]
    aside = [300, 100, 60, 80, 315, 130, 335, 130, 340, 145, 318, 160, 332, 160, 0.8]
    tiny = [10, 10, 6, 8, 11, 13, 14, 13, 13, 14, 11, 16, 14, 16, 0.9]
    faces = from_yunet(np.array([ahead, aside, tiny], np.float32), 20)
    assert faces.boxes.tolist() == [[90, 100, 80, 80], [290, 100, 80, 80]]
    assert faces.frontal[0] > 0.9 and faces.frontal[1] < 0.3
    assert faces.landmarks is not None and faces.landmarks.shape == (2, 5, 2)
    back = faces.moved(2.0, 5, 7)
    assert back.boxes[0].tolist() == [50, 57, 40, 40]
    assert back.landmarks is not None and back.landmarks[0, 0].tolist() == [62.5, 72]


def test_yunet_without_its_weights_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="there is no such file"):
        YuNetDetector(tmp_path / "none.onnx")
    broken = tmp_path / "face_detection_yunet_2023mar.onnx"
    broken.write_bytes(b"not a network at all")
    with pytest.raises(MediaError, match=r"cannot be used as YuNet .*HaarDetector\(\), which needs no file"):
        YuNetDetector(tmp_path)


def test_yunet_from_the_hub_without_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MediaError, match=r"cannot be fetched from 'someone/else' .*give the path of face_detection"):
        YuNetDetector("someone/else")


@pytest.mark.parametrize("shape", [(3, 3000, 3), (3000, 1, 3), (1, 1, 3), (2, 500, 3)])
def test_a_picture_too_thin_for_a_face_has_none(shape):
    collector = FaceCollector()
    for k in range(30):
        collector.push(VideoFrame(k / 10, rgb=np.full(shape, k, np.uint8)))
    assert collector.tracks(0, 3) == ()
    assert faces_in_image(np.full(shape, 99, np.uint8)) == ()


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (250, 220, 0), (128, 128, 128)])
def test_a_plain_picture_of_any_colour_shows_no_face(colour):
    notes: list[str] = []
    assert faces_in_image(np.full((200, 200, 3), colour, np.uint8), notes=notes) == () and not notes
