"""Thumbnails beside an answer, with who is where in them; faces blurred where that was asked for."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from emofuse.media.decode import VideoFrame, stream
from emofuse.media.faces.collect import FaceOptions, faces_in_image
from emofuse.media.image import read_image
from emofuse.types import FaceTrack, Segment

LONGEST = 640
"""Pixels of a still's longer side."""
MOST = 1000
"""Faces of a picture that are blurred."""
Box = tuple[int, Float[np.ndarray, "4"]]
"""A person, and x, y, width, height in pixels of the source."""


@dataclass(frozen=True, eq=False)
class Sight:
    """Who was seen in one segment, without the pixels: person → (seconds, boxes), and the best moment to look."""

    best: float
    tracks: Mapping[int, tuple[Float[np.ndarray, " frames"], Float[np.ndarray, "frames 4"]]]

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> Sight | None:
        """What several people's versions of one segment saw; None without faces. The first one's best crop leads."""
        tracks: list[FaceTrack] = [track for segment in segments for track in segment.faces if len(track.crops)]
        if not tracks:
            return None
        best = float(tracks[0].times[int(np.argmax(tracks[0].quality))])
        return cls(best, {t.person: (np.asarray(t.times), np.asarray(t.boxes)) for t in tracks})

    def boxes(self, time: float) -> list[Box]:
        """Everybody's box nearest to a moment."""
        return [(who, b[int(np.abs(t - time).argmin())]) for who, (t, b) in sorted(self.tracks.items())]


def still_of_video(path: str, sight: Sight, blur: bool) -> dict[str, Any] | None:
    """The frame of a video at the best moment of a sight, ready for the page; None where it cannot be read."""
    frames = stream(path, audio=False, start=max(0.0, sight.best - 1e-3), end=sight.best + 0.5)
    frame = next((item for item in frames if isinstance(item, VideoFrame)), None)
    return None if frame is None else still(frame.rgb, sight.boxes(sight.best), sight.best, blur)


def still_of_picture(path: str, sight: Sight | None, blur: bool) -> dict[str, Any]:
    """A picture with the faces that were found."""
    return still(read_image(path), sight.boxes(0.0) if sight else [], 0.0, blur)


def still(rgb: UInt8[np.ndarray, "h w 3"], boxes: Sequence[Box], time: float, blur: bool) -> dict[str, Any]:
    """A JPEG as a data address, and the boxes as shares of its sides."""
    height, width = rgb.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    small = cv2.resize(rgb, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    if blur:
        for box in [*(box for _, box in boxes), *_everybody(rgb)]:
            blur_face(small, box * scale)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert done
    return {
        "time": round(time, 3),
        "width": width,
        "height": height,
        "src": f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}",
        "boxes": [{"person": who, "box": share(box, width, height)} for who, box in boxes],
    }


def _everybody(rgb: UInt8[np.ndarray, "h w 3"]) -> list[Float[np.ndarray, "4"]]:
    """Every face that is found in this very picture: who was cropped was so at other moments, and not everybody was."""
    return [track.boxes[0] for track in faces_in_image(rgb, options=FaceOptions(most_people=MOST))]


def share(box: Float[np.ndarray, "4"], width: int, height: int) -> list[float]:
    """x, y, width, height as shares of the picture's sides, in [0, 1]."""
    x, y = max(0.0, box[0] / width), max(0.0, box[1] / height)
    right, bottom = min(1.0, (box[0] + box[2]) / width), min(1.0, (box[1] + box[3]) / height)
    return [round(float(v), 4) for v in (x, y, max(0.0, right - x), max(0.0, bottom - y))]


def blur_face(rgb: UInt8[np.ndarray, "h w 3"], box: Float[np.ndarray, "4"]) -> None:
    """Blur, in place, a face and a margin around it so that nothing of it can be told: coarse blocks, then smoothed."""
    x, y, width, height = box
    left, top = max(0, int(x - 0.25 * width)), max(0, int(y - 0.35 * height))
    piece = rgb[top : int(y + 1.3 * height) + 1, left : int(x + 1.25 * width) + 1]
    if not piece.size:
        return
    size = (piece.shape[1], piece.shape[0])
    coarse = cv2.resize(piece, (6, 6), interpolation=cv2.INTER_AREA)
    blurred = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((*piece.shape[:2], 1), np.uint8)
    cv2.ellipse(mask, (size[0] // 2, size[1] // 2), (size[0] // 2, size[1] // 2), 0, 0, 360, 1, -1)
    piece[:] = np.where(mask > 0, blurred, piece)
