"""An analysis in a notebook: what it says of itself, and what is shown of it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from emofuse.pipeline import notebook
from emofuse.pipeline.analysis import Analysis

NOTHING = Analysis(None, None, "tiny", None, [], None, ("nothing was found",))


def test_it_is_short_has_a_length_and_iterates(analysis):
    top = f"{analysis.top[0]} {analysis.top[1]:.0%}"
    assert repr(analysis) == f"Analysis('a, clip.mp4, 0:04.0': {top}, 3 predictions, 1 note)"
    assert len(analysis) == 3 and list(analysis) == analysis.segments and analysis.top == analysis.overall.top
    assert repr(NOTHING) == "Analysis('words': no emotion, 0 predictions, 1 note)"
    assert NOTHING and len(NOTHING) == 0 and NOTHING.top is None and list(NOTHING) == []


def test_html_has_player_timeline_table_and_notes_and_escapes(analysis, sample: Path, tmp_path: Path):
    from dataclasses import replace

    clip = tmp_path / "<b>my&clip.mp4"
    shutil.copy(sample, clip)
    shown = replace(analysis, source=str(clip), notes=("<script>",))._repr_html_()
    assert re.search(r'<video controls preload="metadata" src="data:video/mp4;base64,[A-Za-z0-9+/=]+"', shown)
    assert 'src="data:image/png;base64,' in shown and "<th>person</th>" in shown and "joy 70%" in shown
    assert "&lt;b&gt;my&amp;clip.mp4" in shown and "&lt;script&gt;" in shown and "<script>" not in shown
    assert "I &lt;can&#39;t&gt; &amp; won&#39;t" in shown


def test_a_large_file_is_played_from_its_path_and_one_that_is_gone_not_at_all(sample, monkeypatch):
    monkeypatch.setattr(notebook, "LARGEST", 10)
    assert notebook.player(str(sample)) == {"element": "video", "address": sample.as_posix(), "name": "sample.mp4"}
    assert notebook.player("gone.mp4") is None and notebook.player(None) is None
    assert "<video" not in NOTHING._repr_html_()


def test_long_clips_are_cut_with_a_word_about_the_rest(analysis, monkeypatch):
    monkeypatch.setattr(notebook, "MOST", 2)
    shown = analysis._repr_html_()
    assert "and 1 more" in shown and shown.count("<tr>") == 3


def test_without_matplotlib_there_is_no_timeline_and_the_rest_stands(analysis, monkeypatch):
    monkeypatch.setattr(notebook.importlib.util, "find_spec", lambda name: None)
    shown = analysis._repr_html_()
    assert "<img" not in shown and "<table>" in shown


def test_a_plot_without_a_path_is_a_figure(analysis, tmp_path):
    figure = analysis.plot()
    assert [axis.get_ylabel() for axis in figure.axes][:2] == ["person 0", "person 1"]
    assert analysis.plot(tmp_path / "a.png") == tmp_path / "a.png"


@pytest.mark.parametrize("suffix", [".wav", ".png"])
def test_sound_and_pictures_have_their_own_element(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"x")
    found = notebook.player(str(tmp_path / f"a{suffix}"))
    assert found["element"] == {".wav": "audio", ".png": "img"}[suffix]
