"""Pages: escaped, self-contained, whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from jinja2 import UndefinedError

from emofuse import pages


def test_text_is_escaped() -> None:
    row = ("<script>", "1")
    page = pages.render(
        "stress.html",
        title="<script>",
        intro="<script>",
        verdict="",
        costs=(("<script>",), [row]),
        curves=[],
        header=row,
        rows=[row],
    )
    assert "<script>" not in page and page.count("&lt;script&gt;") == 7
    assert 'alt="&#34;&gt;"' in pages.image(b"x", '">')


def test_a_template_that_lacks_a_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="intro"):
        pages.render("stress.html", title="")


def test_pictures_and_sounds_are_inside() -> None:
    assert 'src="data:image/png;base64,iVBOR' in pages.picture(np.zeros((4, 4, 3), np.uint8), "black")
    assert pages.waveform(np.zeros(0, np.float32)).startswith("<svg")


def test_the_envelope_is_the_peak_of_each_stretch() -> None:
    sound = np.concatenate([np.full(100, 0.1), np.full(100, -0.4)])
    np.testing.assert_allclose(pages.envelope(sound, 4), [0.25, 0.25, 1, 1])
    assert not pages.envelope(np.zeros(50), 5).any()
    assert len(pages.envelope(np.ones(3), 10)) == 10
