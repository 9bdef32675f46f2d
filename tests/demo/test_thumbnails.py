"""Still pictures with boxes, and blurred faces."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from emofuse.demo.thumbnails import Sight, blur_face, share, still, still_of_picture, still_of_video
from emofuse.media.faces.collect import faces_in_image
from emofuse.media.image import read_image
from emofuse.types import FaceTrack, Segment


def test_blurring_leaves_nothing_of_a_face_and_all_of_the_rest():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)
    before, box = picture.copy(), np.array([100.0, 60.0, 60.0, 60.0])
    blur_face(picture, box)
    detail, original = (np.abs(np.diff(p[60:120, 100:160].astype(float), axis=1)).mean() for p in (picture, before))
    assert detail < 0.1 * original
    assert (picture[:, :80] == before[:, :80]).all() and (picture[150:] == before[150:]).all()


def test_a_still_of_the_clip_shows_who_is_where(pipeline, clip, words):
    (_, segment), *_ = list(pipeline.run(clip, transcript=words))
    sight = Sight.of([segment])
    assert sight is not None
    plain, blurred = still_of_video(str(clip), sight, False), still_of_video(str(clip), sight, True)
    assert plain and blurred and plain["src"] != blurred["src"] and plain["src"].startswith("data:image/jpeg;base64,")
    (box,) = plain["boxes"]
    assert box["person"] == 0 and 0.2 < box["box"][0] < 0.6 and 0.1 < box["box"][2] < 0.5
    assert abs(plain["time"] - sight.best) < 0.05 and (plain["width"], plain["height"]) == (640, 480)


def test_who_was_never_cropped_is_blurred_too(samples):
    """Two people in a picture, of whom the model looked at one, at another moment and elsewhere."""
    face = read_image(str(samples / "face.jpg"))
    half = cv2.resize(face, (480, 480 * face.shape[0] // face.shape[1]), interpolation=cv2.INTER_AREA)
    both = np.concatenate([half, half], axis=1)
    elsewhere = [(0, np.array([0.0, 0.0, 20.0, 20.0]))]
    found = [track.boxes[0] for track in faces_in_image(both)]
    assert len(found) == 2
    shown = still(both, elsewhere, 0.0, True)
    data = np.frombuffer(base64.b64decode(shown["src"].partition(",")[2]), np.uint8)
    picture = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    scale = picture.shape[1] / both.shape[1]
    assert len(shown["boxes"]) == 1
    plain = cv2.resize(both, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_AREA)
    for box in found:
        x, y, width, height = (round(float(v) * scale) for v in box)
        x, y, width, height = max(0, x + width // 4), max(0, y + height // 4), width // 2, height // 2
        detail, before = (
            np.abs(np.diff(p[y : y + height, x : x + width].astype(float), axis=1)).mean() for p in (picture, plain)
        )
        assert detail < 0.35 * before


def test_several_people_are_all_boxed(samples):
    def track(person: int, x: float) -> FaceTrack:
        times = np.array([1.0, 2.0])
        boxes = np.array([[x, 10.0, 20, 20], [x + 40, 10.0, 20, 20]])
        return FaceTrack(person, np.zeros((2, 8, 8, 3), np.uint8), times, boxes, np.array([0.2, 0.9]))

    sight = Sight.of([Segment("a", 0, 3, faces=(track(1, 0.0),)), Segment("a", 0, 3, faces=(track(0, 50.0),))])
    assert sight is not None and sight.best == 2.0
    assert [(who, box[0]) for who, box in sight.boxes(1.9)] == [(0, 90.0), (1, 40.0)]
    assert share(np.array([-10.0, 0, 40, 20]), 100, 50) == [0.0, 0.0, 0.3, 0.4]
    assert still_of_picture(str(samples / "face.jpg"), None, True)["boxes"] == []
    assert still(np.zeros((10, 2000, 3), np.uint8), [], 0.0, False)["width"] == 2000
