"""Faces: found, framed as in FER2013, followed, told apart, known again, and the best crops chosen."""

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
    FaceTracker,
    HaarDetector,
    YuNetDetector,
    faces_in_image,
)
from emofuse.media.faces.crop import Crop, appearance, chosen, cut, quality, squared
from emofuse.media.faces.detect import overlap
from emofuse.media.faces.yunet import from_yunet

FACE = np.array([175.0, 64.0, 100.0, 100.0])
"""Where the portrait's face is."""


def scene(*parts: tuple[np.ndarray, int, int], width: int = 960, height: int = 540) -> np.ndarray:
    """Pictures laid on a smooth background at x, y."""
    ramp = np.linspace(60, 160, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    picture = np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8).copy()
    for part, x, y in parts:
        picture[y : y + part.shape[0], x : x + part.shape[1]] = part
    return picture


def bust(portrait: np.ndarray) -> np.ndarray:
    return portrait[0:260, 90:360]


@pytest.fixture(scope="module")
def man(real_clip: Path) -> np.ndarray:
    """Another real person, head and collar."""
    frame = next(f for f in stream(real_clip, audio=False) if isinstance(f, VideoFrame))
    return cv2.resize(frame.rgb[0:720, 280:1000], (270, 270), interpolation=cv2.INTER_AREA)


def collected(frames: list[VideoFrame], **options: float) -> FaceCollector:
    collector = FaceCollector(options=FaceOptions(**options))  # type: ignore[arg-type]
    for frame in frames:
        collector.push(frame)
    return collector


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


def test_a_moving_face_stays_one_person(portrait: np.ndarray) -> None:
    frames = [VideoFrame(i * 0.2, rgb=scene((bust(portrait), 40 + 12 * i, 60 + 3 * i))) for i in range(12)]
    (track,) = collected(frames).tracks(0, 3)
    assert track.person == 0
    assert len(track.crops) == 3, "one for each second"
    for time, box in zip(track.times, track.boxes, strict=True):
        i = round(time / 0.2)
        assert overlap(box, np.array([40 + 12 * i + 85, 60 + 3 * i + 64, 100, 100])) > 0.5


def looks(frames: list[VideoFrame], **options: float) -> list[float]:
    """The seconds at which somebody was looked for."""
    tracker = FaceTracker(options=FaceOptions(**options))  # type: ignore[arg-type]
    return [round(frame.time, 1) for frame in frames if tracker.push(frame)]


def test_a_calm_face_is_looked_at_each_second_and_one_that_moves_more_often(portrait: np.ndarray) -> None:
    calm = [VideoFrame(i * 0.2, rgb=scene((bust(portrait), 300 + i % 2, 60))) for i in range(25)]
    moving = [VideoFrame(i * 0.2, rgb=scene((bust(portrait), 40 + 20 * i, 60))) for i in range(25)]
    assert looks(calm) == [0.0, 0.2, 1.2, 2.2, 3.2, 4.2]
    assert looks(calm, calm_interval=0.0) == [0.0, 0.2, 0.8, 1.4, 2.0, 2.6, 3.2, 3.8, 4.4]
    assert len(looks(moving)) >= 8
    (track,) = collected(calm).tracks(0, 5)
    assert track.seconds == pytest.approx(5.2, abs=0.3), "each look stands until the next"


def test_two_people_at_once_are_kept_apart(portrait: np.ndarray, man: np.ndarray) -> None:
    frames = [
        VideoFrame(i * 0.2, rgb=scene((bust(portrait), 30 + 4 * i, 100), (man, 600 - 4 * i, 120))) for i in range(10)
    ]
    tracks = collected(frames).tracks(0, 2)
    assert {track.person for track in tracks} == {0, 1}
    left, right = sorted(tracks, key=lambda track: track.boxes[0][0])
    assert left.boxes[:, 0].max() < 320 < right.boxes[:, 0].min()


def test_people_are_known_again_after_a_cut(portrait: np.ndarray, man: np.ndarray) -> None:
    """Shot, reverse shot, shot: the third shot has the first one's person, wherever she is in the picture."""
    light = np.full((540, 960, 3), 215, np.uint8)
    dark = np.full((540, 960, 3), 30, np.uint8)

    def shot(background: np.ndarray, part: np.ndarray, x: int) -> np.ndarray:
        picture = background.copy()
        picture[150 : 150 + part.shape[0], x : x + part.shape[1]] = part
        return picture

    shots = [shot(light, bust(portrait), 300), shot(dark, man, 310), shot(light, bust(portrait), 420)]
    frames = [VideoFrame(i * 0.2, rgb=shots[i // 6]) for i in range(18)]
    collector = collected(frames)
    people = [[t.person for t in collector.tracks(start, start + 1.2)] for start in (0.0, 1.2, 2.4)]
    assert people == [[0], [1], [0]]


def test_a_face_the_detector_loses_is_followed_for_a_while(portrait: np.ndarray) -> None:
    class Blinking(HaarDetector):
        looks = 0

        def detect(self, picture, smallest=0.07, largest=1.0, effort="quick"):
            self.looks += 1
            found = super().detect(picture, smallest, largest, effort)
            return found if self.looks <= 3 else super().detect(np.zeros((8, 8), np.uint8))

    collector = FaceCollector(Blinking(), FaceOptions(coast=1.0, crop_interval=0.2))
    for i in range(20):
        collector.push(VideoFrame(i * 0.2, rgb=scene((bust(portrait), 40 + 6 * i, 60))))
    (track,) = collector.tracks(0, 4)
    assert 1.4 <= track.times.max() <= 2.2


def test_a_face_seen_once_is_no_face_unless_there_was_one_look(portrait: np.ndarray) -> None:
    face, empty = scene((bust(portrait), 100, 60)), scene()
    flash = collected([VideoFrame(i * 0.4, rgb=face if i == 3 else empty) for i in range(8)])
    assert flash.tracks(0, 4) == ()
    alone = collected([VideoFrame(0.0, rgb=face)])
    assert len(alone.tracks(0.0, 0.04)) == 1


def test_flashes_of_other_sizes_do_not_confirm_each_other(portrait: np.ndarray) -> None:
    """What is taken for the same person again, once each time and in another size, is often no face."""
    near = cv2.resize(bust(portrait), None, fx=1.9, fy=1.9, interpolation=cv2.INTER_LINEAR)
    shown = {3: scene((bust(portrait), 300, 60)), 9: scene((near, 200, 20))}
    frames = [VideoFrame(i * 0.4, rgb=shown.get(i, scene())) for i in range(14)]
    assert collected(frames).tracks(0, 6) == ()


@pytest.mark.slow
def test_people_come_and_memory_does_not(portrait: np.ndarray) -> None:
    """Crops of what is final are dropped, people are forgotten beyond a number, frames are never kept."""
    collector = FaceCollector(options=FaceOptions(remembered=3))
    empty = scene()
    for i in range(120):
        shade = np.clip(bust(portrait).astype(int) * (0.6 + 0.4 * (i // 8 % 2)), 0, 255).astype(np.uint8)
        picture = scene((shade, (97 * (i // 8)) % 600, 60)) if i % 8 < 5 else empty
        collector.push(VideoFrame(i * 0.2, rgb=picture))
        collector.forget(i * 0.2 - 2.0)
        kept = sum(len(crops) for crops in collector._crops.values())
        assert kept <= 11
        assert len(collector.tracker._gone) <= 3
        assert len(collector.tracker._tracks) <= 6


def test_the_real_clip(real_clip: Path) -> None:
    collector = collected([f for f in stream(real_clip, audio=False, frame_interval=0.2) if isinstance(f, VideoFrame)])
    (track,) = collector.tracks(0, 4)
    assert len(track.crops) == 4
    assert (np.diff(track.times) > 0.1).all() and track.times[0] < 0.9 and track.times[-1] > 2.4, "one of each stretch"
    assert (track.quality > 0.7).all()
    for box in track.boxes:
        assert overlap(box, np.array([440, 145, 380, 380])) > 0.7


def test_two_people_in_one_spot_are_two(portrait: np.ndarray, man: np.ndarray) -> None:
    """A call's speaker view: nothing changes but the head, by turns, and it is known again."""
    size = (200, 200)
    one = cv2.resize(portrait[30:210, 130:310], size, interpolation=cv2.INTER_AREA)
    two = cv2.resize(man[20:240, 25:245], size, interpolation=cv2.INTER_AREA)
    frames = []
    for i in range(30):
        picture = np.full((480, 640, 3), 128, np.uint8)
        x = 220 + round(3 * np.sin(i))
        picture[140:340, x : x + 200] = (one, two)[i // 10 % 2]
        frames.append(VideoFrame(i * 0.2, rgb=picture))
    collector = collected(frames)
    people = [[t.person for t in collector.tracks(start, start + 2.0)] for start in (0.0, 2.0, 4.0)]
    assert people == [[0], [1], [0]]


@pytest.mark.parametrize("changed", ["tilted", "small", "dark"])
def test_video_finds_what_a_still_finds(portrait: np.ndarray, changed: str) -> None:
    """Leaning by 20 degrees, 50 pixels of 1280, a fifth of the light: found in each second, by nobody else's name."""
    head = bust(portrait)
    if changed == "tilted":
        turn = cv2.getRotationMatrix2D((225, 114), 20, 1.0)
        head = cv2.warpAffine(portrait, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)[0:260, 90:360]
    if changed == "small":
        head = cv2.resize(head, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    frames = []
    for i in range(15):
        picture = scene((head, 300 + 9 * i, 200), width=1280, height=720)
        frames.append(VideoFrame(i * 0.2, rgb=(picture * 0.2).astype(np.uint8) if changed == "dark" else picture))
    assert len(faces_in_image(frames[0].rgb)) == 1
    collector = collected(frames)
    for second in range(3):
        (track,) = collector.tracks(second, second + 1)
        assert track.person == 0


def test_a_face_in_eleven_of_twelve_frames_is_found(portrait: np.ndarray) -> None:
    """Whichever frame lacks it, and however few frames are looked at."""
    face, empty = scene((bust(portrait), 100, 60)), scene()
    for missing in range(0, 12, 3):
        for step in (0.04, 0.2):
            frames = [VideoFrame(i * step, rgb=empty if i == missing else face) for i in range(12)]
            (track,) = collected(frames).tracks(0, 12 * step)
            assert track.person == 0 and len(track.crops) >= 2


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


def test_people_have_the_same_numbers_however_the_clip_is_cut(portrait: np.ndarray, man: np.ndarray) -> None:
    """Who was seen first is number 0, also where the first stretch that is asked for shows somebody else."""

    def numbers(*spans: tuple[float, float]) -> list[set[int]]:
        collector = FaceCollector()
        for i in range(40):
            picture = np.full((270, 640, 3), 128, np.uint8)
            if i < 15:
                picture[0:240, 0:320] = portrait[0:240, 60:380]
            else:
                picture[:, 370:] = man
            collector.push(VideoFrame(i / 5, rgb=picture))
        return [{track.person for track in collector.tracks(*span)} for span in spans]

    assert numbers((0.0, 3.0), (3.0, 8.0)) == [{0}, {1}]
    assert numbers((3.4, 8.0)) == [{1}]
