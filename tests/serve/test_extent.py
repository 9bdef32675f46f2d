"""What a request counts as: seconds of sound or pictures, or of reading its words aloud where that takes longer."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from emofuse.media.decode import probe
from emofuse.serve.asking import Asked
from emofuse.serve.extent import Bounds, announced
from emofuse.serve.keys import add_key

BOUNDS = Bounds(10.0, 7200, 36e6)
MUCH = "so sad " * 450
"""3,150 characters: 210 seconds."""
SECOND = (16_000, np.zeros(16_000, np.int16))
CAPTIONS = "\n\n".join(f"{i + 1}\n00:00:{i:02},000 --> 00:00:{i:02},900\n{'so sad ' * 15}" for i in range(40))


@pytest.fixture(scope="module")
def files(tmp_path_factory, clip) -> dict[str, Path]:
    """A long text, captions, and a picture."""
    folder = tmp_path_factory.mktemp("extent")
    for name, words in (("words.txt", MUCH), ("captions.srt", CAPTIONS)):
        (folder / name).write_text(words)
    from PIL import Image

    Image.new("RGB", (64, 64)).save(folder / "still.png")
    return {path.name: path for path in folder.iterdir()} | {"clip": clip}


@pytest.mark.parametrize(
    ("inputs", "seconds"),
    [
        ({"text": MUCH}, 210),
        ({"transcript": MUCH}, 210),
        ({"transcript": "words.txt"}, 210),
        ({"source": "words.txt"}, 210),
        ({"source": "captions.srt"}, 277),
        ({"source": "still.png"}, 1),
        ({"source": "still.png", "text": MUCH}, 210),
        ({"image": "still.png", "text": "sad"}, 1),
        ({"image": "still.png", "transcript": "words.txt"}, 210),
        ({"audio": SECOND}, 1),
        ({"audio": SECOND, "text": MUCH}, 210),
        ({"audio": SECOND, "transcript": "words.txt"}, 210),
        ({"source": "clip", "transcript": "words.txt"}, 210),
        ({"source": "clip", "transcript": "captions.srt", "start": 2.0, "end": 4.0}, 14),
        ({"source": "clip", "start": 2.0, "end": 4.5}, 2.5),
    ],
)
def test_words_count_whatever_comes_with_them(files, inputs, seconds):
    named = {key: files.get(value, value) if isinstance(value, str) else value for key, value in inputs.items()}
    assert announced(Asked(named), BOUNDS) == pytest.approx(seconds, abs=1)


def test_words_beside_a_picture_use_up_a_quota(serve, tmp_path, files):
    key = add_key(tmp_path / "keys", "ann", 100)
    running = serve(keys=tmp_path / "keys")
    still = {"file": ("still.png", files["still.png"].read_bytes())}
    headers = {"Authorization": f"Bearer {key}"}
    asked = {"data": {"text": MUCH}, "files": still, "headers": headers}
    assert running.client.post("/v1/analyze", **asked).json()["error"]["code"] == "quota"
    assert running.client.post("/v1/analyze", files=still, headers=headers).status_code == 200


def test_a_clip_that_holds_more_than_its_head_announces_is_counted_whole(serve, tmp_path, clip):
    key = add_key(tmp_path / "keys", "ann", 10)
    running = serve(keys=tmp_path / "keys")
    (tmp_path / "forged.mp4").write_bytes(_announcing_a_tenth(clip.read_bytes()))
    assert probe(tmp_path / "forged.mp4").duration < 1
    sent = {
        "files": {"file": ("forged.mp4", (tmp_path / "forged.mp4").read_bytes())},
        "headers": {"Authorization": f"Bearer {key}"},
    }
    caller = running.service.keys.named("ann")
    assert running.client.post("/v1/analyze", **sent).status_code == 200
    assert running.service.quotas.left(caller) == pytest.approx(10 - 6.6, abs=0.1)
    assert running.client.post("/v1/analyze", **sent).status_code == 200  # one tenth is left to announce
    assert running.service.quotas.left(caller) == 0
    assert running.client.post("/v1/analyze", **sent).status_code == 429


def _announcing_a_tenth(data: bytes) -> bytes:
    """An mp4 whose boxes say a tenth of its length."""
    forged = bytearray(data)
    for box, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        at = forged.find(box)
        while at >= 0:
            (length,) = struct.unpack_from(">I", forged, at + offset)
            struct.pack_into(">I", forged, at + offset, length // 10)
            at = forged.find(box, at + 4)
    return bytes(forged)
