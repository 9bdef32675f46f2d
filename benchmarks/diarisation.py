"""Diarisation error on talks composed of corpora's voices: `uv run python -m benchmarks.diarisation CORPORA`.

Talks of development speakers, who were not in the fit of the voiceprint: `--turns` acted utterances of one corpus, of
all its emotions, 0.1 to 0.6 s apart, whoever speaks next is another in four of five. Each pair of speakers is heard
`--talks` times. Number of speakers given; with `--auto` found.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from emofuse.corpora.registry import read
from emofuse.media.audio import BLOCK, AudioBlock
from emofuse.media.decode import read_audio
from emofuse.media.limits import GAP
from emofuse.media.segmentation import SegmentOptions
from emofuse.media.voices.cepstrum import cepstra
from emofuse.media.voices.diarise import told_apart
from emofuse.media.voices.voiceprint import pauses
from emofuse.metrics.diarisation import Spoken, diarisation_error
from emofuse.types import SAMPLE_RATE

CORPORA = ("ravdess", "nemo", "emodb", "emotale")
GROUPS = 12
"""Pairs (or larger groups) of a corpus at most."""


def speakers(root: Path, name: str) -> dict[str, list[Path]]:
    """Development speaker → their recordings; one language of EmoTale, whose speakers speak two."""
    found: dict[str, list[Path]] = defaultdict(list)
    for utterance in read(name, root / name, "dev").utterances:
        if utterance.split == "dev" and utterance.media is not None and not utterance.media.name.startswith("EN_"):
            found[utterance.speaker].append(utterance.media)
    return found


def spoken(path: Path) -> np.ndarray:
    """A recording from its first to its last sound."""
    waveform = read_audio(path)
    loud = np.flatnonzero(~pauses(cepstra(waveform)))
    return waveform[loud[0] * 160 : loud[-1] * 160 + 400]


def talk(voices: dict[str, list[Path]], turns: int, rng: random.Random) -> tuple[np.ndarray, list[Spoken]]:
    """The sound, and who speaks when."""
    names, pieces, reference, now = sorted(voices), [], [], 0.0
    who = rng.choice(names)
    for _ in range(turns):
        if rng.random() < 0.8 and len(names) > 1:
            who = rng.choice([name for name in names if name != who])
        sound = spoken(rng.choice(voices[who]))
        silence = np.zeros(round(rng.uniform(0.1, 0.6) * SAMPLE_RATE), np.float32)
        end = now + len(sound) / SAMPLE_RATE
        reference.append((now, end, who))
        pieces += [sound, silence]
        now = end + len(silence) / SAMPLE_RATE
    return np.concatenate(pieces), reference


def blocks(sound: np.ndarray) -> Iterator[AudioBlock]:
    """As a decoder hands it on."""
    for i in range(0, len(sound), BLOCK):
        yield AudioBlock(i / SAMPLE_RATE, sound[i : i + BLOCK])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--talks", type=int, default=3)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--auto", action="store_true")
    asked = parser.parse_args()
    sys.stdout.write(
        "| corpus | talks | DER | with a collar of 0.25 s | missed | false alarm | confusion | count right |\n"
    )
    sys.stdout.write("|---|---|---|---|---|---|---|---|\n")
    for name in CORPORA:
        voices, rows = speakers(asked.corpora, name), []
        groups = list(combinations(sorted(voices), asked.people))[:GROUPS]
        for number, group in enumerate(groups * asked.talks):
            sound, reference = talk({who: voices[who] for who in group}, asked.turns, random.Random(number))
            count = "auto" if asked.auto else asked.people
            spans = told_apart(blocks(sound), SegmentOptions(), GAP, count)
            found = [(span.start, span.end, span.speaker or "") for span in spans]
            error, lenient = diarisation_error(reference, found), diarisation_error(reference, found, 0.25)
            right = len({who for *_, who in found}) == asked.people
            rows.append(
                (error["der"], lenient["der"], error["missed"], error["false_alarm"], error["confusion"], right)
            )
        if rows:
            cells = " | ".join(f"{value:.3f}" for value in np.mean(np.array(rows, float), axis=0))
            sys.stdout.write(f"| {name} | {len(rows)} | {cells} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
