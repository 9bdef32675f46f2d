"""Inputs in memory: whatever people hold gives what the same file gives, or names the conversion."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from emofuse.errors import MediaError
from emofuse.media import memory
from emofuse.media.clip import open_clip
from emofuse.media.decode import AudioBlock, VideoFrame
from emofuse.media.image import read_image
from emofuse.media.memory import MemoryFile, as_file, as_sound


def heard(clip: Any) -> np.ndarray:
    """All sound of a clip."""
    return np.concatenate([item.samples for item in clip.items() if isinstance(item, AudioBlock)])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".ts", ".gif", ".h264", ".mjpeg"])
def test_the_bytes_of_a_video_are_the_video(make: Any, suffix: str) -> None:
    sound = make.tone(1.2, 48_000) if make.codecs[suffix][1] else None
    path = make.clip("clip" + suffix, sound=sound, pictures=make.picture, times=make.times(1.2))
    data, expected = path.read_bytes(), [i.time for i in open_clip(path).items() if isinstance(i, VideoFrame)]
    for held in (MemoryFile(data, path.name), io.BytesIO(data), bytearray(data), memoryview(data)):
        if suffix == ".mjpeg" and not isinstance(held, MemoryFile):
            continue  # without a name, pictures in a row begin as one does
        clip = open_clip(held)
        assert clip.has_video and clip.duration == open_clip(path).duration
        assert [i.time for i in clip.items() if isinstance(i, VideoFrame)] == expected


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", ".m4a", ".aac", ".amr"])
def test_the_bytes_of_sound_are_the_sound(make: Any, suffix: str) -> None:
    path = make.clip("tone" + suffix, sound=make.tone(1.0, 8_000), rate=8_000)
    np.testing.assert_array_equal(heard(open_clip(path.read_bytes())), heard(open_clip(path)))


def test_an_open_file_is_read_by_its_path_while_it_leads_there(make: Any, tmp_path: Path) -> None:
    path = make.clip("tone.wav", sound=make.tone(0.5))
    with path.open("rb") as file:
        assert as_file(file) == path and file.tell() == 0
        path.rename(tmp_path / "moved.wav")
        path.write_bytes(b"another")
        held = as_file(file)
    assert held.name == "tone.wav" and held.data == (tmp_path / "moved.wav").read_bytes()
    assert open_clip(held).has_audio


def test_an_open_file_is_read_from_where_it_stands_and_one_at_its_end_is_refused(make: Any) -> None:
    data = make.clip("tone.wav", sound=make.tone(0.5)).read_bytes()
    file = io.BytesIO(b"head" + data)
    file.seek(4)
    assert as_file(file).data == data
    with pytest.raises(MediaError, match=r"read to its end and nothing is left; call \.seek\(0\) first"):
        open_clip(file)


def test_a_file_that_is_closed_is_refused(make: Any) -> None:
    with make.clip("a.wav", sound=make.tone(0.2)).open("rb") as file:
        pass
    with pytest.raises(MediaError, match="the file is closed; hand it in while it is open, or give its path"):
        as_file(file)


def test_a_text_in_memory_needs_its_name(tmp_path: Path) -> None:
    cue = b"1\n00:00:01,000 --> 00:00:02,000\nhello\n"
    file = io.BytesIO(cue)
    file.name = "words.srt"
    transcript = open_clip(file).transcript
    assert transcript is not None and transcript.cues[0].text == "hello" and transcript.timed
    with pytest.raises(MediaError, match="cannot read the bytes: it is not media"):
        open_clip(cue)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_what_comes_through_a_pipe_is_read(make: Any, tmp_path: Path) -> None:
    path = make.clip("tone.flac", sound=make.tone(0.5))
    os.mkfifo(pipe := tmp_path / "pipe")
    writer = threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()))
    writer.start()
    np.testing.assert_array_equal(heard(open_clip(pipe)), heard(open_clip(path)))
    writer.join()


def test_a_pipe_at_stdin_is_read_by_its_name(make: Any) -> None:
    path = make.clip("tone.flac", sound=make.tone(0.5))
    code = "from emofuse.media.clip import open_clip; print(open_clip('/dev/stdin').duration)"
    done = subprocess.run([sys.executable, "-c", code], input=path.read_bytes(), capture_output=True, timeout=100)
    assert float(done.stdout) == pytest.approx(0.5), done.stderr


def test_more_than_memory_should_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LARGEST", 10)
    with pytest.raises(MediaError, match="not held in memory; write them to a file and give its path"):
        as_file(io.BytesIO(bytes(11)))


class Upload:
    """What a web framework hands in."""

    async def read(self, _: int = -1) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", r"the bytes: nothing is there \(0 bytes\)"),
        (io.StringIO("words"), r"opened as text; open media with mode 'rb', or give words: text=file\.read\(\)"),
        (Upload(), r"model\(await file\.read\(\)\)"),
        (
            base64.b64encode(bytes(9000)).decode(),
            r"it is base64, not a path; give the bytes: base64\.b64decode\(text\)",
        ),
        ("data:video/mp4;base64,AAAA", "it is base64, not a path"),
        ("https://example.org/a.mp4", r"cannot read https://example\.org/a\.mp4: it is an address"),
        (["a.mp4", "b.mp4"], r"not a list: several clips are given to model\.predict_many\(paths\)"),
        (np.zeros(9), r"not ndarray: arrays are given by keyword: audio="),
        (torch.zeros(9), r"not Tensor: arrays are given by keyword"),
        (Image.new("RGB", (9, 9)), r"not Image: a picture is given by keyword: model\(image=picture\)"),
        ({"text": "a"}, r"not dict: inputs by name are keywords: model\(\*\*inputs\)"),
        (3.5, "not float"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_source_that_is_no_file_names_the_conversion(source: Any, message: str) -> None:
    with pytest.raises(MediaError, match=message) as told:
        open_clip(source)
    assert len(str(told.value)) < 1000


def test_a_column_of_a_data_frame_is_several_clips() -> None:
    import pandas

    with pytest.raises(MediaError, match=r"not Series: several clips are given to model\.predict_many\(paths\)"):
        open_clip(pandas.Series(["a.mp4"]))
    with pytest.raises(MediaError, match=r"not Series: several clips .*predict_many\(\[\{'text': text"):
        open_clip(text=pandas.Series(["a"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (["a", "b"], r"not a list: .*model\.predict_many\(\[\{'text': text\} for text in texts\]\)"),
        (b"words", r"not bytes: decode it: text=data\.decode\(\)"),
        (float("nan"), "not float"),
    ],
)
def test_a_text_that_is_no_string_names_the_conversion(text: Any, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        open_clip(text=text)


TONE = (0.5 * np.sin(np.arange(16_000) / 9)).astype(np.float32)


@pytest.mark.parametrize(
    "audio",
    [
        (16_000, TONE),
        (TONE, 16_000),
        [TONE, np.int64(16_000)],
        (16_000.0, TONE.astype(np.float64)),
        {"array": TONE, "sampling_rate": 16_000, "path": None},
        {"raw": TONE, "sampling_rate": 16_000},
        (torch.from_numpy(TONE)[None].requires_grad_(), 16_000),
        (16_000, torch.from_numpy(TONE).bfloat16()),
    ],
    ids=["scipy", "librosa", "list", "doubles", "datasets", "transformers", "torchaudio", "bfloat16"],
)
def test_sound_as_libraries_give_it(audio: Any) -> None:
    sound = heard(open_clip(audio=audio))
    assert sound.shape == TONE.shape and np.abs(sound - TONE).max() < 2e-3


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (TONE, r"not ndarray; say the rate it was recorded at: audio=\(16_000, array\)"),
        (torch.from_numpy(TONE), r"not Tensor; say the rate"),
        ((16_000, TONE.tolist()), r"not a list; convert it: numpy\.asarray\(values, dtype='float32'\)"),
        ({"array": TONE}, "'array' and 'sampling_rate', this one holds 'array'"),
        ({"bytes": b"RIFF", "path": None}, r"model\(audio\['bytes'\]\)"),
        ("a.wav", r"not str; a sound file is a source: model\(file\)"),
        ((16_000, 16_000), "sound in memory is a NumPy array, not int"),
        ((16_000, (TONE * 32767).astype(np.int64)), r"convert it to int16 or float32"),
    ],
)
def test_sound_that_is_none_names_the_conversion(audio: Any, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        open_clip(audio=audio)


def test_the_rate_of_a_pair_is_told_by_its_type() -> None:
    rate, array = as_sound((np.zeros(3), 8_000))
    assert rate == 8_000 and array.shape == (3,)


def test_pictures_as_libraries_give_them(portrait: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(portrait).save(path := tmp_path / "face.png")
    first = torch.from_numpy(portrait).permute(2, 0, 1)
    for held in (
        Image.fromarray(portrait),
        Image.open(io.BytesIO(path.read_bytes())),
        path.read_bytes(),
        io.BytesIO(path.read_bytes()),
        portrait / 255,
        (portrait / 255).astype(np.float16),
        first,
        first.float() / 255,
        torch.from_numpy(portrait),
    ):
        found = read_image(held)
        assert found.shape == portrait.shape and np.abs(found.astype(int) - portrait).max() <= 1, type(held)


def test_a_pil_image_is_read_as_its_file_is(tmp_path: Path, portrait: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(portrait).save(path := tmp_path / "turned.png", exif=exif)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(image), read_image(path))
    np.testing.assert_array_equal(read_image(Image.new("L", (5, 4), 7)), np.full((4, 5, 3), 7))
    cut = io.BytesIO(path.read_bytes()[:3000])
    with pytest.raises(MediaError, match="the picture is damaged"):
        read_image(Image.open(cut))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((4, 4, 3), 200.0), r"not from 200 to 200; undo what normalised it, or give array\.astype\('uint8'\)"),
        (np.full((4, 4, 3), -0.5), r"not from -0\.5 to -0\.5"),
        (np.full((4, 4, 3), np.nan), r"not from nan to nan"),
        (np.zeros((4, 4, 3), np.int64), r"not int64; convert it: array\.astype\('uint8'\)"),
        (np.zeros((4, 4, 3), np.uint16), r"not uint16; scale it: \(array // 257\)\.astype\('uint8'\)"),
        (np.zeros((3, 8, 8), np.uint8), r"the channels come last: array\.transpose\(1, 2, 0\)"),
        (torch.zeros(2, 3, 8, 8), r"of a batch give one: array\[0\]"),
        ([1, 2], "a picture is not list; convert it: numpy.asarray"),
    ],
)
def test_a_picture_that_is_none_names_the_conversion(picture: Any, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        read_image(picture)
