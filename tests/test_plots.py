"""Pictures: colours that can be told apart, every figure drawn from edge cases too, files whole or not at all."""

from __future__ import annotations

import builtins
import importlib.util
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from skimage.color import rgb2lab

from emofuse import plots
from emofuse.errors import MissingExtraError

# Machado, Oliveira & Fernandes 2009, severity 1.0, for linear RGB.
BLINDNESS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colours: np.ndarray) -> np.ndarray:
    return rgb2lab(colours[None])[0]


def seen_by(kind: str, colours: np.ndarray) -> np.ndarray:
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(BLINDNESS[kind]).T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_differ_for_colour_blind_readers(kind: str) -> None:
    seen = lab(seen_by(kind, np.array([to_rgb(c) for c in plots.COLOURS])))
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 14


def test_colours_differ_in_grey() -> None:
    lightness = np.sort(lab(np.array([to_rgb(c) for c in plots.COLOURS]))[:, 0])
    assert np.diff(lightness).min() > 7
    assert lightness[-1] < 90  # visible on paper


def test_markers_and_lines_differ_too() -> None:
    assert len(set(plots.MARKERS)) == len(set(map(str, plots.LINES))) == len(plots.COLOURS)


def figures() -> dict[str, Figure]:
    rng = np.random.default_rng(0)
    confidence = np.linspace(0.2, 0.95, 8)
    subsets = [frozenset(c) for n in (1, 2, 3) for c in combinations(("text", "speech", "face"), n)]
    names = ("neutral", "joy", "sadness", "anger", "fear", "disgust", "surprise")
    counts = rng.integers(0, 12, (7, 7)) + np.diag(rng.integers(20, 90, 7))
    counts[4] = 0
    return {
        "reliability": plots.reliability_diagram(
            {
                "before": (confidence, confidence**1.6, rng.integers(1, 90, 8)),
                "after": (confidence, confidence * 0.98, rng.integers(1, 90, 8)),
            },
            eces={"before": 0.12, "after": 0.02},
        ),
        "confusion": plots.confusion_matrix(counts, names),
        "training": plots.training_curves(
            {
                "train loss": 2 * np.exp(-np.arange(20) / 6),
                "dev loss": 2 * np.exp(-np.arange(20) / 6) + 0.02 * np.arange(20),
                "emotion.uar": 1 - np.exp(-np.arange(20) / 8),
                "polarity.uar": 0.8 - 0.6 * np.exp(-np.arange(20) / 5),
            },
            best=14,
        ),
        "bars": plots.bars(
            {"UAR": (0.61, 0.55, 0.66), "accuracy": 0.7, "macro F1": (0.4, np.nan, np.nan), "AUROC": np.nan}
        ),
        "subsets": plots.subset_table(
            {s: {"uar": 0.3 + 0.1 * len(s) + 0.02 * i, "ece": 0.1 - 0.01 * i} for i, s in enumerate(subsets)}
            | {subsets[0]: {}},
            ("text", "speech", "face"),
        ),
        "lines": plots.lines(
            {f"class {i}": ([0, 0.5, 1], [0, 0.9 - i / 10, 1]) for i in range(7)}, chance=([0, 1], [0, 1])
        ),
        "severity": plots.severity_curves(
            {
                "unimodal speech": [(i, (0.6 - 0.1 * i, 0.55 - 0.1 * i, 0.65 - 0.1 * i)) for i in range(5)],
                "with the face": [(i, 0.7 - 0.03 * i) for i in range(5)],
            },
            level=("the others by themselves", 0.62),
            ticks=["20", "15", "10", "5", "0"],
            xlabel="SNR (dB)",
            ylabel="UAR",
            title="Noise",
        ),
    }


def test_every_figure_can_be_written(tmp_path: Path) -> None:
    for name, figure in figures().items():
        assert plots.png(figure).startswith(b"\x89PNG")
        assert plots.svg(figure).startswith("<svg")
        assert plots.save(figure, tmp_path / "new" / f"{name}.png").stat().st_size > 5000
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(f"{n}.png" for n in figures())


def test_nothing_to_draw_is_an_empty_figure() -> None:
    empty = [
        plots.reliability_diagram({"none": ([], [], [])}),
        plots.confusion_matrix(np.zeros((2, 2), int), ("a", "b")),
        plots.training_curves({}),
        plots.bars({}),
        plots.subset_table({}, ("text",)),
        plots.severity_curves({}),
        plots.lines({}),
    ]
    for figure in empty:
        assert plots.png(figure).startswith(b"\x89PNG")


def test_the_same_figure_gives_the_same_svg() -> None:
    assert plots.svg(figures()["bars"]) == plots.svg(figures()["bars"])


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    before = dict(mpl.rcParams)
    plots.png(plots.bars({"a": 1.0}))
    assert dict(mpl.rcParams) == before


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nosuchformat"):
        plots.save(plots.bars({"a": 1.0}), tmp_path / "plot.nosuchformat")
    assert not list(tmp_path.iterdir())


def test_matplotlib_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if name == "matplotlib" else builtins.object()
    )
    with pytest.raises(MissingExtraError, match=r"emofuse\[plot\]"):
        plots.bars({"a": 1.0})


def test_counts_are_drawn_as_steps() -> None:
    (line,) = plots.lines({"accuracy": ([0.1, 0.5, 1], [1, 0.5, 0.4])}, steps=True).axes[0].lines
    assert line.get_drawstyle() == "steps-post"
