"""Pictures from files and arrays: EXIF, transparency, palettes, depths, and what cannot be a picture."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image

from emofuse.errors import MediaError
from emofuse.media.decode import VideoFrame, read_image


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif", ".avif", ".jp2", ".ppm"])
def test_every_format(tmp_path: Path, portrait: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"face{suffix}"
    Image.fromarray(portrait).save(path)
    picture = read_image(path)
    assert picture.shape == portrait.shape and picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - portrait).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = (255, 0, 0)
    upright[:20, 30:] = (0, 255, 0)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path), upright)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.dstack([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)])).save(path)
    assert (read_image(path) == 255).all()
    half = np.dstack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 128, np.uint8)])
    assert np.abs(read_image(half).astype(int) - 127).max() <= 1


def test_greys_palettes_and_depths(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(ramp).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(ramp > 127).save(tmp_path / "bits.png")
    for name in ("grey.png", "deep.png", "palette.png"):
        picture = read_image(tmp_path / name)
        assert picture.shape == (16, 16, 3)
        assert np.abs(picture[..., 0].astype(int) - ramp).max() <= 1
    assert set(np.unique(read_image(tmp_path / "bits.png"))) == {0, 255}
    np.testing.assert_array_equal(read_image(ramp), np.dstack([ramp] * 3))
    np.testing.assert_array_equal(read_image(ramp[..., None]), np.dstack([ramp] * 3))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\) is not a picture; give \(height, width, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\) is not a picture"),
        (np.zeros(4, np.uint8), r"shape \(4, 1\) is not a picture|shape \(4,\) is not a picture"),
    ],
)
def test_arrays_that_are_no_picture(array: np.ndarray, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        read_image(array)


def test_files_that_are_no_picture(tmp_path: Path, portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "a.jpg"
    text.write_text("hello " * 40)
    with pytest.raises(MediaError, match=r"a\.jpg: it is not a picture; save it as jpg or png; valid: "):
        read_image(text)
    whole = tmp_path / "b.jpg"
    Image.fromarray(portrait).save(whole)
    whole.write_bytes(whole.read_bytes()[:5_000])
    with pytest.raises(MediaError, match=r"the picture is damaged .*; copy or export it again"):
        read_image(whole)
    large = tmp_path / "large.png"
    Image.new("L", (200, 200)).save(large)
    monkeypatch.setattr("emofuse.media.image._LARGEST", 30_000)
    with pytest.raises(MediaError, match="more than 30,000 pixels; shrink it"):
        read_image(large)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 30_000)
    with pytest.raises(MediaError, match="more than 30,000 pixels; shrink it"):
        read_image(large)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(MediaError, match="more than 30,000 pixels; shrink it"):
        read_image(large)
    with pytest.raises(MediaError, match="there is no such file"):
        read_image(tmp_path / "none.png")


def test_a_frame_from_an_array_shrinks_but_never_grows(portrait: np.ndarray) -> None:
    frame = VideoFrame(1.5, rgb=portrait)
    assert (frame.time, frame.width, frame.height) == (1.5, 512, 512)
    assert frame.shrunk(128).shape == (128, 128)
    assert frame.shrunk(4096, colour=True).shape == (512, 512, 3)
    assert np.abs(frame.shrunk(128).mean() - portrait.mean()) < 12


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted by Linux's /proc")
def test_a_frame_is_converted_in_the_thread_that_asks(portrait: np.ndarray) -> None:
    """Beside busy encoders, handing slices of it to other threads took ten times as long as converting it."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(cv2.resize(portrait, (1280, 720))), format="rgb24")
    video = VideoFrame(0.0, frame.reformat(format="yuv420p", threads=1), reformatter=VideoReformatter())
    before = set(Path("/proc/self/task").iterdir())
    assert video.shrunk(256, colour=True).shape == (144, 256, 3)
    assert video.rgb.shape == (720, 1280, 3)
    assert set(Path("/proc/self/task").iterdir()) <= before


def test_a_png_whose_header_was_cut_is_damaged_and_no_traceback(tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + (5).to_bytes(4, "big") + b"IHDR" + bytes(40))
    with pytest.raises(MediaError, match="the picture is damaged"):
        read_image(path)
