"""A labelled video: the source with what is expressed written into its pictures, faces blurred where asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emofuse.errors import MediaError
from emofuse.files import check_outputs, replacing
from emofuse.media.audio import AudioBlock
from emofuse.media.decode import probe, stream
from emofuse.media.faces.detect import FaceDetector
from emofuse.media.faces.track import FaceOptions, FaceTracker
from emofuse.media.image import VideoFrame
from emofuse.media.limits import UNLIMITED, Limits
from emofuse.notes import Note
from emofuse.pipeline.analysis import Analysis
from emofuse.types import SAMPLE_RATE, Prediction

ENDINGS = (".mp4", ".mkv", ".mov")
_WATCHFUL = FaceOptions(
    frame_interval=0.0, detect_interval=0.0, calm_interval=0.0, scan_interval=0.2, deep_interval=1.0
)
"""Every picture is looked at, since a face that is blurred in most of them is not blurred."""
_MARGIN = 0.25
"""Share of a face's side by which the blur reaches beyond it."""


def check_target(path: str | Path) -> None:
    """Raise `MediaError` for a name that is not a video's."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise MediaError(f"cannot render to {str(path)!r}; a video is named {', '.join(ENDINGS)}")


def render(
    analysis: Analysis,
    target: str | Path,
    *,
    blur: bool = False,
    detector: FaceDetector | None = None,
    limits: Limits = UNLIMITED,
) -> Path:
    """Write the source again with its labels, a frame about each face, and its sound (16 kHz, mono); the file
    appears whole. Of a stretch of the source, that alone is written.

    With `blur`, every face that the detector finds is made unrecognisable; one that it misses is not, so look before
    you publish. Raises `MediaError` for a source that is no video, `OutputError` for a target that is the source.
    """
    check_target(target)
    if analysis.source is None or not probe(analysis.source).has_video:
        raise MediaError("only a video file can be rendered; this analysis is of something else")
    check_outputs([target], [analysis.source])
    info = probe(analysis.source)
    rate = Fraction(info.fps or 25).limit_denominator(1001)
    part: dict[str, Any] = {"start": None, "end": None} | _stretch(analysis) | {"limits": limits}
    with replacing(target) as temporary, av.open(str(temporary), "w", format=_container(target)) as output:
        pictures: Any = output.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        pictures.width, pictures.height = (info.width or 2) // 2 * 2, (info.height or 2) // 2 * 2
        pictures.pix_fmt, pictures.time_base = "yuv420p", Fraction(1, 90_000)
        sound: Any = output.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if info.has_audio else None
        for frame in _labelled(analysis, blur, detector, (pictures.width, pictures.height), part):
            output.mux(pictures.encode(frame))
        output.mux(pictures.encode(None))
        if sound is not None:
            _copy_sound(analysis.source, output, sound, part)
    return Path(target)


def _stretch(analysis: Analysis) -> dict[str, float]:
    """The seconds of the source that were analysed, where it was not all of it."""
    return next((n.values for n in analysis.notes if isinstance(n, Note) and n.code == "stretch"), {})


def _container(target: str | Path) -> str:
    return "matroska" if Path(target).suffix.lower() == ".mkv" else Path(target).suffix.lower().removeprefix(".")


def _labelled(
    analysis: Analysis, blur: bool, detector: FaceDetector | None, size: tuple[int, int], part: dict[str, Any]
) -> Iterator[av.VideoFrame]:
    tracker = FaceTracker(detector, _WATCHFUL)
    assert analysis.source is not None
    last = -1
    for item in stream(analysis.source, audio=False, **part):
        if not isinstance(item, VideoFrame):
            continue
        tracker.push(item)
        picture = item.rgb.copy()
        for box in tracker.boxes(item.time).values():
            _mark(picture, box, blur)
        here = [p for p in analysis.segments if p.start <= item.time < p.end]
        frame = av.VideoFrame.from_ndarray(_written(picture[: size[1], : size[0]], here), format="rgb24")
        last = max(last + 1, round((item.time - (part["start"] or 0.0)) * 90_000))
        frame.pts, frame.time_base = last, Fraction(1, 90_000)
        yield frame


def _mark(picture: np.ndarray, box: np.ndarray, blur: bool) -> None:
    """A frame about a face, its inside blurred beyond recognition where asked for."""
    grow = _MARGIN * box[2] if blur else 0.0
    left, top = (int(max(0, box[i] - grow)) for i in (0, 1))
    right, bottom = int(box[0] + box[2] + grow), int(box[1] + box[3] + grow)
    inside = picture[top:bottom, left:right]
    if not inside.size:
        return
    if blur:
        small = cv2.resize(inside, (6, 6), interpolation=cv2.INTER_AREA)
        inside[:] = cv2.resize(small, (inside.shape[1], inside.shape[0]), interpolation=cv2.INTER_LINEAR)
    cv2.rectangle(picture, (left, top), (right, bottom), (255, 255, 255), 2)


def _written(picture: np.ndarray, predictions: Sequence[Prediction]) -> np.ndarray:
    """The picture with a line for each prediction at its lower edge."""
    lines = [_line(p) for p in predictions if p.top]
    if not lines:
        return np.ascontiguousarray(picture)
    image = Image.fromarray(picture)
    size = max(12, image.height // 24)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    top = image.height - round(1.4 * size * len(lines)) - size // 2
    draw.rectangle((0, top - size // 3, image.width, image.height), fill=(0, 0, 0))
    for number, line in enumerate(lines):
        draw.text((size // 2, top + round(1.4 * size * number)), line, fill=(255, 255, 255), font=font)
    return np.asarray(image)


def _line(p: Prediction) -> str:
    who = p.speaker or ("" if p.person is None else f"person {p.person}")
    assert p.top is not None
    return f"{who}: {p.top[0]} {p.top[1]:.0%}".removeprefix(": ")


def _copy_sound(source: str, output: Any, sound: Any, part: dict[str, Any]) -> None:
    """The sound as it is listened to, 16 kHz and mono, as AAC."""
    position = 0
    for block in stream(source, video=False, **part):
        assert isinstance(block, AudioBlock)
        frame = av.AudioFrame.from_ndarray(block.samples[None], format="fltp", layout="mono")
        position = max(position, round((block.start - (part["start"] or 0.0)) * SAMPLE_RATE))
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, position, Fraction(1, SAMPLE_RATE)
        position += block.samples.size
        output.mux(sound.encode(frame))
    output.mux(sound.encode(None))
