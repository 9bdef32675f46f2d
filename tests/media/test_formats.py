"""What a file is, told by its content, and the error of one that is not read: true, and with a way out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emofuse.errors import MediaError
from emofuse.media.clip import open_clip
from emofuse.media.formats import IMAGE_SUFFIXES, existing_file, sidecar_of
from emofuse.media.remote import expand
from emofuse.media.transcript import read_transcript
from emofuse.pipeline.conversation.acts import read_acts
from emofuse.pipeline.prototypes import read_labels
from emofuse.pipeline.rules import read_rules
from emofuse.pipeline.sources import CLIP_SUFFIXES, media_in


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".gif"])
def test_a_picture_is_a_still_whatever_its_name_says(tmp_path: Path, portrait: np.ndarray, suffix: str) -> None:
    kind = {".jp2": "JPEG2000", ".tif": "TIFF"}.get(suffix, Image.registered_extensions()[suffix])
    path = tmp_path / "face.mp4"
    Image.fromarray(portrait).save(path, format=kind)
    clip = open_clip(path)
    assert clip.still is not None and clip.still.shape == portrait.shape and clip.notes == ()


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_picture_that_moves_is_a_video(tmp_path: Path, portrait: np.ndarray, kind: str) -> None:
    path = tmp_path / f"moves.{kind.lower()}"
    frames = [Image.fromarray(np.roll(portrait, 8 * i, axis=1)) for i in range(6)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=500, format=kind)
    clip = open_clip(path)
    assert clip.still is None and clip.has_video
    assert [item.time for item in clip.items(0.2)] == pytest.approx(np.arange(0, 3, 0.5), abs=0.02)


@pytest.mark.parametrize("kind", ["WEBP", "TIFF"])
def test_the_first_of_several_pictures_is_taken_with_a_note(tmp_path: Path, portrait: np.ndarray, kind: str) -> None:
    path = tmp_path / f"several.{kind.lower()}"
    frames = [Image.fromarray(np.roll(portrait, 8 * i, axis=1)) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], format=kind)
    clip = open_clip(path)
    assert clip.still is not None and clip.notes == ("the file holds 3 pictures: the first was taken",)


@pytest.mark.parametrize(
    ("begin", "told"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is a HEIC picture, which is not read; export it as jpg"),
        (b"%PDF-1.7\n", "it is a PDF, which is not read; export"),
        (b"PK\x03\x04\x14\0", "it is an archive"),
        (b"#EXTM3U\n#EXTINF:10,\na.ts\n", "it is a playlist, which only points at media"),
        (b"<!DOCTYPE html>\n<html>", "it is a web page"),
        (b"<svg xmlns=", "it is XML or a drawing"),
        (b"MThd\0\0\0\x06", "it is MIDI: notes, no sound"),
    ],
)
def test_kinds_that_are_not_read_are_called_by_their_name(tmp_path: Path, begin: bytes, told: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(begin + bytes(4000))
    with pytest.raises(MediaError, match=f"clip.mp4: {told}"):
        open_clip(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices in the file system")
def test_a_device_is_told_from_files() -> None:
    for path in ("/dev/zero", "/dev/null"):
        with pytest.raises(MediaError, match=r"it is a device, not a file.*; write it to a file and give its path"):
            open_clip(path)


def test_a_name_with_a_colon_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.zeros((100, 100, 3), np.uint8)
    frames = [Image.fromarray(samples + i) for i in (0, 50)]
    monkeypatch.chdir(tmp_path)
    frames[0].save("concat:part 1.gif", save_all=True, append_images=frames[1:], duration=100)
    assert open_clip("concat:part 1.gif").has_video


@pytest.mark.parametrize("kind", ["video", "picture"])
def test_a_path_is_checked_once(make: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    """What was checked when the clip was opened is believed when it is probed and read."""
    if kind == "video":
        path = make.clip("a.mp4", sound=make.tone(0.5), pictures=make.picture, times=make.times(0.5))
    else:
        path = tmp_path / "a.png"
        Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(path)
    checked: list[object] = []
    monkeypatch.setattr("emofuse.media.formats.existing_file", lambda p, *how: checked.append(p) or existing_file(p))
    clip = open_clip(path)
    assert len(list(clip.items())) > 0 or clip.still is not None
    assert checked == [path]


def test_words_beside_a_clip_are_found_in_small_and_capital_letters(tmp_path: Path) -> None:
    for name in ("A.SRT", "b.vtt", "b.TXT"):
        (tmp_path / name).write_text("words")
    assert sidecar_of(tmp_path / "A.MP4") == tmp_path / "A.SRT" and sidecar_of(tmp_path / "A.SRT") is None
    assert sidecar_of(tmp_path / "b.wav") == tmp_path / "b.vtt"
    assert sidecar_of(tmp_path / "b.wav", timed=True) == tmp_path / "b.vtt" and sidecar_of(tmp_path / "c.wav") is None


def test_a_thumbnail_does_not_say_the_words_of_its_video(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nI am so sad.\n")
    assert sidecar_of(tmp_path / "a.mp4") == tmp_path / "a.srt" and sidecar_of(tmp_path / "a.jpg") is None
    (tmp_path / "a.txt").write_text("I am so sad.")
    (tmp_path / "a.jpg").touch()
    assert sidecar_of(tmp_path / "a.jpg") == tmp_path / "a.txt"
    for clip in ("a.mp4", "a.WAV"):
        (tmp_path / clip).touch()
        assert sidecar_of(tmp_path / "a.jpg") is None and sidecar_of(tmp_path / clip) == tmp_path / "a.srt"
        assert [path.name for path in media_in(tmp_path)] == sorted([clip, "a.jpg"])
        (tmp_path / clip).unlink()


def test_a_thumbnail_in_a_store_does_not_say_the_words_of_its_video() -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    for name in ("a.jpg", "a.mp4", "a.txt", "b.jpg", "b.txt"):
        store.pipe(f"/shelf/{name}", b"x")
    words = {clip.rpartition("/")[2]: found for clip, found in expand("memory://shelf", CLIP_SUFFIXES)}
    assert words.keys() == {"a.jpg", "a.mp4", "b.jpg"} and words["a.jpg"] is None
    assert (words["a.mp4"] or "").endswith("/a.txt") and (words["b.jpg"] or "").endswith("/b.txt")


@pytest.mark.parametrize(
    ("read", "valid"),
    [
        (lambda folder: read_transcript(folder), "valid: the path of a transcript (srt, vtt, txt)"),
        (lambda folder: read_acts(folder), "valid: the path of a file of acts (yaml)"),
        (lambda folder: read_rules(folder), "valid: the path of a file of rules (yaml), or of a lexicon (csv)"),
        (lambda folder: read_labels(folder), "valid: the path of a table (csv) with the columns label and text"),
        (
            lambda folder: open_clip(image=folder),
            "valid: the path of a picture (jpg, png, webp, bmp, tif, avif), its bytes",
        ),
    ],
)
def test_a_folder_in_the_place_of_a_file_is_told_what_is_valid_there(tmp_path: Path, read: Any, valid: str) -> None:
    with pytest.raises(MediaError) as caught:
        read(tmp_path)
    told = str(caught.value)
    assert f"it is a folder; name a file in it; {valid}" in told and "mp4" not in told and "frames=" not in told
