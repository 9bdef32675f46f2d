"""Uploads: whose they are, and when they go."""

from __future__ import annotations

from pathlib import Path

from emofuse.demo.uploads import Uploads
from emofuse.demo.visitors import Visit


def given(uploads: Uploads, browser: str, name: str = "clip.mp4") -> str:
    """The path of a file that a browser uploaded."""
    path = uploads.place() / name
    path.touch()
    uploads.add(browser, path)
    return str(path)


def test_uploads_go_when_asked_by_who_gave_them(tmp_path):
    uploads = Uploads(tmp_path / "uploads")
    file, elsewhere = given(uploads, "one"), tmp_path / "mine.txt"
    elsewhere.touch()
    first, other = Visit("one", "a"), Visit("two", "a")
    uploads.release(other, file)
    for visit in (first, other):
        uploads.release(visit, str(elsewhere))
    assert uploads.find(Visit("one", "b"), file) == Path(file) and elsewhere.exists()
    uploads.release(first, file)
    assert not Path(file).parent.exists() and elsewhere.exists()


def test_what_is_old_is_swept_and_paths_elsewhere_are_no_uploads(tmp_path):
    uploads = Uploads(tmp_path / "uploads")
    young, coming = given(uploads, "one"), uploads.place()
    stray = uploads.folder / "stray"
    stray.mkdir()
    one = Visit("one", "a")
    uploads.sweep(60)
    assert Path(young).exists() and stray.exists()
    uploads.sweep(0)
    assert coming.exists() and not Path(young).exists() and not stray.exists()
    used = given(uploads, "one")
    with uploads.using(one, used):
        uploads.sweep(0)
        assert Path(used).exists()
    uploads.sweep(0)
    assert not Path(used).exists()
    held = given(uploads, "one")
    assert uploads.find(one, {"path": held}) == Path(held)
    Path(held).unlink()
    Path(held).symlink_to(tmp_path / "elsewhere")
    for elsewhere in (held, None, {}, "", 7, {"path": "/etc/passwd"}, f"{held}/../x", str(uploads.folder)):
        assert uploads.find(one, elsewhere) is None
    uploads.drop(coming)
    assert not coming.exists()
