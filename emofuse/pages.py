"""Self-contained HTML pages from templates, with pictures inside the file and nothing fetched from anywhere."""

from __future__ import annotations

import base64
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@lru_cache(maxsize=1)
def _templates() -> Environment:
    """The templates that ship with the package; every value is escaped unless it is markup already."""
    return Environment(
        loader=PackageLoader("emofuse"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> Markup:
    """A template of `emofuse/templates` with values laid into it, escaped."""
    return Markup(_templates().get_template(template).render(**values))


def image(png: bytes, alt: str, *, width: int | None = None, plot: bool = False) -> Markup:
    """An <img> that carries its PNG; `alt` says in words what it shows."""
    size = Markup(' width="{}"').format(width) if width else ""
    shape = Markup(' class="plot"') if plot else ""
    data = base64.b64encode(png).decode()
    return Markup('<img{}{} alt="{}" src="data:image/png;base64,{}">').format(shape, size, alt, data)


def picture(rgb: np.ndarray, alt: str, *, width: int = 96) -> Markup:
    """An <img> of an RGB uint8 array [h, w, 3]."""
    import cv2

    done, data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))
    if not done:
        raise ValueError(f"an array {rgb.shape} of {rgb.dtype} is no RGB picture; give uint8 [h, w, 3]")
    return image(data.tobytes(), alt, width=width)


def waveform(samples: np.ndarray, *, width: int = 360, height: int = 48, colour: str = "#004488") -> Markup:
    """The outline of a sound as inline SVG."""
    peaks = envelope(samples, width // 2)
    middle = height / 2
    top = [f"{2 * i},{middle - p * middle:.1f}" for i, p in enumerate(peaks)]
    bottom = [f"{2 * i},{middle + p * middle:.1f}" for i, p in reversed(list(enumerate(peaks)))]
    return render("waveform.html", points=" ".join(top + bottom), width=width, height=height, colour=colour)


def envelope(samples: np.ndarray, bins: int) -> np.ndarray:
    """The peak of each of `bins` stretches of a sound, the loudest being 1; silence is 0."""
    if not len(samples):
        return np.zeros(bins)
    edges = np.linspace(0, len(samples), bins + 1).astype(int)
    peaks = np.array([np.abs(samples[a : max(b, a + 1)]).max(initial=0.0) for a, b in pairwise(edges)])
    return peaks / peaks.max() if peaks.max() > 0 else peaks
