"""Fit the projection that tells voices apart: `uv run python recipes/voiceprint/fit.py CORPORA [OUT]`.

CORPORA holds ravdess, nemo, emodb, emotale and ased; only their training speakers are read.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import scipy.linalg
from safetensors.numpy import save

from emofuse.corpora.registry import read
from emofuse.files import write_file
from emofuse.media.decode import read_audio
from emofuse.media.voices.cepstrum import cepstra
from emofuse.media.voices.voiceprint import pauses, statistics

CORPORA = ("ravdess", "nemo", "emodb", "emotale", "ased")
UTTERANCES, SECONDS, STEP, DIMS, RIDGE = 70, 1.5, 0.5, 8, 0.01
"""Utterances of a speaker; length and step of the windows in seconds; dimensions kept; ridge on the spread within."""


def windows(waveform: np.ndarray) -> list[np.ndarray]:
    """Statistics of each window of what is spoken."""
    frames = cepstra(waveform)
    frames = frames[~pauses(frames)] if len(frames) else frames
    length, step = round(100 * SECONDS), round(100 * STEP)
    if len(frames) < step:
        return []
    starts = range(0, max(1, len(frames) - length + step), step)
    return [statistics(frames[max(0, min(start, len(frames) - length)) :][:length]) for start in starts]


def samples(root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(statistics, speaker, corpus) of every window."""
    values, speakers, corpora = [], [], []
    for name in CORPORA:
        by_speaker = defaultdict(list)
        for utterance in read(name, root / name, "train").utterances:
            if utterance.split == "train" and utterance.media is not None:
                by_speaker[utterance.speaker].append(utterance)
        for speaker, said in sorted(by_speaker.items()):
            random.Random(0).shuffle(said)
            for utterance in said[:UTTERANCES]:
                found = windows(read_audio(utterance.media, utterance.start, utterance.end))
                values += found
                speakers += [f"{name} {speaker}"] * len(found)
                corpora += [name] * len(found)
        sys.stdout.write(f"{name}: {len(by_speaker)} speakers\n")
    return np.array(values), np.array(speakers), np.array(corpora)


def discriminant(values: np.ndarray, speakers: np.ndarray, corpora: np.ndarray) -> np.ndarray:
    """Directions with the most spread between speakers for that within, without what sets one corpus off another."""
    centred = values.copy()
    for name in set(corpora.tolist()):
        centred[corpora == name] -= values[corpora == name].mean(axis=0)
    within = np.zeros((values.shape[1],) * 2)
    between = within.copy()
    for name in set(speakers.tolist()):
        own = centred[speakers == name]
        spread = own - own.mean(axis=0)
        within += spread.T @ spread / len(values)
        between += np.outer(own.mean(axis=0), own.mean(axis=0)) * len(own) / len(values)
    within += RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    _, directions = scipy.linalg.eigh(between, within)
    return directions[:, ::-1][:, :DIMS]


def main() -> None:
    """Write the projection."""
    root = Path(sys.argv[1])
    out = Path(sys.argv[2] if len(sys.argv) > 2 else "checkpoints/voiceprint/projection.safetensors")
    values, speakers, corpora = samples(root)
    found = discriminant(values, speakers, corpora).astype(np.float32)
    write_file(out, save({"projection": np.ascontiguousarray(found)}))
    sys.stdout.write(f"{len(values)} windows of {len(set(speakers.tolist()))} speakers: {found.shape} in {out}\n")


if __name__ == "__main__":
    main()
