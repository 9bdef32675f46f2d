"""Files that appear whole or not at all, and outputs that are refused before the work."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from emofuse import files
from emofuse.errors import MediaError, OutputError

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def entries(folder: Path) -> list[str]:
    """The names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def test_a_text_is_written_as_utf8_with_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    assert files.write_file(tmp_path / "a.txt", "é").read_bytes() == "é".encode()
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    files.write_file(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and real.stat().st_mode & 0o777 == 0o640


def test_an_error_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    path = files.write_file(tmp_path / "a.json", "old")
    with pytest.raises(RuntimeError, match="half way"), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("half way")
    assert path.read_text() == "old" and entries(tmp_path) == ["a.json"]


def test_half_a_character_is_written_as_the_sign_of_what_is_none(tmp_path):
    assert files.write_file(tmp_path / "a.txt", "a\ud800b").read_text("utf-8") == "a\N{REPLACEMENT CHARACTER}b"


def test_the_temporary_name_has_the_ending_and_fits_wherever_the_name_fits(tmp_path):
    with files.replacing(tmp_path / "a.npz") as temporary:
        assert temporary.suffix == ".npz" and temporary.parent == tmp_path
    longest = tmp_path / ("n" * 250 + ".json")
    assert files.write_file(longest, "x").read_text() == "x"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_stays_a_pipe(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    files.write_file(pipe, "content")
    reader.join()
    assert read == ["content"] and pipe.is_fifo()


@pytest.mark.parametrize(("name", "why"), [("gone/a.json", "No such file"), ("n" * 300, "name too long")])
def test_what_the_file_system_refuses_is_one_error(tmp_path, name, why):
    with pytest.raises(MediaError, match=rf"cannot write .*{why}.*; name another file"):
        files.write_file(tmp_path / name, "x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full here")
def test_a_full_disk_is_an_error_too():
    with pytest.raises(OutputError, match="No space left"):
        files.write_file("/dev/full", "x")


def test_a_folder_appears_whole_and_carries_over_what_it_should(tmp_path):
    home = tmp_path / "below" / "model"
    with files.replacing_folder(home) as building:
        (building / "a").write_text("1")
        (building / "b").write_text("1")
        assert not home.exists()
    (home / "sub").mkdir()
    (home / "sub" / "c").write_text("1")
    with files.replacing_folder(home, keep=lambda old: old.name != "b") as building:
        (building / "a").write_text("2")
    assert entries(home) == ["a", "sub"] and (home / "a").read_text() == "2" and (home / "sub" / "c").is_file()
    with pytest.raises(RuntimeError), files.replacing_folder(home) as building:
        (building / "a").write_text("3")
        raise RuntimeError
    assert (home / "a").read_text() == "2" and entries(home.parent) == ["model"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    home = tmp_path / "model"
    home.mkdir()
    (home / "a").write_text("old")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if target == home and not self.name.endswith("-old"):
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="Permission denied"), files.replacing_folder(home) as building:
        (building / "a").write_text("new")
    assert (home / "a").read_text() == "old"


def test_an_output_is_never_an_input_by_whatever_name(tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"film")
    (tmp_path / "soft.json").symlink_to(clip)
    (tmp_path / "hard.json").hardlink_to(clip)
    (tmp_path / "sub").mkdir()
    for name in ("clip.mp4", "soft.json", "hard.json", "sub/../clip.mp4"):
        with pytest.raises(OutputError, match="it is also an input"):
            files.check_outputs([tmp_path / name], [None, clip])
    files.check_outputs([tmp_path / "clip.json", None, "-", "-"], [clip, "-"])
    assert clip.read_bytes() == b"film"


def test_two_outputs_are_two_files(tmp_path):
    (tmp_path / "sub").mkdir()
    for second in ("a.json", "sub/../a.json"):
        with pytest.raises(OutputError, match="it is also another output"):
            files.check_outputs([tmp_path / "a.json", tmp_path / second])


def test_what_cannot_be_written_is_refused_before(tmp_path):
    for path, why in [(tmp_path, "it is a folder"), (tmp_path / "no" / "a", "there is no folder")]:
        with pytest.raises(OutputError, match=why):
            files.check_outputs([path])
    with pytest.raises(OutputError, match="name too long"):
        files.check_outputs([tmp_path / ("n" * 256)])
    assert not entries(tmp_path)


@pytest.mark.skipif(AS_ROOT, reason="root may write everywhere")
def test_read_only_files_and_folders_are_refused_before(tmp_path):
    file = files.write_file(tmp_path / "a.json", "kept")
    file.chmod(0o444)
    with pytest.raises(OutputError, match="read-only"):
        files.check_outputs([file])
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="Permission denied"):
        files.check_outputs([tmp_path / "b.json"])


def test_a_folder_to_write_is_checked_before_too(tmp_path):
    file = files.write_file(tmp_path / "a", "x")
    files.check_output_folder(tmp_path / "not" / "yet" / "there", [file, "emofuse-small"])
    with pytest.raises(OutputError, match="is a file; name a folder"):
        files.check_output_folder(file / "below")
    with pytest.raises(OutputError, match="it is also an input"):
        files.check_output_folder(tmp_path / ".", [tmp_path])
    assert entries(tmp_path) == ["a"]
