"""Composed films with known faces: photographs of people pasted into moving 720p frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from emofuse.media.image import VideoFrame, read_image

WIDTH, HEIGHT, SECONDS, STEP = 1280, 720, 6, 0.2
KINDS = ("plain", "tilted", "turned", "small", "dark", "moving", "two", "cut", "empty")
"""150 px faces at ease; leaning by 20 degrees; half turned; 50 px; a fifth of the light; 300 px a second; two people;
another person every 2 s in the same spot; nobody."""


@dataclass(frozen=True)
class Present:
    """Who is where in a frame: the centre and the side of the square photograph."""

    person: str
    x: float
    y: float
    side: float

    @property
    def box(self) -> np.ndarray:
        """x, y, width, height of the photograph, which its face fills by about two thirds."""
        return np.array([self.x - self.side / 2, self.y - self.side / 2, self.side, self.side])


@dataclass(frozen=True)
class Cast:
    """Photographs, square RGB arrays, by name of the person."""

    ahead: dict[str, np.ndarray]
    turned: dict[str, np.ndarray]


def film(kind: str, cast: Cast, seed: int) -> Iterator[tuple[VideoFrame, list[Present]]]:
    """Frames every 0.2 s with who is in them."""
    rng = np.random.default_rng(seed)
    people = cast.turned if kind == "turned" else cast.ahead
    names = [list(people)[i] for i in rng.permutation(len(people))[:3]]
    side = 75.0 if kind == "small" else 225.0  # the face is two thirds of it
    starts = [(rng.uniform(250, 500), rng.uniform(220, 500)), (rng.uniform(800, 1050), rng.uniform(220, 500))]
    backdrop, lean = _backdrop(rng), {"tilted": rng.choice([-20.0, 20.0])}.get(kind, 0.0)
    for n in range(round(SECONDS / STEP)):
        time = n * STEP
        shown = (
            []
            if kind == "empty"
            else names[:2]
            if kind == "two"
            else [names[round(time / STEP) // 10 % 2]]
            if kind == "cut"
            else names[:1]
        )
        frame = backdrop(n)
        there = []
        for k, name in enumerate(shown):
            x, y = starts[k]
            x += 250 * np.sin(1.2 * time) if kind == "moving" else 8 * np.sin(time + k)
            y += 4 * np.cos(1.7 * time)
            there.append(Present(name, x, y, side))
            _paste(frame, people[name], there[-1], lean + 2 * np.sin(time))
        if kind == "dark":
            frame = frame * 0.2
        noisy = frame + rng.normal(0, 3, (HEIGHT, WIDTH, 1)).astype(np.float32)
        yield VideoFrame(time, rgb=_compressed(np.clip(noisy, 0, 255).astype(np.uint8))), there


def _backdrop(rng: np.random.Generator):
    """A photograph without people, moved a little from frame to frame."""
    from skimage import data

    name = rng.choice(["coffee", "chelsea", "rocket", "brick", "gravel", "hubble_deep_field"])
    picture = getattr(data, str(name))()
    picture = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    large = cv2.resize(picture, (WIDTH + 80, HEIGHT + 80), interpolation=cv2.INTER_LINEAR)

    def at(n: int) -> np.ndarray:
        x, y = round(40 + 30 * np.sin(n / 9)), round(40 + 20 * np.cos(n / 7))
        return large[y : y + HEIGHT, x : x + WIDTH].astype(np.float32)

    return at


def _paste(frame: np.ndarray, photo: np.ndarray, where: Present, degrees: float) -> None:
    """The photograph in an oval that fades out, turned and scaled."""
    size = photo.shape[0]
    y, x = np.mgrid[:size, :size]
    radius = np.hypot((x - size / 2) / (0.5 * size), (y - size / 2) / (0.5 * size))
    mask = np.clip((1.0 - radius) / 0.12, 0, 1).astype(np.float32)
    scale = where.side / size
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), -degrees, scale)
    turn[:, 2] += np.array([where.x, where.y]) - size / 2
    blur = cv2.GaussianBlur(photo, (0, 0), max(0.01, 0.5 / scale)) if scale < 0.8 else photo
    laid = cv2.warpAffine(blur.astype(np.float32), turn, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(mask, turn, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)[..., None]
    frame += alpha * (laid - frame)


def _compressed(rgb: np.ndarray) -> np.ndarray:
    """Through JPEG, as a film's pictures were through something like it."""
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def cast_of(folder: Path, number: int = 60) -> Cast:
    """People of `facial_expressions`, one photograph each, chosen by no detector; turned: unlike their mirror."""
    found: dict[str, np.ndarray] = {}
    files = sorted((folder / "images").glob("*_0001.jpg"))
    for index in np.random.default_rng(0).permutation(len(files)):
        picture = read_image(files[index])
        if picture.shape == (112, 112, 3):
            found[files[index].stem] = picture
        if len(found) == 3 * number:
            break
    ranked = sorted(found, key=lambda name: -_symmetry(found[name]))
    return Cast({n: found[n] for n in ranked[:number]}, {n: found[n] for n in ranked[-number // 2 :]})


def _symmetry(picture: np.ndarray) -> float:
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 4)
    grey = grey[20:92, 20:92] - grey[20:92, 20:92].mean()
    return float((grey * grey[:, ::-1]).sum() / max(float((grey * grey).sum()), 1e-6))
