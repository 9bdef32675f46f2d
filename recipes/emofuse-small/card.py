"""Ship emofuse-small: the trained folder, its figures by corpus, its pictures and its model card.

    uv run python recipes/emofuse-small/card.py ROOT [--model runs/emofuse-small/model] [--end-to-end end_to_end.json]
        [--audit audit.json] [--voices voices.json] [--to checkpoints/emofuse-small] [--limit N] [--before report.json]

Every figure of the card is measured here on development parts under ROOT, or was by `end_to_end.py`, `audit.py` and
`voices.py`;
`--before` is the report that an earlier generation was shipped with.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import re
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

import emofuse
from emofuse import plots
from emofuse.batch import collate
from emofuse.evaluation.evaluate import Evaluation, evaluate_checkpoint
from emofuse.evaluation.predict import GIVEN
from emofuse.metrics import confusion_matrix
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.pipeline.drift import Reference, Row, table_rows
from emofuse.tasks import EMOTIONS, leading
from emofuse.types import SAMPLE_RATE, Segment, Word

HERE = Path(__file__).parent
TEMPLATE = HERE / "card.md"
CHALLENGE = HERE.parents[1] / "tests" / "evaluation" / "challenge.tsv"
RESAMPLES = 200
REPEATS = 9
"""Runs that a time is the median of."""
COLOURS = 64
"""Of a picture of the card: a fifth of the bytes."""
WATCHED = 500
"""Predictions of a part that go into the reference of drift."""


@dataclass(frozen=True)
class Part:
    """A development part that a modality is measured on, and by which measures."""

    corpus: str
    modality: Modality
    what: str
    measures: tuple[tuple[str, str], ...]
    """(task, metric)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: str | None = None
    """Below the root; None = as the corpus is called."""


def emotion(corpus: str, modality: Modality, what: str, metric: str, **options: Any) -> Part:
    """A part measured by the emotion alone."""
    return Part(corpus, modality, what, (("emotion", metric),), options)


PARTS = (
    emotion("ravdess", "speech", "RAVDESS actors 17-20, calm as neutral", "uar"),
    emotion("emodb", "speech", "EMO-DB speakers 13 and 14, without boredom", "uar"),
    emotion("nemo", "speech", "nEMO, two speakers", "uar"),
    emotion("ased", "speech", "ASED, every sixth speaker", "uar"),
    Part(
        "emotale",
        "speech",
        "EmoTale, two speakers",
        (("emotion", "uar"), ("valence", "ccc"), ("arousal", "ccc")),
    ),
    Part("ferplus", "face", "FER+ Valid, majority of 7 classes", (("emotion", "accuracy"), ("emotion", "uar"))),
    emotion("facial_expressions", "face", "facial_expressions, a quarter of the people", "uar"),
    emotion("goemotions", "text", "GoEmotions dev, folded to 7 classes, where one leads", "macro_f1"),
    Part("meld", "text", "MELD dev, five earlier turns", (("emotion", "weighted_f1"), ("polarity", "weighted_f1"))),
    emotion("brighter", "text", "BRIGHTER English", "macro_f1", languages=["eng"]),
    emotion("brighter", "text", "BRIGHTER Chinese", "macro_f1", languages=["chn"]),
    emotion("brighter", "text", "BRIGHTER German", "macro_f1", languages=["deu"]),
    emotion("smp2020", "text", "Weibo, a quarter of one labelled part", "accuracy", share=0.75),
    Part("emobank", "text", "EmoBank dev", (("valence", "pearson"), ("arousal", "pearson"))),
    Part(
        "mosi_features",
        "text",
        "MOSI, raw words of held-out videos",
        (("intensity", "pearson"),),
        {"features": False},
        "mosi",
    ),
)


def measure(model: EmotionModel, part: Part, root: Path, limit: int | None) -> Evaluation:
    """The evaluation of one part."""
    return evaluate_checkpoint(
        model,
        part.corpus,
        root / (part.folder or part.corpus),
        "dev",
        limit=limit,
        options=part.options,
        resamples=RESAMPLES,
    )


def figures(part: Part, found: Evaluation) -> dict[str, Any]:
    """What is kept of a part's evaluation: its measures with intervals, and the emotion's calibration and confusion."""
    kept: dict[str, Any] = {"corpus": part.corpus, "modality": part.modality, "what": part.what, "measures": {}}
    for task, metric in part.measures:
        evaluated = found.tasks[task]
        interval = evaluated.intervals.get(metric)
        kept["measures"][f"{task}.{metric}"] = {
            "value": evaluated.report[metric] if interval is None else interval.estimate,
            "low": None if interval is None else interval.low,
            "high": None if interval is None else interval.high,
            "n": evaluated.report["n"],
        }
    if ("emotion", part.measures[0][1]) in part.measures:
        evaluated = found.tasks["emotion"]
        kept["calibration"] = {
            when: {k: v for k, v in evaluated.calibration[GIVEN][when].items() if k != "curve"}
            for when in ("before", "after")
        }
        kept["curve"] = evaluated.calibration[GIVEN]["after"]["curve"]
    return kept


def challenge(model: EmotionModel) -> dict[str, dict[str, float]]:
    """Language and kind of sentence → accuracy and number, on hand-written sentences that nothing was trained on."""
    pipeline = emofuse.Pipeline(model)
    right: dict[str, list[bool]] = defaultdict(list)
    with CHALLENGE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            overall = pipeline(text=row["text"]).overall
            hit = overall is not None and overall.top is not None and overall.top[0] == row["emotion"]
            for key in (row["language"], f"{row['language']} {row['kind']}"):
                right[key].append(hit)
    return {key: {"accuracy": float(np.mean(hits)), "n": len(hits)} for key, hits in sorted(right.items())}


def timed() -> dict[str, Segment]:
    """What the answer is timed for: an utterance of ordinary length, ten seconds of a voice."""
    said = ["I", "never", "thought", "that", "we", "would", "see", "this", "again"]
    words = tuple(Word(word, i / 3, (i + 1) / 3) for i, word in enumerate(said))
    rng = np.random.default_rng(0)
    voice = rng.normal(0, 0.1, 10 * SAMPLE_RATE).astype(np.float32)
    return {
        "nine words": Segment("words", 0.0, 3.0, words=words),
        "ten seconds of a voice": Segment("voice", 0.0, 10.0, waveform=voice),
    }


def milliseconds(model: EmotionModel) -> dict[str, float]:
    """From arrays to calibrated answers, one at a time on one thread."""
    threads, found = torch.get_num_threads(), {}
    torch.set_num_threads(1)
    try:
        for name, segment in timed().items():
            spent = []
            for _ in range(REPEATS + 1):
                began = time.perf_counter()
                model.predict(collate([model.prepare(segment)]))
                spent.append(time.perf_counter() - began)
            found[name] = 1000 * float(np.median(spent[1:]))
    finally:
        torch.set_num_threads(threads)
    return found


def speed(spent: Mapping[str, float]) -> str:
    """What was timed, in milliseconds."""
    return table(["input", "ms"], [[name, f"{value:.0f}"] for name, value in spent.items()])


def changes(kept: Sequence[Mapping[str, Any]], before: Mapping[str, Any] | None) -> str:
    """Each measure that an earlier report has too, then and now."""
    if before is None:
        return "No report of an earlier generation was given."
    former = {(p["what"], name): v["value"] for p in before["parts"] for name, v in p["measures"].items()}
    rows = [
        [part["what"], name, f"{old:.3f}", f"{found['value']:.3f}", f"{found['value'] - old:+.3f}"]
        for part in kept
        for name, found in part["measures"].items()
        if (old := former.get((part["what"], name))) is not None
    ]
    return table(["development data", "measure", "before", "now", "change"], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def quality(kept: Sequence[Mapping[str, Any]]) -> str:
    """Each part with its measures."""
    rows = []
    for part in kept:
        for name, found in part["measures"].items():
            span = "" if found["low"] is None else f"[{found['low']:.3f}, {found['high']:.3f}]"
            rows.append([part["modality"], part["what"], name, f"{found['value']:.3f}", span, str(found["n"])])
    return table(["modality", "development data", "measure", "value", "95 % interval", "n"], rows)


def calibration(kept: Sequence[Mapping[str, Any]]) -> str:
    """Expected calibration error of the emotion by corpus, as the checkpoint answers."""
    rows = [
        [p["what"], f"{p['calibration']['after']['ece']:.3f}", f"{p['calibration']['after']['ece_by_chance']:.3f}"]
        for p in kept
        if "calibration" in p
    ]
    return table(["development data", "ECE", "ECE by chance"], rows)


def sentences(found: Mapping[str, Mapping[str, float]]) -> str:
    """The challenge set by language and kind."""
    return table(
        ["sentences", "accuracy", "n"], [[k, f"{v['accuracy']:.2f}", str(int(v["n"]))] for k, v in found.items()]
    )


def end_to_end_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """What `end_to_end.py` found."""
    body = [
        [r["files"], str(r["n"]), f"{r['accuracy']:.3f}", f"{r['uar']:.3f}", str(r["without a prediction"])]
        for r in rows
    ]
    return table(["files through `emofuse.load()`", "n", "accuracy", "UAR", "without a prediction"], body)


def short(part: Mapping[str, Any]) -> str:
    """What a legend calls a part."""
    return str(part["what"]).partition(" dev")[0].partition(",")[0]


def draw(kept: Sequence[Mapping[str, Any]], found: Sequence[Evaluation], folder: Path) -> None:
    """confusion.png and reliability.png."""
    pictures = []
    for part, evaluated in zip(kept, found, strict=True):
        if "calibration" not in part:
            continue
        rows = evaluated.predictions.rows(GIVEN, "emotion")
        truth = leading(evaluated.predictions.targets["emotion"][rows])
        guess = evaluated.predictions.values[GIVEN]["emotion"][rows].argmax(1)
        counts = confusion_matrix(truth[truth >= 0], guess[truth >= 0], len(EMOTIONS))
        pictures.append(plots.png(plots.confusion_matrix(counts, EMOTIONS, title=part["what"])))
    _montage(pictures, folder / "confusion.png", columns=3)
    for modality in dict.fromkeys(part["modality"] for part in kept):
        own = [part for part in kept if part["modality"] == modality and "curve" in part]
        curves = {short(p): tuple(p["curve"][k] for k in ("confidence", "accuracy", "count")) for p in own}
        eces = {short(p): p["calibration"]["after"]["ece"] for p in own}
        (folder / f"reliability-{modality}.png").write_bytes(
            plots.png(plots.reliability_diagram(curves, eces=eces, title=f"Reliability, {modality}"))
        )
    for picture in folder.glob("*.png"):
        few = Image.open(picture).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(picture, optimize=True)


def watched(model: EmotionModel, found: Sequence[Evaluation]) -> Iterator[Row]:
    """Predictions that drift is measured against: of every part so many, or a long one would outweigh the rest."""
    for evaluated in found:
        yield from islice(table_rows(evaluated.predictions, model.tasks), WATCHED)


def _montage(pictures: Sequence[bytes], path: Path, columns: int) -> None:
    """Side by side, on white."""
    tiles = [cv2.imdecode(np.frombuffer(p, np.uint8), cv2.IMREAD_COLOR) for p in pictures]
    height, width = (max(t.shape[axis] for t in tiles) for axis in (0, 1))
    canvas = np.full((height * -(-len(tiles) // columns), width * min(columns, len(tiles)), 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * height, index % columns * width
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    cv2.imwrite(str(path), canvas)


def filled(template: str, texts: Mapping[str, str]) -> str:
    """The template with every `{NAME}` replaced; raises ValueError where one has no text, or a text no place."""
    wanted = set(re.findall(r"\{([A-Z_]+)\}", template))
    if wanted != set(texts):
        raise ValueError(f"the card names {sorted(wanted)}, and there are texts of {sorted(texts)}")
    return re.sub(r"\{([A-Z_]+)\}", lambda found: texts[found[1]], template)


def beside(name: str) -> ModuleType:
    """A script beside this one."""
    sys.path.insert(0, str(HERE))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(HERE))


def main() -> None:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the folder of the corpora")
    parser.add_argument("--model", type=Path, default=Path("runs/emofuse-small/model"))
    parser.add_argument("--end-to-end", type=Path, default=Path("end_to_end.json"))
    parser.add_argument("--audit", type=Path, default=Path("audit.json"), help="what audit.py found")
    parser.add_argument("--voices", type=Path, default=Path("voices.json"), help="what voices.py found")
    parser.add_argument("--to", type=Path, default=Path("checkpoints/emofuse-small"))
    parser.add_argument("--before", type=Path, help="report.json of an earlier generation")
    parser.add_argument("--limit", type=int, help="at most so many utterances a part")
    given = parser.parse_args()
    model = EmotionModel.from_pretrained(given.model, lean=True)
    found = [measure(model, part, given.root, given.limit) for part in PARTS]
    kept = [figures(part, evaluated) for part, evaluated in zip(PARTS, found, strict=True)]
    hand_written, spent = challenge(model), milliseconds(model)
    before = None if given.before is None else json.loads(given.before.read_text("utf-8"))
    shutil.copytree(given.model, given.to, dirs_exist_ok=True)
    draw(kept, found, given.to)
    Reference.of(watched(model, found)).save(given.to)
    texts = {
        "QUALITY": quality(kept),
        "CALIBRATION": calibration(kept),
        "CHALLENGE": sentences(hand_written),
        "END_TO_END": end_to_end_rows(json.loads(given.end_to_end.read_text("utf-8"))),
        "AUDIT": beside("audit").section(json.loads(given.audit.read_text("utf-8"))),
        "VOICES": beside("voices").section(json.loads(given.voices.read_text("utf-8"))),
        "PARAMETERS": f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}",
        "MEGABYTES": f"{sum(path.stat().st_size for path in given.model.iterdir() if path.is_file()) / 1e6:.0f}",
        "SPEED": speed(spent),
        "REPEATS": str(REPEATS),
        "CHANGES": changes(kept, before),
    }
    (given.to / "README.md").write_text(filled(TEMPLATE.read_text("utf-8"), texts), "utf-8")
    report = {"emofuse": emofuse.__version__, "parts": kept, "challenge": hand_written, "milliseconds": spent}
    (given.to / "report.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
