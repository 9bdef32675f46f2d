"""Measure emofuse-small's voice on a corpus that its heads have not met, and in the band of a telephone.

    uv run python recipes/emofuse-small/voices.py ROOT [--model emofuse-small] [--out voices.json] [--card README.md]
        [--limit 300]

ROOT holds the corpora of `speech.yaml`, of which at most `--limit` utterances a split are read, stratified by class.

Left out: the emotion's head is fitted without one corpus, as `speech_heads.py` fits it, familiarity, temperature and
prediction sets as the last stage fits them, and all are measured on that corpus's development speakers, beside the same
fit with it. The encoder stays as it is, and has heard the training speakers of every corpus: a voice that it has never
met fares worse than this. Telephone: the same speakers as they were recorded and in the band up to `BAND`, as the model
answers; `emofuse evaluate … --stress --only telephone` has narrower bands. `--card` lays the section into a card.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from audit import laid
from speech_heads import EPSILON, fit_classes, lay_in, pooled

from emofuse.calibration.familiarity import REFERENCE, fit_familiarity
from emofuse.calibration.parts import Parts
from emofuse.calibration.pools import calibrate_pools
from emofuse.calibration.temperature import softmax
from emofuse.data.examples import Example
from emofuse.evaluation.perturb.catalogue import catalogue
from emofuse.files import write_file
from emofuse.metrics import bootstrap, compare_paired, ece
from emofuse.metrics.task import scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.model.model import EmotionModel
from emofuse.tasks import TASKS
from emofuse.training.dataset.sources import SourceExamples, read_source
from emofuse.training.recipe.read import load_recipe

HEADING = "### Voices left out, and the telephone"
EMOTION = TASKS["emotion"]
UAR = scores_of(EMOTION)["uar"]
BAND = 3400
"""The highest frequency of a telephone, Hz."""
COVERAGE = 0.9
RESAMPLES = 500
WHAT = {
    "ravdess": "RAVDESS actors 17-20 (English)",
    "emodb": "EMO-DB speakers 13 and 14 (German)",
    "nemo": "nEMO, two speakers (Polish)",
    "ased": "ASED, every sixth speaker (Amharic)",
    "emotale": "EmoTale, two speakers (Danish, English)",
}


@dataclass(frozen=True, eq=False)
class Voices:
    """What the encoder makes of a corpus; `dev` and `narrow`, the same on the telephone, only where it has them."""

    name: str
    train: Parts
    weights: np.ndarray
    """How often an epoch sees each training utterance."""
    dev: Parts | None = None
    narrow: Parts | None = None


def read_voices(model: EmotionModel, source: SourceExamples) -> Voices:
    """Every utterance of a source through the encoder."""
    name, band = source.source.corpus, catalogue()["telephone"].at(BAND)
    dev = narrow = None
    if source.dev:
        dev = heard(model, name, source.dev)
        narrow = heard(model, name, [replace(e, source=band(e.load())) for e in source.dev])
    return Voices(name, heard(model, name, source.train), source.times(), dev, narrow)


def heard(model: EmotionModel, name: str, examples: Sequence[Example]) -> Parts:
    """The states of the examples, in their order, with what the heads make of them."""
    targets = {t.name: np.stack([np.asarray(e.targets[t.name], np.float64) for e in examples]) for t in model.tasks}
    states = pooled(model, examples).float().cpu().numpy()
    return said(model, parts_of(model, name, states, targets, [e.cluster for e in examples]))


def parts_of(
    model: EmotionModel, name: str, states: np.ndarray, targets: Mapping[str, np.ndarray], speakers: Sequence[str]
) -> Parts:
    """Parts with a voice alone, of which nothing is said yet."""
    nothing = {m: {t.name: np.full((len(states), t.width), np.nan) for t in model.tasks} for m in model.modalities}
    absent = {m: np.full((len(states), 1), np.nan, np.float32) for m in model.modalities}
    return Parts(name, nothing, absent | {"speech": states}, dict(targets), speakers)


@torch.no_grad()
def said(model: EmotionModel, parts: Parts) -> Parts:
    """The parts with what the voice's heads, as they are now, say of their states."""
    heads: Any = model.modality_heads["speech"]
    states = torch.from_numpy(parts.states["speech"])
    logits = {name: head(states).numpy().astype(np.float64) for name, head in heads.tasks.items()}
    return replace(parts, logits={**parts.logits, "speech": logits})


def fit(model: EmotionModel, voices: Sequence[Voices]) -> None:
    """Lay a head of the emotion, familiarity, temperature and prediction sets of these corpora into the model."""
    states = torch.from_numpy(np.concatenate([v.train.states["speech"] for v in voices]))
    targets = torch.from_numpy(np.concatenate([v.train.targets["emotion"] for v in voices])).float()
    weights = torch.from_numpy(np.concatenate([v.weights for v in voices])).float()
    known = ~targets.isnan().any(-1)
    mean, deviation = states.mean(0), states.std(0) + EPSILON
    fitted = fit_classes(((states - mean) / deviation)[known], targets[known], weights[known])
    lay_in(model, "emotion", *fitted, mean, deviation)
    share = REFERENCE // len(voices)
    train = [said(model, sampled(v.train, share)) for v in voices]
    dev = [said(model, v.dev) for v in voices if v.dev is not None]
    fit_familiarity(model, train, dev, {"speech"})
    calibrate_pools(model, dev)


def sampled(parts: Parts, most: int) -> Parts:
    """At most so many of the rows, at random, without what was said of them."""
    rows = np.sort(np.random.default_rng(0).permutation(len(parts))[:most])
    return replace(
        parts,
        logits={m: {t: v[rows] for t, v in table.items()} for m, table in parts.logits.items()},
        states={m: v[rows] for m, v in parts.states.items()},
        targets={t: v[rows] for t, v in parts.targets.items()},
        clusters=[parts.clusters[i] for i in rows],
    )


def answers(model: EmotionModel, parts: Parts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, probabilities and speakers of what is labelled with an emotion."""
    heads: Any = model.modality_heads["speech"]
    heated, rows = said(model, parts).heated(model), parts.rows("emotion", "speech")
    probs = softmax(heated.logits["speech"]["emotion"][rows], float(heads.tasks["emotion"].own("temperature")))
    return parts.targets["emotion"][rows], probs, np.array(parts.clusters)[rows]


def measured(model: EmotionModel, parts: Parts) -> dict[str, Any]:
    """UAR with its interval over speakers, calibration, and what sets of COVERAGE hold and how many classes."""
    targets, probs, speakers = answers(model, parts)
    sets = model.conformal["speech"]["emotion"].at(COVERAGE).members(probs)
    with counted_elsewhere():
        band = bootstrap(UAR, targets, probs, clusters=speakers, resamples=RESAMPLES)
    return {
        "n": len(probs),
        "people": len(set(speakers)),
        "uar": band.estimate,
        "low": band.low,
        "high": band.high,
        "ece": ece(targets, probs),
        "coverage": float(sets[np.arange(len(probs)), targets.argmax(1)].mean()),
        "size": float(np.median(sets.sum(1))),
    }


def telephone(model: EmotionModel, voices: Sequence[Voices]) -> Iterator[dict[str, Any]]:
    """Each corpus as it was recorded and in the narrow band, and the paired difference of the UAR."""
    for each in voices:
        if each.dev is not None and each.narrow is not None:
            (targets, wide, speakers), (_, narrow, _) = answers(model, each.dev), answers(model, each.narrow)
            with counted_elsewhere():
                gap = compare_paired(UAR, targets, wide, narrow, clusters=speakers, resamples=RESAMPLES).difference
            found = {"recorded": measured(model, each.dev), "telephone": measured(model, each.narrow)}
            yield {"corpus": each.name, **found, "change": gap.estimate, "low": gap.low, "high": gap.high}


def left_out(model: EmotionModel, voices: Sequence[Voices]) -> Iterator[dict[str, Any]]:
    """Each corpus with development speakers by a fit with it and by one without it; the model is left fitted anew."""
    own = {v.name: v.dev for v in voices if v.dev is not None}
    fit(model, voices)
    there = {name: measured(model, dev) for name, dev in own.items()}
    for name, dev in own.items():
        fit(model, [v for v in voices if v.name != name])
        yield {"corpus": name, "with": there[name], "without": measured(model, dev)}


def section(found: Mapping[str, Any]) -> str:
    """The section of a card, without its heading."""
    strangers = [
        [WHAT[e["corpus"]], str(e["with"]["n"]), *pair(e["with"], e["without"], "uar"), spread(e["without"])]
        + ["; ".join(pair(e["with"], e["without"], name, digits)) for name, digits in SHOWN]
        for e in found["left_out"]
    ]
    calls = [
        [WHAT[e["corpus"]], str(e["recorded"]["n"]), *pair(e["recorded"], e["telephone"], "uar")]
        + [f"{e['change']:+.3f} [{e['low']:+.3f}, {e['high']:+.3f}]"]
        + ["; ".join(pair(e["recorded"], e["telephone"], name, digits)) for name, digits in SHOWN]
        for e in found["telephone"]
    ]
    shown = ["ECE", f"truth in sets of {100 * COVERAGE:.0f} %", "median classes in a set"]
    return "\n\n".join(
        (
            "The heads of the voice fitted anew with all corpora and without the one that is measured (head, "
            "familiarity, temperature, sets): "
            f"`recipes/emofuse-small/voices.py --limit {found['limit']}`, at most so many utterances a corpus and "
            "split; development speakers are measured, and intervals are over them. The encoder stays, and has heard "
            "other speakers of that corpus: one that it never met fares worse. UAR is over the labels of the corpus, "
            "with a free choice among seven. Two numbers in a cell: with it; without it.",
            table(["left out", "n", "UAR with it", "UAR without", "95 % interval", *shown], strangers),
            f"The shipped voice as it was recorded and in the band of a telephone (300 to {BAND} Hz, 8-bit μ-law), of "
            "the same speakers, by the same command. Two numbers in a cell: as recorded; on the telephone.",
            table(["development data", "n", "UAR as recorded", "telephone", "change", *shown], calls),
        )
    )


SHOWN = (("ece", 3), ("coverage", 2), ("size", 0))
"""Measures beside the UAR, and their digits."""


def pair(before: Mapping[str, float], after: Mapping[str, float], name: str, digits: int = 3) -> list[str]:
    """A measure of both."""
    return [f"{each[name]:.{digits}f}" for each in (before, after)]


def spread(found: Mapping[str, float]) -> str:
    """The interval."""
    return f"[{found['low']:.3f}, {found['high']:.3f}]"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows))


def main() -> None:
    """Measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="the folder of the corpora")
    parser.add_argument("--model", default="emofuse-small")
    parser.add_argument("--out", type=Path, default=Path("voices.json"))
    parser.add_argument("--card", type=Path, help="a card whose section is laid anew")
    parser.add_argument("--limit", type=int, default=300, help="at most so many utterances a corpus and split")
    given = parser.parse_args()
    model = EmotionModel.from_pretrained(given.model, lean=True).eval()
    recipe = load_recipe(Path(__file__).with_name("speech.yaml"), [f"root={given.root}"])
    voices = [read_voices(model, read_source(recipe, s, model.tasks, given.limit)) for s in recipe.data.sources]
    found = {
        "limit": given.limit,
        "telephone": list(telephone(model, voices)),
        "left_out": list(left_out(model, voices)),
    }
    write_file(given.out, json.dumps(found, indent=1) + "\n")
    if given.card is not None:
        write_file(given.card, laid(given.card.read_text("utf-8"), section(found), HEADING))


if __name__ == "__main__":
    sys.exit(main())
