"""Ship emofuse-small: the trained run, its figures, its pictures and its model card in one folder.

    uv run python recipes/emofuse-small/card.py [--runs runs] [--end-to-end end_to_end.json] [--to FOLDER]

Every figure in the card comes from the reports that training wrote and from what `end_to_end.py` measured.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emofuse import plots
from emofuse.metrics import confusion_matrix, ece, reliability_curve
from emofuse.modalities import subset_name, subsets_of
from emofuse.tasks import EMOTIONS

STAGES = {
    "text": "emofuse-small-text",
    "dialogue": "emofuse-small-text-dialogue",
    "voice": "ravdess-small",
    "teacher": "emofuse-small-speech-teacher",
    "speech": "emofuse-small-speech",
    "first": "emofuse-small-face-first",
    "face": "emofuse-small-face",
}
"""The runs before the fusion, in order: the teacher of the voice starts from `voice`, the face from `first`."""
SUBSETS = tuple(map(subset_name, subsets_of()))
OF_SUBSET = {"text": ("goemotions", "meld"), "speech": ("ravdess", "emodb"), "face": ("ferplus",)}
"""The recordings that show a single modality; several modalities at once are only in composed samples."""
HEADLINES = (
    ("speech", "ravdess", "RAVDESS actors 17-20, 7 classes, calm as neutral", "uar", "UAR"),
    ("speech", "emodb", "EMO-DB speakers 13 and 14, without boredom", "uar", "UAR"),
    ("face", "ferplus", "FER+ Valid, majority of 7 classes", "accuracy", "accuracy"),
    ("text", "goemotions", "GoEmotions dev, folded to 7 classes, first label", "macro_f1", "macro F1"),
    ("text", "meld", "MELD dev, five earlier turns", "weighted_f1", "weighted F1"),
)
FEWEST = 10
"""Samples in a bin that the reliability diagram shows; the ECE counts all."""
TEMPLATE = Path(__file__).with_name("card.md")


def composed(subset: str) -> str:
    """The name that training gives to the dev set of a subset."""
    return "composed " + "+".join(sorted(subset.split("+")))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def headlines(metrics: Mapping[str, Any]) -> str:
    """Each modality alone, through the fused model, and its encoder's own head."""
    rows = []
    for modality, corpus, name, metric, title in HEADLINES:
        found = metrics[corpus]
        values = [f"{found[key][metric]:.3f}" for key in ("emotion", f"{modality}.emotion")]
        rows.append([modality, name, title, *values, str(found["emotion"]["n"])])
    polarity, intensity = metrics["meld"]["polarity"], metrics["mosi_features"]["intensity"]
    rows.append(["text", "MELD dev, polarity", "weighted F1", f"{polarity['weighted_f1']:.3f}", "", str(polarity["n"])])
    rows.append(
        [
            "text",
            "MOSI, raw words of held-out videos: intensity",
            "Pearson",
            f"{intensity['pearson']:.3f}",
            "",
            str(intensity["n"]),
        ]
    )
    return table(["modality", "development data", "measure", "fused output", "own head", "n"], rows)


def subsets(metrics: Mapping[str, Any]) -> str:
    """What is lost with each modality: composed samples, beside the best single part of the same samples."""
    rows = []
    for subset in SUBSETS:
        found = metrics[composed(subset)]
        best = max(v["macro_f1"] for k, v in found.items() if k.endswith(".emotion"))
        fused = found["emotion"]
        rows.append([subset.replace("+", " + "), f"{fused['macro_f1']:.3f}", f"{best:.3f}", f"{fused['uar']:.3f}"])
    return table(["present", "fused, macro F1", "best single part, macro F1", "fused, UAR"], rows)


def calibration(report: Mapping[str, Any]) -> str:
    """Expected calibration error before and after temperature scaling."""
    rows = []
    for subset in SUBSETS:
        found = report["calibration"][subset]["emotion"]
        before, after = found["before"], found["after"]
        rows.append(
            [
                subset.replace("+", " + "),
                f"{found['temperature']:.2f}",
                f"{before['ece']:.3f}",
                f"{after['ece']:.3f}",
                f"{found['chance']:.3f}",
                f"{before['nll']:.3f}",
                f"{after['nll']:.3f}",
                str(found["n"]),
            ]
        )
    return table(
        ["present", "temperature", "ECE before", "ECE after", "ECE by chance", "NLL before", "NLL after", "n"], rows
    )


def end_to_end_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """What `end_to_end.py` found."""
    body = [
        [r["files"], str(r["n"]), f"{r['accuracy']:.3f}", f"{r['uar']:.3f}", str(r["without a prediction"])]
        for r in rows
    ]
    return table(["files through `emofuse.load()`", "n", "accuracy", "UAR", "without a prediction"], body)


def draw(dev: Mapping[str, np.ndarray], report: Mapping[str, Any], folder: Path) -> None:
    """confusion.png and reliability.png."""
    pictures = []
    for _, corpus, name, _, _ in HEADLINES:
        truth, probs = _known(dev, [corpus])
        counts = confusion_matrix(truth.argmax(1), probs.argmax(1), len(EMOTIONS))
        pictures.append(plots.png(plots.confusion_matrix(counts, EMOTIONS, title=name)))
    _montage(pictures, folder / "confusion.png", columns=3)
    panels = []
    for title, sharpened in (("Before temperature scaling", True), ("After temperature scaling", False)):
        curves, eces = {}, {}
        for subset in SUBSETS:
            truth, probs = _known(dev, OF_SUBSET.get(subset, (composed(subset),)))
            if sharpened:
                powered = probs.astype(np.float64) ** report["calibration"][subset]["emotion"]["temperature"]
                probs = powered / powered.sum(1, keepdims=True)
            leading = np.eye(truth.shape[1])[truth.argmax(1)]
            curve = reliability_curve(leading, probs)
            enough = curve.count >= FEWEST
            curves[subset] = (curve.confidence[enough], curve.accuracy[enough], curve.count[enough])
            eces[subset] = ece(leading, probs)
        panels.append(plots.png(plots.reliability_diagram(curves, eces=eces, title=title)))
    _montage(panels, folder / "reliability.png", columns=2)


def _known(dev: Mapping[str, np.ndarray], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    truth = np.concatenate([dev[f"{n}/emotion/targets"] for n in names])
    probs = np.concatenate([dev[f"{n}/emotion/values"] for n in names])
    rows = ~np.isnan(truth).any(1)
    return truth[rows], probs[rows]


def _montage(pictures: Sequence[bytes], path: Path, columns: int) -> None:
    """Side by side, on white."""
    tiles = [cv2.imdecode(np.frombuffer(p, np.uint8), cv2.IMREAD_COLOR) for p in pictures]
    height, width = (max(t.shape[axis] for t in tiles) for axis in (0, 1))
    canvas = np.full((height * -(-len(tiles) // columns), width * min(columns, len(tiles)), 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * height, index % columns * width
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    cv2.imwrite(str(path), canvas)


def seconds(run: Path) -> float:
    """What all epochs of a run took together, before and after breaks."""
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as rows:
        return sum(float(row["seconds"]) for row in csv.DictReader(rows))


def stage(report: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of the run of an encoder."""
    kept = ("command", "note", "seed", "seconds", "best_epoch", "metric", "score", "metrics", "curves", "data")
    return {key: report[key] for key in kept if key in report}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--end-to-end", type=Path, default=Path("end_to_end.json"))
    parser.add_argument("--to", type=Path, default=Path("checkpoints/emofuse-small"))
    given = parser.parse_args()
    model = given.runs / "emofuse-small" / "model"
    report = json.loads((model / "report.json").read_text("utf-8"))
    stages = {s: given.runs / run / "model" for s, run in STAGES.items()}
    report["stages"] = {s: stage(json.loads((p / "report.json").read_text("utf-8"))) for s, p in stages.items()}
    shutil.copytree(model, given.to, dirs_exist_ok=True)
    for name, folder in stages.items():
        shutil.copy(folder / "curves.png", given.to / f"curves-{name}.png")
    with np.load(given.runs / "emofuse-small" / "dev.npz") as dev:
        draw(dev, report, given.to)
    runs = {s: p.parent for s, p in stages.items()} | {"fusion": model.parent}
    card = TEMPLATE.read_text("utf-8")
    filled = {
        "HEADLINES": headlines(report["metrics"]),
        "SUBSETS": subsets(report["metrics"]),
        "CALIBRATION": calibration(report),
        "END_TO_END": end_to_end_rows(json.loads(given.end_to_end.read_text("utf-8"))),
        "PARAMETERS": f"{report['parameters']['all']['all'] / 1e6:.1f}",
        "COMMAND": report["command"],
        "MEGABYTES": f"{sum(path.stat().st_size for path in model.iterdir() if path.is_file()) / 1e6:.0f}",
        **{f"MINUTES_{s.upper()}": f"{seconds(run) / 60:.0f}" for s, run in runs.items()},
    }
    for key, text in filled.items():
        card = card.replace("{" + key + "}", text)
    (given.to / "README.md").write_text(card, "utf-8")
    (given.to / "report.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
