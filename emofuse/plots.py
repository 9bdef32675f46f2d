"""Plots in one style, distinguishable by colour-blind readers and in greyscale."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emofuse.errors import require_package
from emofuse.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PAPER, FAINT = "#1a1a1a", "#ffffff", "#c8c8c8"
COLOURS = ("#004488", "#ddaa33", "#bb5566", "#181e04", "#5e90fa", "#715c09", "#9fd8e8")
"""The first three are Tol's high-contrast scheme; no two are closer than 7 in lightness (L*, 0 to 100)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MODALITY_COLOURS = {"text": COLOURS[0], "speech": COLOURS[1], "face": COLOURS[2]}
STYLE: dict[str, Any] = {
    "font.size": 9.0, "axes.titlesize": 10.0, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": INK, "axes.labelcolor": INK,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": FAINT, "grid.linewidth": 0.5, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "legend.frameon": False, "lines.linewidth": 1.6, "lines.markersize": 5.0,
    "figure.facecolor": PAPER, "savefig.facecolor": PAPER, "figure.dpi": 144, "svg.fonttype": "path",
    "svg.hashsalt": "emofuse", "image.cmap": "cividis",
}  # fmt: skip

Band = tuple[float, float, float]
"""An estimate with its lower and upper bound."""


@contextmanager
def style() -> Iterator[None]:
    """Within it, matplotlib draws in the house style; outside nothing has changed.

    Raises MissingExtraError when matplotlib is not installed.
    """
    require_package("matplotlib", "plot")
    import matplotlib as mpl

    with mpl.rc_context(STYLE):  # pyright: ignore[reportArgumentType]
        yield


def reliability_diagram(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[int]]],
    *,
    eces: Mapping[str, float] | None = None,
    title: str = "Reliability",
) -> Figure:
    """Confidence against share right, a line for each (confidence, accuracy, count); larger points count more."""
    with style():
        figure, axes = _canvas(4.2, 4.0)
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (2, 2)), label="calibrated")
        largest = max((max(count) for _, _, count in curves.values() if len(count)), default=1)
        for i, (name, (confidence, accuracy, count)) in enumerate(curves.items()):
            label = f"{name} (ECE {eces[name]:.3f})" if eces and name in eces else name
            axes.plot(confidence, accuracy, color=_colour(i), linestyle=_line(i), linewidth=1.2, clip_on=False)
            sizes = 10 + 90 * np.asarray(count, dtype=float) / largest
            axes.scatter(
                confidence,
                accuracy,
                s=sizes,
                color=_colour(i),
                marker=_marker(i),
                edgecolor=INK,
                linewidth=0.4,
                label=label,
                clip_on=False,
                zorder=3,
            )
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="confidence", ylabel="share right", title=title)
        axes.legend(loc="lower right", fontsize=8)
        return figure


def confusion_matrix(
    counts: Sequence[Sequence[int]] | np.ndarray, classes: Sequence[str], *, title: str = "Confusion"
) -> Figure:
    """Rows (truth) normalised to shares and shaded, each cell with its share and its count."""
    counts = np.asarray(counts)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    with style():
        side = 1.6 + 0.62 * len(classes)
        figure, axes = _canvas(side + 0.3, side)
        axes.grid(visible=False)
        axes.imshow(shares, cmap="Greys", vmin=0, vmax=1.15)
        for truth, guess in np.ndindex(*counts.shape):
            if counts[truth, guess]:
                ink = PAPER if shares[truth, guess] > 0.66 else INK
                text = f"{100 * shares[truth, guess]:.0f}%\n{counts[truth, guess]}"
                axes.text(guess, truth, text, ha="center", va="center", color=ink, fontsize=7.5)
        for k in range(len(classes)):
            frame = {"fill": False, "edgecolor": COLOURS[0], "linewidth": 1.2}
            axes.add_patch(_rectangle((k - 0.5, k - 0.5), 1, 1, **frame))
        axes.set_xticks(range(len(classes)), classes, rotation=35, ha="right")
        axes.set_yticks(range(len(classes)), [f"{c} ({int(n)})" for c, n in zip(classes, rows[:, 0], strict=True)])
        axes.set(xlabel="predicted", ylabel="true", title=title)
        return figure


def training_curves(
    history: Mapping[str, Sequence[float]],
    *,
    steps: Mapping[str, Sequence[float]] | None = None,
    best: float | None = None,
    xlabel: str = "epoch",
    title: str = "Training",
) -> Figure:
    """One line a series over `steps` (else 1, 2, …), losses above the rest; `best` marks the chosen epoch."""
    losses = {n: v for n, v in history.items() if "loss" in n}
    scores = {n: v for n, v in history.items() if n not in losses}
    panels = [(panel, name) for panel, name in ((losses, "loss"), (scores, "score")) if panel]
    with style():
        figure = _figure(6.0, 2.6 * max(len(panels), 1))
        for row, (panel, ylabel) in enumerate(panels):
            axes = figure.add_subplot(len(panels), 1, row + 1)
            for i, (name, values) in enumerate(panel.items()):
                x = steps[name] if steps and name in steps else np.arange(1, len(values) + 1)
                every = max(1, len(values) // 12)
                axes.plot(
                    x, values, color=_colour(i), linestyle=_line(i), marker=_marker(i), markevery=every, label=name
                )
            if best is not None:
                axes.axvline(best, color=INK, linewidth=1, linestyle=(0, (2, 2)))
                axes.annotate(" chosen", (best, 1), xycoords=("data", "axes fraction"), va="top", fontsize=8)
            axes.set(ylabel=ylabel, title=title if row == 0 else "")
            axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
            axes.locator_params(axis="x", integer=True)
            if row == len(panels) - 1:
                axes.set_xlabel(xlabel)
        return figure


def bars(
    values: Mapping[str, Band | float], *, xlabel: str = "", title: str = "", limits: tuple[float, float] | None = None
) -> Figure:
    """One horizontal bar a name with its interval, the number written beside it; NaN says "undefined"."""
    with style():
        figure, axes = _canvas(6.0, 0.9 + 0.32 * max(len(values), 1))
        for i, value in enumerate(values.values()):
            estimate, low, high = value if isinstance(value, tuple) else (value, np.nan, np.nan)
            if np.isnan(estimate):
                axes.text(0, i, " undefined", va="center", fontsize=8)
                continue
            axes.barh(i, estimate, color=COLOURS[0], height=0.62)
            known = not (np.isnan(low) or np.isnan(high))
            if known:
                axes.plot([low, high], [i, i], color=COLOURS[1], linewidth=3, solid_capstyle="butt")
                axes.plot([low, high], [i, i], color=INK, linewidth=0, marker="|", markersize=9)
            end = max(estimate, high) if known else max(estimate, 0.0)
            axes.annotate(
                f" {estimate:.3f}", (end, i), xytext=(2, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.set_yticks(range(len(values)), list(values))
        axes.set_ylim(len(values) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set(xlabel=xlabel, title=title)
        if limits:
            axes.set_xlim(*limits)
        else:
            axes.margins(x=0.15)
        return figure


def subset_table(
    values: Mapping[Any, Mapping[str, float]],
    modalities: Sequence[str],
    *,
    lower_is_better: frozenset[str] = frozenset({"ece", "brier", "nll", "mae"}),
    title: str = "What each subset of modalities gives",
) -> Figure:
    """Rows are sets of modalities, as filled dots; columns are metrics, shaded by rank, the best one framed."""
    metrics = list(dict.fromkeys(name for row in values.values() for name in row))
    with style():
        figure, axes = _canvas(1.2 + 0.75 * len(modalities) + 0.95 * len(metrics), 0.9 + 0.34 * max(len(values), 1))
        axes.set_axis_off()
        start = len(modalities)
        for row, subset in enumerate(values):
            for column, modality in enumerate(modalities):
                there = modality in subset
                axes.plot(
                    column, row, "o", ms=9, mfc=COLOURS[0] if there else PAPER, mec=COLOURS[0] if there else FAINT
                )
        for column, name in enumerate(metrics):
            known = {s: v[name] for s, v in values.items() if name in v and not np.isnan(v[name])}
            signed = {s: -v if name in lower_is_better else v for s, v in known.items()}
            for row, subset in enumerate(values):
                rank = _rank(signed, subset)
                shade = 0.06 + 0.44 * rank if subset in known else 0.0
                best = bool(known) and signed.get(subset) == max(signed.values())
                x = start + column * 1.25 + 0.1
                axes.add_patch(
                    _rectangle(
                        (x - 0.55, row - 0.44),
                        1.15,
                        0.88,
                        facecolor=str(1 - shade),
                        edgecolor=INK if best else PAPER,
                        linewidth=1.2,
                    )
                )
                axes.text(
                    x, row, f"{known[subset]:.3f}" if subset in known else "–", ha="center", va="center", fontsize=8.5
                )
            axes.text(start + column * 1.25 + 0.1, -0.85, name, ha="center", va="center", fontsize=8.5, weight="bold")
        for column, modality in enumerate(modalities):
            axes.text(column, -0.85, modality, ha="center", va="center", fontsize=8.5, weight="bold")
        axes.set(xlim=(-0.6, start + 1.25 * len(metrics) - 0.4), ylim=(len(values) - 0.4, -1.3), title=title)
        return figure


def severity_curves(
    curves: Mapping[str, Sequence[tuple[float, Band | float]]],
    *,
    level: tuple[str, float] | None = None,
    xlabel: str = "severity",
    ylabel: str = "",
    ticks: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """A metric against severity, one line a condition with its interval shaded; `level` is a named dotted line."""
    with style():
        figure, axes = _canvas(4.6, 3.0)
        if level is not None and not np.isnan(level[1]):
            axes.axhline(level[1], color=INK, linewidth=1, linestyle=(0, (2, 2)), label=level[0])
        for i, (name, points) in enumerate(curves.items()):
            x = [severity for severity, _ in points]
            rows = np.array(
                [v if isinstance(v, tuple) else (v, np.nan, np.nan) for _, v in points], dtype=float
            ).reshape(-1, 3)
            axes.plot(x, rows[:, 0], color=_colour(i), linestyle=_line(i), marker=_marker(i), label=name)
            axes.fill_between(x, rows[:, 1], rows[:, 2], color=_colour(i), alpha=0.15, linewidth=0)
        if ticks is not None:
            axes.set_xticks(range(len(ticks)), ticks)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        if curves:
            axes.legend(fontsize=8)
        return figure


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    chance: tuple[Sequence[float], Sequence[float]] | None = None,
    limits: tuple[float, float] | None = None,
    steps: bool = False,
) -> Figure:
    """One line a name over x from 0 to 1, told apart by colour, dash and sparse markers; `chance` dotted.

    With `steps` a value holds until the next one, as what is counted does.
    """
    with style():
        figure, axes = _canvas(4.6 + 1.4 * (len(curves) > 1), 3.6)
        if chance is not None:
            axes.plot(*chance, color=INK, linewidth=1, linestyle=(0, (2, 2)), label="chance")
        for i, (name, (x, y)) in enumerate(curves.items()):
            every = max(1, len(x) // 6)
            looks: Any = {"color": _colour(i), "linestyle": _line(i), "marker": _marker(i), "markevery": (i, every)}
            axes.plot(x, y, label=name, drawstyle="steps-post" if steps else "default", **looks)
        axes.set(xlim=(0, 1), ylim=limits or (0, 1.02), xlabel=xlabel, ylabel=ylabel, title=title)
        if len(curves) > 1:
            axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    with style(), io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", bbox_inches="tight", metadata={"Software": None})
        return buffer.getvalue()


def svg(figure: Figure) -> str:
    """The figure as an <svg> element to stand in a page; the same figure gives the same text."""
    with style(), io.StringIO() as buffer:
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
        text = buffer.getvalue()
    return text[text.index("<svg") :]


def save(figure: Figure, path: str | Path) -> Path:
    """Write the figure in the format of the name's ending; the file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, style():
        figure.savefig(temporary, bbox_inches="tight")
    return path


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = _figure(width, height)
    return figure, figure.add_subplot()


def _rectangle(corner: tuple[float, float], width: float, height: float, **looks: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, width, height, **looks)


def _rank(values: Mapping[Any, float], subset: Any) -> float:
    """0 for the worst, 1 for the best."""
    if subset not in values or len(values) < 2:
        return 0.0
    return sum(v < values[subset] for v in values.values()) / (len(values) - 1)


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _marker(i: int) -> str:
    return MARKERS[i % len(MARKERS)]


def _line(i: int) -> Any:
    return LINES[i % len(LINES)]
