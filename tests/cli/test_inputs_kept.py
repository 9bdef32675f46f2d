"""What a command reads is never what it writes, however the name is spelled."""

from __future__ import annotations

from pathlib import Path


def test_an_evaluation_is_not_written_over_the_one_it_is_compared_with(run, tmp_path, monkeypatch):
    (tmp_path / "earlier").mkdir()
    monkeypatch.chdir(tmp_path)
    on = ("--corpus", "manifest", "--root", tmp_path / "my.csv", "--compare", tmp_path / "earlier")
    for same in (tmp_path / "earlier", Path("earlier"), Path("earlier/../earlier/")):
        code, out, err = run("evaluate", tmp_path / "no model", *on, "--out", same)
        assert (code, out) == (2, "") and f"cannot write {str(same)!r}: it is also an input; name another folder" in err
