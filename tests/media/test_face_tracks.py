"""Face tracks: followed, told apart, known again after a cut, and found in video where a still finds them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from emofuse.media.decode import VideoFrame, stream
from emofuse.media.faces.collect import FaceCollector, FaceOptions, FaceTracker, HaarDetector, faces_in_image
from emofuse.media.faces.default import default_detector
from emofuse.media.faces.detect import Effort, Faces, overlap
from tests.scenes import bust, scene


def collected(frames: list[VideoFrame], **options: float) -> FaceCollector:
    collector = FaceCollector(options=FaceOptions(**options))  # type: ignore[arg-type]
    for frame in frames:
        collector.push(frame)
    return collector


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


class Unsteady:
    """The default detector, whose eyes lie elsewhere in every other picture that it is shown."""

    def __init__(self) -> None:
        self.known = default_detector()
        self.colour, self.longest, self.sure = self.known.colour, self.known.longest, 0.0
        self.looks = 0

    def detect(
        self, picture: np.ndarray, smallest: float = 0.07, largest: float = 1.0, effort: Effort = "quick"
    ) -> Faces:
        found = self.known.detect(picture, smallest, largest, effort)
        self.looks += 1
        if found.landmarks is None or self.looks % 2:
            return found
        eyes = found.landmarks + np.array([0.0, 0.4]) * found.boxes[:, None, 2:]
        return Faces(found.boxes, found.scores, found.frontal, eyes)


def test_a_face_whose_eyes_are_found_elsewhere_now_and_then_stays_one_person(portrait: np.ndarray) -> None:
    """One look that is unlike the others replaces nobody: it was an extra person, or nobody for seconds."""
    collector = FaceCollector(Unsteady())
    for i in range(20):
        collector.push(VideoFrame(i * 0.2, rgb=scene((bust(portrait), 300 + i, 200))))
    assert [[t.person for t in collector.tracks(second, second + 1)] for second in range(4)] == [[0]] * 4


def test_whoever_takes_a_place_has_no_crop_under_the_name_of_who_was_there(
    portrait: np.ndarray, man: np.ndarray
) -> None:
    """Until two looks agree on somebody else, nothing is kept of what may be either."""
    first, second = portrait[30:210, 130:310], man[20:240, 25:245]
    heads = [cv2.resize(each, (200, 200), interpolation=cv2.INTER_AREA) for each in (first, second)]
    frames = []
    for i in range(20):
        picture = np.full((480, 640, 3), 128, np.uint8)
        picture[140:340, 220:420] = heads[i >= 10]
        frames.append(VideoFrame(i * 0.2, rgb=picture))
    before, after = collected(frames).tracks(0.0, 4.0)
    assert max(before.times) < 2.0 <= min(after.times)
