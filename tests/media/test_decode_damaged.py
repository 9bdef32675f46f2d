"""Files that cannot be read, or not to their end: what is still read of them, and what the error says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from emofuse.errors import MediaError
from emofuse.media.decode import AudioBlock, VideoFrame, probe, stream
from emofuse.media.formats import ACCEPTED
from emofuse.types import SAMPLE_RATE


def split(items) -> tuple[list[AudioBlock], list[VideoFrame]]:
    items = list(items)
    return [i for i in items if isinstance(i, AudioBlock)], [i for i in items if isinstance(i, VideoFrame)]


def damaged(path: Path, share: float = 0.5, length: int = 400) -> Path:
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(3)
    for where in (share, share + 0.1, share + 0.2):
        begin = int(len(data) * where)
        data[begin : begin + length] = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
    path.write_bytes(bytes(data))
    return path


def noisy(time: float) -> np.ndarray:
    return np.random.default_rng(round(time * 1000)).integers(0, 256, (120, 160, 3), dtype=np.uint8)


@pytest.mark.slow
def test_damage_in_the_middle_is_counted_not_fatal(make: SimpleNamespace) -> None:
    for name in ("broken.ts", "broken.mkv", "broken.mp4"):
        path = damaged(make.clip(name, sound=make.tone(4.0), pictures=noisy, times=make.times(4.0)))
        notes: list[str] = []
        sound, pictures = split(stream(path, notes=notes))
        assert len(pictures) > 20
        assert sum(b.samples.size for b in sound) > 2.5 * SAMPLE_RATE
        assert any("damaged" in note for note in notes), (name, notes)


@pytest.mark.slow
def test_truncated_with_its_index_first_is_read_as_far_as_it_goes(make: SimpleNamespace) -> None:
    path = make.clip(
        "cut.mp4", sound=make.tone(6.0), pictures=noisy, times=make.times(6.0), options={"movflags": "faststart"}
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    notes: list[str] = []
    sound, pictures = split(stream(path, notes=notes))
    assert 2.0 < sound[-1].end < 5.5 and pictures
    assert any("could be read only up to" in n and "of the 6.0 s it announces" in n for n in notes)


@pytest.mark.parametrize("keep", [0.9, 0.5])
def test_truncated_without_index_says_so(make: SimpleNamespace, keep: float) -> None:
    path = make.clip("cut.mp4", sound=make.tone(3.0), pictures=noisy, times=make.times(3.0))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(MediaError, match=r"cut\.mp4: it is not media, or was cut off .*truncated.*copy, record"):
        probe(path)


def test_a_header_with_nothing_behind_it(make: SimpleNamespace) -> None:
    path = make.clip("head.mp4", pictures=noisy, times=make.times(1.0), options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 8])
    with pytest.raises(MediaError, match=r"nothing in it can be decoded.*copy, record or convert it again"):
        list(stream(path))


def test_what_is_not_media(tmp_path: Path) -> None:
    for name, data in {
        "text.mp4": b"this is no video at all, only words " * 50,
        "noise.mp4": np.random.default_rng(1).bytes(20_000),
        "list.m3u8": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n",
        "list.txt.mp4": b"ffconcat version 1.0\nfile /etc/hostname\n",
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(MediaError) as raised:
            list(stream(path))
        assert str(path) in str(raised.value)


def test_zero_bytes_missing_folder_address_and_no_path(tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    with pytest.raises(MediaError, match=r"empty\.wav: the file is empty \(0 bytes\); record, copy or download"):
        probe(empty)
    with pytest.raises(MediaError, match=r"none\.mp4: there is no such file; check the spelling"):
        probe(tmp_path / "none.mp4")
    with pytest.raises(MediaError, match="it is a folder; name a file in it; valid: "):
        probe(tmp_path)
    with pytest.raises(MediaError, match="it is an address, not a file; download it"):
        probe("https://example.org/clip.mp4")
    with pytest.raises(MediaError, match=r"a source is a path, not int: the documentation of ClipInputs .*; valid: "):
        probe(7)  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="null byte"):
        probe("a\0b")
    assert ACCEPTED.startswith("valid: ")


def test_subtitles_alone_are_neither_sound_nor_picture(tmp_path: Path) -> None:
    path = tmp_path / "subs.mkv"
    srt = tmp_path / "s.srt"
    srt.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    with av.open(str(srt)) as source, av.open(str(path), "w") as target:
        track = target.add_stream_from_template(source.streams[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = track
                target.mux(packet)
    with pytest.raises(MediaError, match=r"neither sound nor pictures .*\(tracks: subtitle\); valid: "):
        probe(path)


def test_a_file_this_user_may_not_read(make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make.clip("mine.wav", sound=make.tone(0.2))
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(MediaError, match=r"mine\.wav: permission denied; make the file readable for this user"):
        probe(path)
