"""Whether a few clips of a person's own voice help: `uv run python -m benchmarks.enrolment CORPORA`.

Of each development speaker, so many neutral clips are drawn and left out; on the others the emotion is read as it is,
and with the speaker's baseline taken away: `SHARES` of the way from the mean logits of those clips to those of neutral
clips in the other corpora. `--any` draws clips of all emotions,
whose mean is held against that of all clips. Nothing is drawn from what is evaluated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emofuse.calibration.parts import read_parts
from emofuse.data.examples import read_examples
from emofuse.metrics import bootstrap
from emofuse.metrics.task import scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.model.model import EmotionModel
from emofuse.tasks import EMOTIONS, TASKS, leading

CORPORA = ("ravdess", "emodb", "ased", "emotale", "nemo")
SHARES = (0.25, 0.5, 1.0)
CLIPS = (2, 5)
DRAWS = 20
NEUTRAL = EMOTIONS.index("neutral")
UAR = scores_of(TASKS["emotion"])["uar"]


class Voices(NamedTuple):
    """What the voice alone says of development clips."""

    logits: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray


class Read(NamedTuple):
    """Labels with the logits before and after, of the clips that were not drawn, and whose they are."""

    labels: np.ndarray
    before: np.ndarray
    after: np.ndarray
    speakers: np.ndarray


def voices(model: EmotionModel, corpus: str, root: Path) -> Voices:
    """Of the clips that one emotion leads."""
    parts = read_parts(model, corpus, read_examples(corpus, root / corpus, "dev", model.tasks).examples)
    rows = parts.rows("emotion", "speech")
    labels = leading(parts.targets["emotion"][rows])
    logits, speakers = parts.logits["speech"]["emotion"][rows], np.array(parts.clusters)[rows]
    return Voices(logits[labels >= 0], labels[labels >= 0], speakers[labels >= 0])


def usual(others: Sequence[Voices], any_emotion: bool) -> np.ndarray:
    """Mean logits of neutral (or all) clips, every speaker counting the same."""
    means = []
    for each in others:
        for speaker in np.unique(each.speakers):
            rows = (each.speakers == speaker) & (any_emotion | (each.labels == NEUTRAL))
            means += [each.logits[rows].mean(axis=0)] if rows.any() else []
    return np.mean(means, axis=0)


def enrolled(own: Voices, reference: np.ndarray, clips: int, share: float, seed: int, any_emotion: bool) -> Read | None:
    """Every speaker with more neutral clips than are drawn; None where there is none."""
    rng, parts = np.random.default_rng(seed), []
    for speaker in np.unique(own.speakers):
        rows = np.flatnonzero(own.speakers == speaker)
        pool = rows if any_emotion else rows[own.labels[rows] == NEUTRAL]
        if len(pool) > clips:
            drawn = rng.choice(pool, clips, replace=False)
            rest = np.setdiff1d(rows, drawn)
            shift = share * (reference - own.logits[drawn].mean(axis=0))
            parts.append(Read(own.labels[rest], own.logits[rest], own.logits[rest] + shift, own.speakers[rest]))
    return Read(*map(np.concatenate, zip(*parts, strict=True))) if parts else None


def gain(truth: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
    """Of the unweighted average recall."""
    return UAR(truth, after) - UAR(truth, before)


def line(found: Mapping[str, Voices], corpus: str, clips: int, share: float, any_emotion: bool) -> str | None:
    """A row of the table: the means over DRAWS, and the interval of the gain over speakers in the first draw."""
    reference = usual([v for name, v in found.items() if name != corpus], any_emotion)
    drawn = [enrolled(found[corpus], reference, clips, share, seed, any_emotion) for seed in range(DRAWS)]
    reads = [each for each in drawn if each is not None]
    if not reads:
        return None
    one_hot = np.eye(len(EMOTIONS))
    with counted_elsewhere():
        scores = [[UAR(one_hot[r.labels], side) for side in (r.before, r.after)] for r in reads]
        first = reads[0]
        band = bootstrap(gain, one_hot[first.labels], first.before, first.after, clusters=first.speakers, resamples=500)
    before, after = np.mean(scores, axis=0)
    people = len(set(first.speakers))
    cells = (corpus, people, clips, f"{share:g}", f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}")
    return f"| {' | '.join(map(str, cells))} | {band.low:+.3f} to {band.high:+.3f} |\n"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--model", default="emofuse-small")
    parser.add_argument("--any", action="store_true", help="draw clips of all emotions")
    asked = parser.parse_args()
    model = EmotionModel.from_pretrained(asked.model, lean=True)
    found = {corpus: voices(model, corpus, asked.corpora) for corpus in CORPORA}
    sys.stdout.write("| speakers of | people | clips | share | UAR before | after | change | 95 % of one draw |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|---|\n")
    for corpus in CORPORA:
        for clips in CLIPS:
            for share in SHARES:
                sys.stdout.write(line(found, corpus, clips, share, asked.any) or "")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
