"""The disk cache of decoded clips, prepared inputs and frozen tokens, between epochs and runs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from emofuse.batch import Batch
from emofuse.data.load import load_segment
from emofuse.data.preparation import Preparation
from emofuse.errors import OutputError
from emofuse.files import home_path, replacing
from emofuse.media.faces.track import FaceOptions
from emofuse.media.transcript import spread
from emofuse.modalities import Modality
from emofuse.model.model import EmotionModel
from emofuse.types import FaceTrack, Segment, Tokens, Utterance

Arrays = dict[str, np.ndarray]
ENDING = ".npz"
DAMAGED = (OSError, ValueError, EOFError, KeyError, RuntimeError, struct.error, zipfile.BadZipFile)
"""What reading a file that is no whole npz may raise."""
TRACK = ("crops", "times", "boxes", "quality")
LIBRARIES = ("torch", "transformers", "tokenizers", "timm", "av", "librosa", "opencv-python-headless", "numpy")
PREPROCESSING = 6
"""Version of what comes of the same media and words; a change of it makes every entry of a cache a miss.

Raise it whenever decoding, face detection or an encoder's `prepare` gives other values than before: a test holds the
values of this version.
"""


class DiskCache:
    """Arrays by key in a folder of at most `limit` bytes; the least recently used leave first.

    Several processes may share the folder: an entry appears whole (`emofuse.files`), and one that
    cannot be read, its checksums included, is a miss. Each writer looks at the folder again after every sixteenth of
    the limit, so that n writers pass the limit by n sixteenths at most.
    """

    def __init__(self, folder: str | Path, limit: int) -> None:
        self.folder = home_path(folder)
        self.limit = limit
        self._written = self.limit  # so that the first write looks at what is there
        self._full = False

    def get(self, key: str) -> Arrays | None:
        """The arrays of a key, which are thereby used anew; None when there are none."""
        path = self._path(key)
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            os.utime(path)
        except FileNotFoundError:
            return None
        except DAMAGED:
            path.unlink(missing_ok=True)
            return None
        return arrays

    def put(self, key: str, arrays: Arrays) -> None:
        """Keep arrays; a full disk is said once, and nothing more is kept."""
        path = self._path(key)
        if self._full:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
                self._written += file.tell()
        except (OSError, OutputError) as error:
            self._stop(error)
        if self._written >= self.limit // 16:
            self._written = 0
            self._shrink()

    def _stop(self, error: Exception) -> None:
        self._full = True
        warnings.warn(f"the cache in {self.folder} takes no more: {error}", RuntimeWarning, stacklevel=3)

    def _shrink(self) -> None:
        """Let the least recently used leave until the rest fits."""
        found = []
        for path in self.folder.glob(f"*/*{ENDING}"):
            try:
                there = path.stat()
            except FileNotFoundError:  # another process let it leave
                continue
            found.append((there.st_mtime_ns, there.st_size, path))
        over = sum(size for _, size, _ in found) - self.limit
        for _, size, path in sorted(found):
            if over <= 0:
                break
            path.unlink(missing_ok=True)
            over -= size

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{ENDING}"


class SegmentCache:
    """Loads utterances; what was decoded of a video, faces found and all, comes from disk the second time."""

    def __init__(
        self, disk: DiskCache, costly: Callable[[Utterance], bool], face_options: FaceOptions | None = None
    ) -> None:
        """`costly`: whose segments are worth keeping; `face_options`: see `load_segment`."""
        self.disk = disk
        self.costly = costly
        self.face_options = face_options or FaceOptions()

    def __call__(self, utterance: Utterance) -> Segment:
        if not self.costly(utterance):
            return load_segment(utterance, self.face_options)
        key = digest("segment", preprocessing(), repr(self.face_options), source_of(utterance))
        arrays = self.disk.get(key)
        if arrays is None:
            segment = load_segment(utterance, self.face_options)
            self.disk.put(key, _packed(segment))
            return segment
        return _unpacked(utterance, arrays)


class InputCache:
    """Inputs of un-augmented modalities, and the tokens of those whose encoder does not learn.

    Entries are keyed by the content of the media and text, the encoder's configuration (for tokens: its weights), the
    version of what lies between media and inputs, and the libraries it calls.
    """

    def __init__(self, disk: DiskCache, model: EmotionModel, frozen: Iterable[Modality]) -> None:
        self.disk = disk
        self.model: EmotionModel | Preparation = model
        self.modalities = frozenset(m for m in model.modalities if model.encoder(m).reads_media)
        self.frozen = frozenset(frozen) & self.modalities
        self._encoders = {m: self._fingerprint(m) for m in self.modalities}  # type: ignore[arg-type]

    def __getstate__(self) -> dict[str, Any]:
        """What a worker is sent: of the weights, those of encoders that do not learn, whose tokens are kept."""
        return self.__dict__ | {"model": Preparation(self.model, whole=self.frozen)}

    def _fingerprint(self, modality: Modality) -> str:
        encoder = self.model.encoder(modality)
        return digest(
            preprocessing(), encoder.fingerprint(), weights_digest(encoder) if modality in self.frozen else ""
        )

    def inputs(self, modality: Modality, utterance: Utterance, load: Callable[[], Segment]) -> Arrays | None:
        """Arrays that `model.prepare` would give, or, of a frozen encoder, `states`, `mask` and `times` of its tokens.

        None where the modality is absent. `load` is called on a miss only.
        """
        key = digest("inputs", modality, self._encoders[modality], source_of(utterance))
        found = self.disk.get(key)
        if found is None:
            encoder = self.model.encoder(modality)
            prepared = encoder.prepare(load())
            if prepared is not None and modality in self.frozen:
                prepared = tokens_of(encoder, prepared)
            found = prepared or {}
            self.disk.put(key, found)
        return found or None


@torch.no_grad()
def tokens_of(encoder: nn.Module, prepared: Arrays) -> Arrays:
    """The real tokens of one sample: `states` [time, dim], `mask` and `times` [time]."""
    device = next(encoder.parameters()).device
    was_training = encoder.training
    encoder.eval()
    tokens: Tokens = encoder({k: torch.as_tensor(np.asarray(v))[None].to(device) for k, v in prepared.items()})
    encoder.train(was_training)
    kept = tokens.mask[0] if bool(tokens.mask.any()) else torch.ones_like(tokens.mask[0])
    parts = {"states": tokens.states, "mask": tokens.mask, "times": tokens.times}
    return {name: part[0][kept].cpu().numpy() for name, part in parts.items()}


def encode(model: EmotionModel, batch: Batch) -> dict[Modality, Tokens]:
    """`model.encode`, where modalities that come as tokens are not encoded again."""
    ready = {m: Tokens(a["states"], a["mask"], a["times"]) for m, a in batch.inputs.items() if "states" in a}
    if not ready:
        return model.encode(batch)
    rest: dict[Modality, dict[str, torch.Tensor]] = {m: a for m, a in batch.inputs.items() if m not in ready}
    tokens = model.encode(Batch(rest, batch.present, batch.targets)) | ready
    return {m: tokens[m] for m in model.modalities if m in tokens and bool(batch.present[m].any())}


def digest(*parts: str) -> str:
    """SHA-256 of texts, in which their borders count."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def source_of(utterance: Utterance) -> str:
    """Everything of an utterance that its inputs depend on; its media by content, not by name."""
    u = utterance
    media = "" if u.media is None else u.stored.sha256 if u.stored else _content_of(u.media)
    extras = [(m, _content_of(p)) for m, p in sorted(u.extras.items())]
    return json.dumps([u.corpus, media, u.start, u.end, u.text, u.context, u.after, u.speaker, *extras])


def _content_of(path: Path) -> str:
    return _content(str(path), path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=65536)
def _content(path: str, changed: int, size: int) -> str:
    with open(path, "rb") as file:  # noqa: PTH123
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over the names, types and values of all parameters and buffers."""
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


@lru_cache(maxsize=1)
def preprocessing() -> str:
    """The version of what lies between media and inputs, and of the libraries it calls."""
    return digest(str(PREPROCESSING), *(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES))


def _packed(segment: Segment) -> Arrays:
    arrays: Arrays = {"span": np.array([segment.start, segment.end], np.float64)}
    if segment.waveform is not None:
        arrays["waveform"] = segment.waveform
    for i, track in enumerate(segment.faces):
        arrays[f"{i}.person"] = np.asarray(track.person)
        arrays |= {f"{i}.{name}": getattr(track, name) for name in TRACK}
        arrays[f"{i}.seen"] = np.array([track.seconds, -1.0 if track.talk is None else track.talk])
    return arrays


def _track(arrays: Arrays, i: int) -> FaceTrack:
    crops, times, boxes, quality = (arrays[f"{i}.{name}"] for name in TRACK)
    seconds, talk = (float(v) for v in arrays[f"{i}.seen"])
    seen = {"seconds": seconds, "talk": None if talk < 0 else talk}
    return FaceTrack(int(arrays[f"{i}.person"]), crops, times, boxes, quality, **seen)


def _unpacked(utterance: Utterance, arrays: Arrays) -> Segment:
    start, end = (float(v) for v in arrays["span"])
    count = sum(name.endswith(".person") for name in arrays)
    faces = tuple(_track(arrays, i) for i in range(count))
    words = spread(utterance.text, start, end) if utterance.text else None
    waveform = arrays.get("waveform")
    return Segment(
        utterance.id,
        start,
        end,
        words,
        waveform,
        faces,
        utterance.context,
        utterance.speaker,
        utterance.labels,
        after=utterance.after,
        extras=utterance.extras,
    )
