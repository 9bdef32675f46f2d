"""The run log, metrics.csv, curves, TensorBoard, and the report inside the checkpoint."""

from __future__ import annotations

import csv
import importlib.metadata
import importlib.util
import math
import platform
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from transformers import TrainerCallback

from emofuse.calibration.refit import Calibration
from emofuse.corpora.corpus import split_hash
from emofuse.data.examples import labels_hash
from emofuse.files import replacing
from emofuse.training.dataset.sources import SourceExamples
from emofuse.training.recipe.schema import Recipe
from emofuse.training.validate import sign

LIBRARIES = ("emofuse", "torch", "transformers", "accelerate", "timm", "numpy", "librosa", "opencv-python-headless")


class RunLog:
    """Lines to the terminal and to `log.txt`; `metrics.csv` holds one row an epoch."""

    def __init__(self, folder: Path, resume: bool, active: bool = True) -> None:
        """`active` False, as in all processes of several but the first: nothing is written or shown."""
        self.folder = folder
        self.resume = resume
        self.active = active
        self._file: TextIO | None = None

    def __enter__(self) -> RunLog:
        if not self.active:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = (self.folder / "log.txt").open("a" if self.resume else "w", encoding="utf-8")
        if not self.resume:
            (self.folder / "metrics.csv").unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def say(self, line: str) -> None:
        """One line, at once."""
        if not self.active:
            return
        sys.stderr.write(line + "\n")
        if self._file:
            self._file.write(f"{time.strftime('%H:%M:%S')} {line}\n")
            self._file.flush()

    def row(self, values: Mapping[str, Any]) -> None:
        """Append to metrics.csv."""
        path = self.folder / "metrics.csv"
        new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(values))
            if new:
                writer.writeheader()
            writer.writerow(values)

    def writers(self, recipe: Recipe) -> list[TrainerCallback]:
        """TensorBoard where it is installed and wanted."""
        if not self.active or not recipe.output.tensorboard or importlib.util.find_spec("tensorboard") is None:
            return []
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations.integration_utils import TensorBoardCallback

        return [TensorBoardCallback(SummaryWriter(log_dir=str(self.folder / "tensorboard")))]


class Progress(TrainerCallback):
    """One line an epoch: losses, dev scores, seconds, time left; a counter between in a terminal."""

    def __init__(self, log: RunLog, recipe: Recipe) -> None:
        self.log = log
        self.recipe = recipe
        self.trainer: Any = None
        self.begun = self.ticked = time.time()
        self.best = float("-inf")

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Of a run that is resumed, the best score so far."""
        self.best = max((h["eval_score"] for h in state.log_history if "eval_score" in h), default=float("-inf"))

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self.begun = time.time()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A counter on one line of the terminal, twice a second at most."""
        now = time.time()
        if sys.stderr.isatty() and state.is_world_process_zero and now - self.ticked > 0.5:
            self.ticked = now
            steps = max(1, round(state.max_steps / max(1, state.num_train_epochs)))
            done = (state.global_step - 1) % steps + 1
            left = (now - self.begun) / done * (state.max_steps - state.global_step)
            sys.stderr.write(f"\r  step {done}/{steps}, {_clock(left)} left \033[K\r")

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **kwargs: Any) -> None:
        """The epoch's line, and its row in metrics.csv."""
        if not state.is_world_process_zero:
            return
        losses = self.trainer.mean_parts()
        seconds = time.time() - self.begun
        epoch = round(state.epoch)
        star = " *" if metrics["eval_score"] > self.best else ""
        self.best = max(self.best, metrics["eval_score"])
        left = seconds * (state.num_train_epochs - epoch)
        shown = " ".join(f"{k.removeprefix('eval_')} {v:.3f}" for k, v in metrics.items() if self._chosen(k))
        self.log.say(
            f"epoch {epoch}/{state.num_train_epochs}: loss {losses.get('loss', float('nan')):.4f}, "
            f"score {abs(metrics['eval_score']):.4f}{star} ({shown}), {seconds:.0f} s, {_clock(left)} left"
        )
        row = {"epoch": epoch, "step": state.global_step, "seconds": round(seconds, 1), "loss": losses.get("loss", "")}
        if self.recipe.output.csv:
            self.log.row(row | dict(metrics))

    def _chosen(self, key: str) -> bool:
        """The recipe's metric on each set."""
        return key.endswith("/" + self.recipe.train.metric)


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min"
        if minutes
        else f"{seconds:.0f} s"
    )


def build_report(
    recipe: Recipe,
    *,
    seed: int,
    command: str,
    limit: int | None,
    data: Sequence[SourceExamples],
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]],
    calibration: Mapping[str, Mapping[str, Calibration]],
    history: Sequence[Mapping[str, Any]],
    seconds: float,
    parameters: Mapping[str, tuple[int, int]],
) -> dict[str, Any]:
    """All that is needed to assess and repeat the run, as plain values without any path of this machine."""
    curves = curves_of(history)
    toward = sign(recipe.train.metric)
    best = max(range(len(curves["score"])), key=lambda i: curves["score"][i])
    report = {
        "name": recipe.name,
        "command": portable(command),
        "seed": seed,
        "limit": limit,
        "metric": recipe.train.metric,
        "score": toward * curves["score"][best],
        "sign": toward,
        "best_epoch": curves["epoch"][best],
        "metrics": metrics,
        "temperatures": {s: {t: c.temperature for t, c in each.items()} for s, each in calibration.items()},
        "calibration": {s: {t: asdict(c) for t, c in each.items()} for s, each in calibration.items()},
        "data": [_data(g) for g in data],
        "parameters": {k: {"trainable": a, "all": b} for k, (a, b) in parameters.items()},
        "curves": curves,
        "seconds": round(seconds, 1),
        "versions": {"python": platform.python_version()} | versions(),
    }
    return finite(report)


def stage_report(name: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """What the last stage's report keeps of each stage."""
    kept = ("metric", "score", "best_epoch", "metrics", "parameters", "seconds", "start")
    return {"name": name} | {key: report[key] for key in kept if key in report}


def portable(command: str) -> str:
    """The command with absolute paths made relative to the working directory, or cut to their last part outside it.

    A report travels with its checkpoint: how the folders of someone's machine are called is nobody's business.
    """
    words = []
    for word in shlex.split(command):
        name, equals, value = word.rpartition("=") if "=" in word else ("", "", word)
        path = Path(value)
        if path.is_absolute():
            inside = path.is_relative_to(Path.cwd())
            value = path.relative_to(Path.cwd()).as_posix() if inside else path.name
        words.append(name + equals + value)
    return shlex.join(words)


def finite(value: Any) -> Any:
    """The same values with NaN and infinity as null, since JSON has no such numbers."""
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _data(g: SourceExamples) -> dict[str, Any]:
    return {
        "corpus": g.source.corpus,
        "options": g.source.options,
        "train": len(g.train),
        "dev": len(g.dev),
        "unlabelled": g.unlabelled,
        "duplicates": g.duplicates,
        "problems": [f"{p.kind}: {p.what}" for p in g.reading.problems],
        "notes": [note.replace(str(g.reading.root), g.source.corpus) for note in g.reading.notes],
        "split": split_hash(u for s in ("train", "dev") for u in g.reading.split(s)),
        "labels": {s: labels_hash(each) for s, each in (("train", g.train), ("dev", g.dev))},
    }


def versions() -> dict[str, str]:
    """Library → version, of those that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def curves_of(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Trainer's log as columns, one entry an epoch: epoch, score, loss, and every dev metric."""
    scores = [h for h in history if "eval_score" in h]
    losses = {round(h["epoch"]): h["loss"] for h in history if "loss" in h}
    curves: dict[str, list[float]] = {
        "epoch": [round(h["epoch"]) for h in scores],
        "loss": [losses.get(round(h["epoch"]), float("nan")) for h in scores],
        "score": [h["eval_score"] for h in scores],
    }
    for key in scores[0] if scores else ():
        if key.startswith("eval_") and "/" in key:
            curves[key.removeprefix("eval_")] = [h.get(key, float("nan")) for h in scores]
    return curves


def plot_curves(curves: Mapping[str, Sequence[float]], path: Path) -> bool:
    """Loss and dev score by epoch as a PNG; False where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(curves["epoch"], curves["loss"])
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(curves["epoch"], curves["score"])
    right.set(xlabel="epoch", ylabel="dev score")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    return True
