"""YuNet (Wu, Peng and Yu 2023): a face detector whose weight file is the user's to bring."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from emofuse.errors import MediaError
from emofuse.files import home_path
from emofuse.media.faces.detect import NO_FACES, Effort, Faces
from emofuse.media.formats import existing_file

YUNET_REPOSITORY = "opencv/face_detection_yunet"
YUNET_FILE = "face_detection_yunet_2023mar.onnx"


class YuNetDetector:
    """YuNet (Wu, Peng and Yu 2023) through OpenCV: surer than the cascades on turned, tilted and half-hidden faces.

    `source` is the path of the weight file (face_detection_yunet_2023mar.onnx), or a hub id, from which it is fetched
    once. Raises MediaError when there is neither the file nor access to the hub.
    """

    colour = True
    sure = 0.0

    def __init__(
        self, source: str | PathLike[str] = YUNET_REPOSITORY, longest: int = 320, threshold: float = 0.7
    ) -> None:
        self.longest, self.threshold = longest, threshold
        path = _yunet_file(source)
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), threshold)
            self.detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise MediaError(
                f"{path} cannot be used as YuNet ({error.err or error}); give the file {YUNET_FILE} of the hub's "
                f"{YUNET_REPOSITORY}, or use HaarDetector(), which needs no file"
            ) from None

    def detect(
        self,
        picture: UInt8[np.ndarray, "h w 3"],
        smallest: float = 0.07,
        largest: float = 1.0,
        effort: Effort = "quick",
    ) -> Faces:
        """Squares about the face's centre, as in FER2013, with five landmarks."""
        if picture.ndim == 2:
            picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
        height, width = picture.shape[:2]
        self._network.setInputSize((width, height))
        _, rows = self._network.detect(np.ascontiguousarray(picture[..., ::-1]))
        return (
            NO_FACES if rows is None else from_yunet(rows, smallest * max(height, width), largest * max(height, width))
        )


def from_yunet(rows: Float[np.ndarray, "faces 15"], smallest: float, largest: float = np.inf) -> Faces:
    """YuNet's rows (box, five points, score) as faces framed like FER2013; others than `smallest` to `largest` go.

    Its box ends at the hairline and at the ears, so the square takes its height. How far the nose is off the middle
    of the eyes, against their distance, tells a turned head.
    """
    rows = np.asarray(rows, float)
    rows = rows[(rows[:, 2] >= smallest) & (rows[:, 2] <= largest)]
    points = rows[:, 4:14].reshape(-1, 5, 2)
    side = np.maximum(rows[:, 2], rows[:, 3])
    centre = rows[:, :2] + rows[:, 2:4] / 2
    boxes = np.column_stack([centre - side[:, None] / 2, side, side])
    eyes = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    offset = np.abs(points[:, 2, 0] - points[:, :2, 0].mean(axis=1))
    frontal = np.clip(1 - 2 * offset / np.maximum(eyes, 1e-6), 0, 1) * np.clip(
        eyes / np.maximum(0.3 * side, 1e-6), 0, 1
    )
    return Faces(boxes, np.clip(rows[:, 14], 0, 1), frontal, points)


def _yunet_file(source: str | PathLike[str]) -> Path:
    path = home_path(source)
    if path.is_dir():
        path = path / YUNET_FILE
    if path.exists() or path.suffix == ".onnx":
        return existing_file(path, "valid: the path of YuNet's weights (onnx), or of their folder")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(str(source), YUNET_FILE))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise MediaError(
            f"YuNet's weights cannot be fetched from {str(source)!r} ({type(error).__name__}); give the path of "
            f"{YUNET_FILE}, or use HaarDetector(), which needs no file"
        ) from None
