"""End-to-end quality: development files through `emofuse.load()` as people hand them in.

    uv run python recipes/emofuse-small/end_to_end.py CORPORA [--model MODEL] [--number 300] [--json FILE]

Each set is predicted twice on the same items: as the corpus keeps them (a sound file, a face crop) and as they come in
practice (AAC in mp4; the face pasted into a video frame, so that the detector must find it).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

import emofuse
from emofuse.corpora.registry import corpus as reader_of
from emofuse.corpora.registry import read
from emofuse.media.decode import read_audio, read_image
from emofuse.metrics.classification import accuracy, uar
from emofuse.tasks import EMOTIONS, TASKS, leading
from emofuse.types import Utterance

Item = tuple[Utterance, int]
WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 10, 2
RATE = 48_000


def items(root: Path, corpus: str, number: int) -> list[Item]:
    """Development utterances with one leading emotion and its index, at most `number`, drawn with seed 0."""
    found = []
    for utterance in read(corpus, root / corpus, "dev").split("dev"):
        target = reader_of(utterance.corpus).fold(utterance.labels, TASKS["emotion"])
        label = int(leading(target[None])[0])
        if label >= 0 and not np.isnan(target).any():
            found.append((utterance, label))
    chosen = np.random.default_rng(0).permutation(len(found))[:number]
    return [found[i] for i in sorted(chosen)]


def quality(name: str, drawn: list[Item], predict: Callable[[Utterance], emofuse.Analysis]) -> dict[str, float | str]:
    """Accuracy and UAR, a clip without a prediction counting as wrong."""
    truth, said = [], []
    for utterance, label in drawn:
        overall = predict(utterance).overall
        truth.append(label)
        said.append(-1 if overall is None else int(np.argmax([overall.emotions[e] for e in EMOTIONS])))
    y, p = np.array(truth), np.array(said)
    answered = np.where(p < 0, (y + 1) % len(EMOTIONS), p)
    return {
        "files": name,
        "n": len(y),
        "accuracy": accuracy(y, answered),
        "uar": uar(y, answered, len(EMOTIONS)),
        "without a prediction": int((p < 0).sum()),
    }


def as_aac(utterance: Utterance, path: Path) -> Path:
    """The sound at 48 kHz in AAC (128 kbit/s), in mp4."""
    sound = read_audio(utterance.media)
    samples = np.interp(np.arange(len(sound) * 3) / 3, np.arange(len(sound)), sound).astype(np.float32)
    with av.open(str(path), "w") as container:
        _sound(container, samples[None])
    return path


def _sound(container: av.container.OutputContainer, samples: np.ndarray) -> None:
    stream = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=128_000)
    for at in range(0, samples.shape[1], 1024):
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, at : at + 1024]), "fltp", "mono")
        block.sample_rate, block.pts, block.time_base = RATE, at, Fraction(1, RATE)
        container.mux(stream.encode(block))
    container.mux(stream.encode(None))


def in_a_frame(utterance: Utterance, path: Path) -> Path:
    """Two seconds of H.264 video in which the face, 200 pixels wide, stands before a blurred backdrop."""
    face = cv2.resize(read_image(utterance.media), (200, 200), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(int.from_bytes(utterance.id.encode()[-4:], "big"))
    coarse = rng.integers(60, 190, (6, 8, 3), dtype=np.uint8)
    frame = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    top, left = int(rng.integers(40, HEIGHT - 240)), int(rng.integers(40, WIDTH - 240))
    frame[top : top + 200, left : left + 200] = face
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(FPS * SECONDS):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def measure(root: Path, model: str, number: int) -> Iterator[dict[str, float | str]]:
    """One row for each way of handing in a set's items."""
    pipeline = emofuse.load(model)
    faces, voices, german = (items(root, c, number) for c in ("ferplus", "ravdess", "emodb"))
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        yield quality("FER+ Valid, the crop", faces, lambda u: pipeline(image=str(u.media)))
        yield quality("FER+ Valid, in a video frame", faces, lambda u: pipeline(in_a_frame(u, clip)))
        yield quality("RAVDESS 17-20, the file", voices, lambda u: pipeline(str(u.media)))
        yield quality("RAVDESS 17-20, AAC in mp4", voices, lambda u: pipeline(as_aac(u, clip)))
        yield quality("EMO-DB 13 and 14, the file", german, lambda u: pipeline(str(u.media)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder that holds ferplus, ravdess and emodb")
    parser.add_argument("--model", default="emofuse-small")
    parser.add_argument("--number", type=int, default=300, help="items of each set at most")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    for row in measure(given.root, given.model, given.number):
        rows.append(row)
        line = "  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
        sys.stdout.write(line + "\n")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
