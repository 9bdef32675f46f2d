"""A look at a clip tells what is whole from what is not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from emofuse.corpora.clips import inspect_clip


def test_a_whole_sound_has_its_length(make, tmp_path):
    for name in ("a.wav", "a.flac"):
        clip = inspect_clip(make.sound(tmp_path / name, 0.75))
        assert clip.usable
        assert clip.seconds == pytest.approx(0.75)


def test_a_whole_video_has_its_length(make, tmp_path):
    clip = inspect_clip(make.video(tmp_path / "a.mp4", 1.5))
    assert clip.usable
    assert clip.seconds == pytest.approx(1.5, abs=0.11)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_cut_sound_is_not_usable(make, tmp_path, name):
    clip = inspect_clip(make.truncate(make.sound(tmp_path / name, 2.0), 0.6))
    assert clip.kind in ("truncated", "unreadable")
    assert clip.what


def test_a_cut_video_is_not_usable(make, tmp_path):
    assert inspect_clip(make.truncate(make.video(tmp_path / "a.mp4"), 0.6)).kind == "unreadable"


def test_a_video_whose_index_comes_first_is_seen_to_end_early(make, tmp_path):
    import av

    whole, cut = make.video(tmp_path / "a.mp4", 8.0), tmp_path / "fast.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None:
                packet.stream = stream
                target.mux(packet)
    assert inspect_clip(cut).usable
    clip = inspect_clip(make.truncate(cut, 0.7))
    assert (clip.kind, clip.seconds) == ("truncated", 8.0)


@pytest.mark.parametrize(
    ("content", "kind", "word"),
    [
        (b"", "truncated", "0 bytes"),
        (b"hello", "unreadable", ""),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "missing", "Git LFS"),
    ],
)
@pytest.mark.parametrize("name", ["a.wav", "a.mp4", "a.png"])
def test_what_is_no_clip_says_so(tmp_path, name, content, kind, word):
    (tmp_path / name).write_bytes(content)
    clip = inspect_clip(tmp_path / name)
    assert clip.kind == kind
    assert word in clip.what


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_pictures(make, tmp_path, name):
    cv2.imwrite(str(tmp_path / name), np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8))
    assert inspect_clip(tmp_path / name).usable
    assert inspect_clip(make.truncate(tmp_path / name, 0.9)).kind == "truncated"


def test_the_content_and_not_the_ending_says_how_a_file_is_checked(make, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 48, 3), np.uint8))
    assert inspect_clip((tmp_path / "a.png").rename(tmp_path / "a.wav")).usable
    assert inspect_clip(make.sound(tmp_path / "b.wav", 0.75).rename(tmp_path / "b.png")).seconds == pytest.approx(0.75)


def test_without_verification_only_presence_counts(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"hello")
    assert inspect_clip(tmp_path / "a.wav", verify=False).usable
    assert inspect_clip(tmp_path / "b.wav", verify=False).kind == "missing"


def test_the_real_clip_is_whole(real_clip: Path):
    clip = inspect_clip(real_clip)
    assert clip.usable
    assert clip.seconds == pytest.approx(3.3, abs=0.2)
