"""Softer targets for faces: what raters said, and what three networks say together, as one folder in FER+'s layout.

    npm pack @vladmandic/face-api@1.7.15 && tar xzf vladmandic-face-api-1.7.15.tgz
    python recipes/emofuse-small/face_targets.py ROOT --net package/model --teacher runs/emofuse-small-face/model \
        --teacher runs/emofuse-small-face-last/model --to runs/face-targets

ROOT holds ferplus and facial_expressions; their training pictures are linked, not copied. The expression net of the npm
package (MIT) is read from its own file, whose hash is checked. It learnt from other pictures than any corpus here.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from emofuse.corpora.ferplus import OWN, VOTES
from emofuse.corpora.registry import read
from emofuse.model.model import EmotionModel
from emofuse.tasks import EMOTIONS
from emofuse.types import Utterance

SHA256 = "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d"
NET_SIZE = 112
NET_MEAN = (122.782, 117.001, 104.298)
NET_SHARE = 0.1
"""Of the net's logits, which are far surer than ours; chosen on dev among 0.1, 0.2 and 0.3."""
OWN_SHARE = 0.5
"""Of the target that is the raters'."""
COUNT = 1000
"""Votes a picture, so that shares keep three digits."""
BATCH = 128


class ExpressionNet:
    """face-api's expression net: depthwise separable convolutions, each fed the sum of those before in its block."""

    def __init__(self, folder: Path) -> None:
        weights = (folder / "face_expression_model.bin").read_bytes()
        if hashlib.sha256(weights).hexdigest() != SHA256:
            raise SystemExit(f"{folder}: not the weights of @vladmandic/face-api 1.7.15")
        self.weights = dict(
            _unpack(weights, json.loads((folder / "face_expression_model-weights_manifest.json").read_text()))
        )

    def __call__(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """Grey pictures uint8 → logits [pictures, 7], in the order of EMOTIONS."""
        resized = np.stack([cv2.resize(p, (NET_SIZE, NET_SIZE)) for p in pictures]).astype(np.float32)
        x = (torch.from_numpy(resized)[:, None] - torch.tensor(NET_MEAN).view(3, 1, 1)) / 255
        for number in range(4):
            x = self._block(x, f"dense{number}/", first=number == 0)
        return F.avg_pool2d(x, 7, 2).flatten(1) @ self.weights["fc/weights"] + self.weights["fc/bias"]

    def _block(self, x: Tensor, name: str, first: bool) -> Tensor:
        x = F.pad(x, (0, 1, 0, 1))  # as TensorFlow pads a stride of 2
        if first:
            kernel = self.weights[f"{name}conv0/filters"].permute(3, 2, 0, 1)
            total = F.relu(F.conv2d(x, kernel, self.weights[f"{name}conv0/bias"], 2))
        else:
            total = F.relu(self._separable(x, f"{name}conv0", 2))
        for layer in ("conv1", "conv2", "conv3"):
            total = total + self._separable(F.relu(total), name + layer, 1)
        return F.relu(total)

    def _separable(self, x: Tensor, name: str, stride: int) -> Tensor:
        depth = self.weights[f"{name}/depthwise_filter"].permute(2, 3, 0, 1)
        point = self.weights[f"{name}/pointwise_filter"].permute(3, 2, 0, 1)
        x = F.conv2d(x, depth, None, stride, padding=0 if stride == 2 else 1, groups=len(depth))
        return F.conv2d(x, point, self.weights[f"{name}/bias"])


def _unpack(data: bytes, manifest: Sequence[dict[str, Any]]) -> Iterable[tuple[str, Tensor]]:
    """Name and tensor of each weight of a TensorFlow.js file, dequantised."""
    at = 0
    for entry in manifest[0]["weights"]:
        count, packed = int(np.prod(entry["shape"])), entry.get("quantization")
        kind = np.uint8 if packed else np.float32
        values = np.frombuffer(data, kind, count, at).astype(np.float32)
        at += count * np.dtype(kind).itemsize
        if packed:
            values = values * np.float32(packed["scale"]) + np.float32(packed["min"])
        yield entry["name"], torch.from_numpy(values.reshape(entry["shape"]))
    if at != len(data):
        raise SystemExit(f"{len(data) - at} bytes of the net were not read")


def said(model: EmotionModel, pictures: Sequence[np.ndarray]) -> Tensor:
    """Logits of the emotion [pictures, 7] by a face alone, the mean of a picture and its mirror image."""
    head, encoder = cast(Any, model.modality_heads["face"]), cast(Any, model.encoder("face"))
    size = encoder.config.image_size
    total = torch.zeros(len(pictures), len(EMOTIONS))
    for step in (1, -1):
        rows = [np.ascontiguousarray(_fit(p, size)[:, ::step]) for p in pictures]
        pixels = torch.from_numpy(np.stack(rows))[:, None, None].repeat(1, 1, 3, 1, 1)
        inputs = {
            "pixels": pixels,
            "mask": torch.ones(len(rows), 1, dtype=torch.bool),
            "times": torch.zeros(len(rows), 1),
        }
        tokens = encoder(inputs)
        total += head.read(head.pool(tokens.states, tokens.mask))["emotion"].float() / 2
    return total


def _fit(picture: np.ndarray, size: int) -> np.ndarray:
    method = cv2.INTER_AREA if picture.shape[0] > size else cv2.INTER_LINEAR
    return cv2.resize(picture, (size, size), interpolation=method)


def raters(utterance: Utterance) -> np.ndarray | None:
    """The raters' share of each emotion [7]; None where they chose none of them."""
    label = utterance.labels["emotion"]
    votes = dict(label) if isinstance(label, Mapping) else {str(label): 1.0}
    shares = np.zeros(len(EMOTIONS))
    for name, count in votes.items():
        if (emotion := OWN.get(name)) is not None:
            shares[EMOTIONS.index(emotion)] += count
    leading = max(votes, key=lambda name: votes[name])
    return None if OWN.get(leading) is None or not shares.sum() else shares / shares.sum()


def _picture(utterance: Utterance) -> np.ndarray:
    picture = cv2.imread(str(utterance.media), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise SystemExit(f"{utterance.media}: no picture; `emofuse data check` names such files")
    return picture


@torch.no_grad()
def targets(utterances: Sequence[Utterance], net: ExpressionNet, teachers: Sequence[EmotionModel]) -> np.ndarray:
    """[utterances, 7]: raters and networks, each its share."""
    rows = []
    for start in range(0, len(utterances), BATCH):
        part = utterances[start : start + BATCH]
        pictures = [_picture(u) for u in part]
        logits = torch.stack([said(model, pictures) for model in teachers]).mean(0) + NET_SHARE * net(pictures)
        own = np.stack([cast(np.ndarray, raters(u)) for u in part])
        rows.append(OWN_SHARE * own + (1 - OWN_SHARE) * logits.softmax(-1).numpy())
    return np.concatenate(rows)


def write(folder: Path, utterances: Sequence[Utterance], shares: np.ndarray) -> None:
    """FER+'s layout: links to the pictures, and the targets as votes."""
    (folder / "FER2013Train").mkdir(parents=True)
    columns = {OWN[name]: name for name in VOTES if OWN[name] is not None}
    with (folder / "fer2013new.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["Usage", "Image name", *VOTES], restval=0)
        writer.writeheader()
        for utterance, row in zip(utterances, shares, strict=True):
            media = Path(str(utterance.media)).resolve()
            name = f"{utterance.corpus}-{media.name}"
            (folder / "FER2013Train" / name).symlink_to(media)
            counts = {columns[e]: round(COUNT * float(share)) for e, share in zip(EMOTIONS, row, strict=True)}
            writer.writerow({"Usage": "Training", "Image name": name} | counts)


def main() -> None:
    """Read, ask, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the folder of the corpora")
    parser.add_argument("--net", type=Path, required=True, help="package/model of @vladmandic/face-api 1.7.15")
    parser.add_argument("--teacher", type=Path, action="append", required=True, help="a checkpoint that knows faces")
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    if options.to.exists():
        raise SystemExit(f"{options.to} is there already: name another folder, or remove it")
    found = [u for c in ("ferplus", "facial_expressions") for u in read(c, options.root / c).split("train")]
    utterances = [u for u in found if raters(u) is not None]
    teachers = [EmotionModel.from_pretrained(folder).eval() for folder in options.teacher]
    write(options.to, utterances, targets(utterances, ExpressionNet(options.net), teachers))


if __name__ == "__main__":
    main()
