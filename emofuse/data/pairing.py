"""Multimodal samples out of corpora of one modality: what one says, another's voice and a third's face, of one class.

They show whether fusion helps when a modality fails; they are no substitute for people who were filmed speaking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.data.examples import Sample, read_samples
from emofuse.errors import DataError
from emofuse.media.transcript import join as join_words
from emofuse.media.transcript import spread
from emofuse.model.model import EmotionModel
from emofuse.types import MODALITIES, FaceTrack, Modality, Segment, Split, Word

COUNT = 350
"""Pairs where nobody says how many: fifty of each of seven emotions."""


def paired(
    parts: Mapping[Modality, Sequence[Sample]], count: int, task: str = "emotion", seed: int = 0
) -> list[Sample]:
    """`count` samples, each of one labelled sample a modality of the same leading class; classes take turns.

    Targets are the mean of the parts' targets where they have any; the cluster is that of the voice, else of the first
    part. Raises DataError when there are not two modalities, or no class that all of them have.
    """
    there: list[Modality] = [m for m in MODALITIES if m in parts]
    pools: dict[Modality, dict[int, list[Sample]]] = {m: _by_class(parts[m], task) for m in there}
    classes = sorted(set.intersection(*(set(pool) for pool in pools.values()))) if pools else []
    if len(pools) < 2 or not classes:
        raise DataError(
            f"pairs need labelled samples of {task} of two modalities at least; came {sorted(pools) or 'none'}"
        )
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        label = classes[i % len(classes)]
        chosen: dict[Modality, Sample] = {}
        for modality, pool in pools.items():
            chosen[modality] = pool[label][int(rng.integers(len(pool[label])))]
        owner = chosen.get("speech") or next(iter(chosen.values()))
        name = "+".join([*(s.id for s in chosen.values()), f"#{i}"])
        load = partial(_load, name, chosen)
        found.append(Sample(name, load, _targets(list(chosen.values())), owner.cluster, owner.groups))
    return found


def read_evaluated(
    model: EmotionModel,
    corpus: str,
    root: str | Path,
    split: Split,
    *,
    pairs: Mapping[Modality, tuple[str, str | Path]] | None = None,
    limit: int | None = None,
    **how: Any,
) -> tuple[list[Sample], dict[str, Any]]:
    """`read_samples`, or, with `pairs` (modality → corpus and its root), samples put together with those of others.

    The corpus itself then gives the modalities that its samples have and `pairs` does not name; `limit` is how many
    there are, COUNT where None. Raises DataError as `read_samples` and `paired` do.
    """
    samples, protocol = read_samples(model, corpus, root, split, limit=None if pairs else limit, **how)
    if not pairs:
        return samples, protocol
    own = samples[0].load().present - set(pairs)
    parts: dict[Modality, Sequence[Sample]] = {m: samples for m in MODALITIES if m in own}
    hashes, names = {corpus: protocol["split_hash"]}, dict.fromkeys(parts, corpus)
    for modality, (other, folder) in pairs.items():
        parts[modality], about = read_samples(model, other, folder, split)
        hashes[other], names[modality] = about["split_hash"], other
    found = paired(parts, limit or COUNT)
    return found, protocol | {
        "corpus": "+".join(dict.fromkeys(names[m] for m in MODALITIES if m in names)),
        "paired": {m: names[m] for m in MODALITIES if m in names},
        "split_hash": hashes,
        "evaluated_hash": None,
        "utterances": None,
        "limit": None,
        "n": len(found),
    }


def join(
    parts: Mapping[Modality, Segment], name: str = "", frames: int = 1, rng: np.random.Generator | None = None
) -> Segment:
    """The words of one segment said over the sound of another, with the face of a third, on one clock from 0 s.

    The clip lasts as long as its sound, else as its words, else 1 s. A single picture is seen 1 to `frames` times, at
    moments that `rng` draws.
    """
    clock = parts.get("speech") or parts.get("text")
    end = clock.end - clock.start if clock is not None and clock.end > clock.start else 1.0
    out = Segment(id=name or "+".join(p.id for p in parts.values()), start=0.0, end=end)
    if "speech" in parts:
        out = replace(out, waveform=parts["speech"].waveform)
    if "text" in parts:
        out = replace(out, words=_said(parts["text"], end), context=parts["text"].context)
    if "face" in parts:
        seen = parts["face"]
        out = replace(out, faces=tuple(_shown(track, seen, end, frames, rng) for track in seen.faces))
    return out


def _said(text: Segment, end: float) -> tuple[Word, ...]:
    """The words over 0 to `end` s, their own times stretched, or spread by length where they have none."""
    words = text.words or ()
    if text.end <= text.start:
        return spread(join_words(words), 0.0, end)
    rate = end / (text.end - text.start)
    return tuple(replace(w, start=(w.start - text.start) * rate, end=(w.end - text.start) * rate) for w in words)


def _shown(track: FaceTrack, seen: Segment, end: float, frames: int, rng: np.random.Generator | None) -> FaceTrack:
    if len(track.crops) > 1 or frames == 1 or rng is None:
        rate = end / max(seen.end - seen.start, 1e-6)
        return replace(track, times=np.clip((track.times - seen.start) * rate, 0, end))
    times = np.sort(rng.uniform(0, end, int(rng.integers(1, frames + 1))))
    still = np.zeros(len(times), int)
    return replace(track, crops=track.crops[still], times=times, boxes=track.boxes[still], quality=track.quality[still])


def _load(name: str, chosen: Mapping[Modality, Sample]) -> Segment:
    return join({m: s.load() for m, s in chosen.items()}, name)


def _by_class(samples: Sequence[Sample], task: str) -> dict[int, list[Sample]]:
    pool: dict[int, list[Sample]] = {}
    for sample in samples:
        target = sample.targets[task]
        if not np.isnan(target).any():
            pool.setdefault(int(target.argmax()), []).append(sample)
    return pool


def _targets(samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    out = {}
    for name, first in samples[0].targets.items():
        known = [s.targets[name] for s in samples if not np.isnan(s.targets[name]).any()]
        out[name] = np.mean(known, axis=0).astype(np.float32) if known else first
    return out
