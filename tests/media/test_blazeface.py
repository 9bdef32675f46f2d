"""BlazeFace: anchors, decoding, blending; faces of any size, grey, tilted; threads; where its weights come from."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from emofuse.errors import CheckpointError
from emofuse.media.faces import blazeface as module
from emofuse.media.faces.blazeface import BlazeFaceDetector, anchors, blended, framed
from emofuse.media.faces.default import default_detector
from emofuse.media.faces.detect import FaceDetector, looked_at, merged, overlap

FACE = np.array([175.0, 64.0, 100.0, 100.0])
"""Where the portrait's face is."""


def test_the_weights_are_the_file_their_card_names(repository: Path) -> None:
    folder = repository / "checkpoints" / "blazeface"
    found = hashlib.sha256((folder / "face_detection_back.tflite").read_bytes()).hexdigest()
    assert found in (folder / "README.md").read_text()
    assert found in (repository / "recipes" / "fetch_weights.py").read_text()
    graph = hashlib.sha256((folder / "face_detection_back.onnx").read_bytes()).hexdigest()
    assert graph in (folder / "README.md").read_text()


@pytest.mark.parametrize("shape", [(96, 96), (160, 256), (352, 640)])
def test_the_graph_is_the_network_in_the_weight_file(portrait: np.ndarray, repository: Path, shape: tuple) -> None:
    """As OpenCV reads and runs it: boxes agree to a thousandth of a pixel."""
    theirs = cv2.dnn.readNetFromTFLite(str(repository / "checkpoints" / "blazeface" / "face_detection_back.tflite"))
    image = cv2.dnn.blobFromImage(cv2.resize(portrait, shape[::-1]), 1 / 127.5, mean=(127.5, 127.5, 127.5))
    theirs.setInput(image)
    expected = theirs.forward(("classificators", "regressors"))
    network = module._network(reuse=image.size <= 3 * module._REUSED)
    found = network.run(["classificators", "regressors"], {"image": image})
    np.testing.assert_allclose(found[0].ravel(), expected[0].ravel(), atol=5e-3)
    np.testing.assert_allclose(found[1].ravel(), expected[1].ravel(), atol=1e-3)


def test_anchors_lie_as_in_the_paper() -> None:
    """Two at each cell of 16 pixels, six at each of 32: 896 of a square of 256 pixels."""
    found = anchors(256, 256)
    assert found.shape == (896, 2)
    np.testing.assert_array_equal(found[:4], [[8, 8], [8, 8], [24, 8], [24, 8]])
    np.testing.assert_array_equal(found[512:519], [[16, 16]] * 6 + [[48, 16]])
    assert anchors(160, 256).shape == (560, 2)


def test_a_picture_within_a_larger_one_gives_the_same_scores(portrait: np.ndarray) -> None:
    """The network is convolutional: what it says of a place does not depend on the picture's size."""
    detector = BlazeFaceDetector()
    small = cv2.resize(portrait, (256, 256), interpolation=cv2.INTER_AREA)
    large = np.full((352, 640, 3), 128, np.uint8)
    large[:256, :256] = small
    alone, within = detector._raw(small)[0][:512], detector._raw(large)[0][: 22 * 40 * 2]
    np.testing.assert_allclose(alone.reshape(16, 16, 2)[:8, :8], within.reshape(22, 40, 2)[:8, :8], atol=5e-3)


@pytest.mark.parametrize("side", [96, 128, 256, 512])
def test_the_portrait_is_found_at_any_size(portrait: np.ndarray, side: int) -> None:
    detector = default_detector()
    assert isinstance(detector, BlazeFaceDetector) and isinstance(detector, FaceDetector)
    found = detector.detect(cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA), effort="exhaustive")
    assert len(found) == 1 and found.scores[0] > 0.7 and found.frontal[0] > 0.8
    assert overlap(found.boxes[0] * 512 / side, FACE) > 0.6
    right, left, nose, mouth = found.landmarks[0, :4]
    assert right[0] < nose[0] < left[0] and max(right[1], left[1]) < nose[1] < mouth[1]


def test_grey_pictures_are_looked_at_too(portrait: np.ndarray) -> None:
    grey = cv2.cvtColor(cv2.resize(portrait, (256, 256)), cv2.COLOR_RGB2GRAY)
    assert len(BlazeFaceDetector().detect(grey)) == 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (900, 2), (1000, 1600)])
def test_pictures_without_a_face_of_any_shape(shape: tuple[int, int]) -> None:
    ramp = np.linspace(0, 255, shape[1]).astype(np.uint8)
    picture = np.broadcast_to(ramp[None, :, None], (*shape, 3))
    assert len(BlazeFaceDetector().detect(np.ascontiguousarray(picture), effort="exhaustive")) == 0


@pytest.mark.parametrize("degrees", [-25.0, 25.0])
def test_eyes_tell_how_a_head_leans(portrait: np.ndarray, degrees: float) -> None:
    upright = default_detector().detect(portrait, effort="exhaustive").tilt(0)
    turn = cv2.getRotationMatrix2D((225, 114), -degrees, 1.0)
    found = default_detector().detect(cv2.warpAffine(portrait, turn, (512, 512)), effort="exhaustive")
    assert len(found) == 1
    assert found.tilt(0) - upright == pytest.approx(degrees, abs=6)


def test_boxes_that_overlap_are_blended_by_their_scores() -> None:
    def face(x: float) -> np.ndarray:
        return np.stack([[x, 50.0], [40.0, 40.0], *[[x, 50.0]] * 6]).astype(np.float32)

    scores, faces = blended(np.array([0.6, 0.9, 0.8], np.float32), np.stack([face(54), face(50), face(150)]))
    assert scores == pytest.approx([0.9, 0.8])
    assert faces[0, 0, 0] == pytest.approx((0.9 * 50 + 0.6 * 54) / 1.5)
    assert faces[1, 0, 0] == pytest.approx(150)
    none = blended(np.zeros(0, np.float32), np.zeros((0, 8, 2), np.float32))
    assert len(framed(*none)) == 0


def test_a_turned_head_is_less_frontal() -> None:
    ahead = [[50, 50], [40, 40], [40, 45], [60, 45], [50, 55], [50, 65], [30, 50], [70, 50]]
    aside = [[50, 50], [40, 40], [45, 45], [57, 45], [58, 55], [52, 65], [30, 50], [60, 50]]
    found = framed(np.array([0.9, 0.9]), np.array([ahead, aside], float))
    assert found.frontal[0] == pytest.approx(1.0) and found.frontal[1] < 0.3


def test_one_detector_serves_several_threads(portrait: np.ndarray) -> None:
    detector = BlazeFaceDetector()
    pictures = [cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA) for side in (128, 192, 256, 320)] * 4
    alone = [detector.detect(picture).boxes for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda picture: detector.detect(picture).boxes, pictures))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_face_from_close_by_is_the_face(portrait: np.ndarray) -> None:
    detector = default_detector()
    near = looked_at(detector, portrait, FACE)
    assert len(near) == 1 and near.scores[0] >= detector.sure
    assert overlap(near.boxes[0], FACE) > 0.6
    assert len(looked_at(detector, portrait, np.array([380.0, 380.0, 60.0, 60.0]))) == 0


def test_a_face_holds_no_second_face(portrait: np.ndarray) -> None:
    found = default_detector().detect(portrait, effort="exhaustive")
    inner = found.moved(1.0, 0.0, 0.0)
    inner.boxes[:] = [*(found.boxes[0, :2] + 20), *(found.boxes[0, 2:] * 0.6)]
    assert len(merged([found, inner])) == 1
    assert len(merged([])) == 0


def test_missing_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRAPH", "blazeface/none.onnx")
    module._network.cache_clear()
    with pytest.raises(CheckpointError, match=r"lacks blazeface/none.onnx in .*: install emofuse again"):
        BlazeFaceDetector().detect(np.zeros((64, 64, 3), np.uint8))
    module._network.cache_clear()
