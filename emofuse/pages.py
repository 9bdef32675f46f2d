"""Self-contained HTML pages: one shell and style, pictures inside the file, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np

CSS = """
:root { color-scheme: light; --ink: #1a1a1a; --faint: #6b6b6b; --line: #d9d9d9; --blue: #004488; --paper: #ffffff; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, "Segoe UI", "Noto Sans", sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; } h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem;
  padding-top: .8rem; border-top: 2px solid var(--ink); } h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p { margin: .4rem 0 .8rem; max-width: 44rem; } .lead { font-size: 1.15rem; } .faint { color: var(--faint); }
table { border-collapse: collapse; margin: .4rem 0 1rem; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .22rem .9rem .22rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; } th { font-weight: 600; }
img.plot { max-width: 100%; height: auto; display: block; margin: .4rem 0 1rem; }
.row { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; } .row > * { min-width: 0; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; margin: .6rem 0; }
.card img { border-radius: 4px; }
.note { border-left: 4px solid var(--blue); padding-left: .8rem; }
code { font-size: .88em; overflow-wrap: anywhere; } .scroll { overflow-x: auto; }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; } .card, img { break-inside: avoid; } }
"""


def page(title: str, body: str, *, style: str = "", language: str = "en") -> str:
    """A whole document; `body` is HTML, `title` is text."""
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """A table of texts, escaped; the columns in `numbers` are set flush right."""

    def cells(tag: str, values: Sequence[str]) -> str:
        looks = [' class="n"' if i in numbers else "" for i in range(len(values))]
        return "".join(f"<{tag}{look}>{escape(v)}</{tag}>" for look, v in zip(looks, values, strict=True))

    head = f"<thead><tr>{cells('th', header)}</tr></thead>" if any(header) else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def image(png: bytes, alt: str, *, width: int | None = None, plot: bool = False) -> str:
    """An <img> that carries its PNG; `alt` says in words what it shows."""
    size = f' width="{width}"' if width else ""
    look = ' class="plot"' if plot else ""
    return f'<img{look}{size} alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def picture(rgb: np.ndarray, alt: str, *, width: int = 96) -> str:
    """An <img> of an RGB uint8 array [h, w, 3]."""
    import cv2

    done, data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))
    if not done:
        raise ValueError(f"an array {rgb.shape} of {rgb.dtype} is no RGB picture; give uint8 [h, w, 3]")
    return image(data.tobytes(), alt, width=width)


def waveform(samples: np.ndarray, *, width: int = 360, height: int = 48, colour: str = "#004488") -> str:
    """The outline of a sound as inline SVG."""
    peaks = envelope(samples, width // 2)
    middle = height / 2
    top = " ".join(f"{2 * i},{middle - p * middle:.1f}" for i, p in enumerate(peaks))
    bottom = " ".join(f"{2 * i},{middle + p * middle:.1f}" for i, p in reversed(list(enumerate(peaks))))
    return (
        f'<svg role="img" aria-label="waveform" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<polygon points="{top} {bottom}" fill="{colour}" stroke="{colour}" stroke-width="0.5"/></svg>'
    )


def envelope(samples: np.ndarray, bins: int) -> np.ndarray:
    """The peak of each of `bins` stretches of a sound, the loudest being 1; silence is 0."""
    if not len(samples):
        return np.zeros(bins)
    edges = np.linspace(0, len(samples), bins + 1).astype(int)
    peaks = np.array([np.abs(samples[a : max(b, a + 1)]).max(initial=0.0) for a, b in pairwise(edges)])
    return peaks / peaks.max() if peaks.max() > 0 else peaks


def write_text(path: Path, text: str) -> Path:
    """The file appears whole or not at all."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path
