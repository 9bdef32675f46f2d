"""Clips of a folder: every kind that is read, and transcripts are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.errors import MediaError
from emofuse.pipeline.sources import media_in


def test_every_kind_is_taken_and_a_transcript_belongs_to_its_clip(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden").mkdir()
    kept = ["a.jpg", "a.mp4", "b.GIF", "c.tiff", "d.wav", "deep/words.txt", "deep/film.srt", "h.png", "h.srt", "i.MP4"]
    for name in [*kept, "a.srt", "d.txt", "e.pdf", ".f.mp4", ".hidden/g.mp4", "h.txt", "i.SRT"]:
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in media_in(tmp_path)] == sorted(kept)


def test_a_folder_of_nothing_that_is_read_says_what_is(tmp_path: Path):
    (tmp_path / "e.pdf").touch()
    with pytest.raises(MediaError, match=r"holds no media; it should hold files that end in mp4, .*, txt, srt, vtt"):
        media_in(tmp_path)
