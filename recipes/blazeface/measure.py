"""What face detection and tracking are worth: films with known faces, false alarms, cost; a table a detector.

    uv run python recipes/blazeface/measure.py ../shared/corpora/facial_expressions [--films 6] [--detector haar]

A person counts as found in a second of a film when a crop of it lies on them (intersection over union of 0.25 with the
photograph), by the video road from a crop of that second, by the still road in the second's first frame.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from scenes import KINDS, SECONDS, Cast, cast_of, film

from emofuse.media.faces.collect import BlazeFaceDetector, FaceCollector, FaceDetector, HaarDetector, faces_in_image
from emofuse.media.faces.detect import overlap

HIT = 0.25
"""Intersection over union with the photograph, which is wider than its face, from which a face is found."""


def say(line: str) -> None:
    """A line of the report, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def one_film(kind: str, cast: Cast, seed: int, detector: FaceDetector) -> dict[str, float]:
    """Counts of one film by both roads; seconds of processor time of the video road."""
    counts: dict[str, float] = defaultdict(float)
    collector = FaceCollector(detector)
    truth, people, looked = {}, set(), set()
    for n, (frame, there) in enumerate(film(kind, cast, seed)):
        truth[round(frame.time, 3)] = there
        began = time.thread_time()
        collector.push(frame)
        counts["cost"] += time.thread_time() - began
        if n % 5 == 0:
            boxes = [track.boxes[0] for track in faces_in_image(frame.rgb, detector)]
            hits = [max((overlap(b, p.box) for b in boxes), default=0.0) >= HIT for p in there]
            counts["known"] += len(there)
            counts["still found"] += sum(hits)
            looked |= {(n // 5, p.person) for p, hit in zip(there, hits, strict=True) if hit}
            counts["still crops"] += len(boxes)
            counts["still false"] += sum(all(overlap(b, p.box) < HIT for p in there) for b in boxes)
    for second in range(SECONDS):
        got = set()
        for track in collector.tracks(second, second + 1):
            people.add(track.person)
            for when, box in zip(track.times, track.boxes, strict=True):
                hits = [p.person for p in truth[round(float(when), 3)] if overlap(box, p.box) >= HIT]
                counts["video crops"] += 1
                counts["video false"] += not hits
                got |= {(second, person) for person in hits}
        everyone = {(second, p.person) for p in truth[round(float(second), 3)]}
        counts["video found"] += len(got & everyone)
        counts["both"] += len(got & looked & everyone)
        counts["either"] += len(looked & everyone)
    counts["people"] = len(people)
    counts["true people"] = len({p.person for there in truth.values() for p in there})
    return counts


def films(cast: Cast, number: int, detector: FaceDetector) -> None:
    """The table of kinds."""
    say("kind | known | still found | video found | of the still's | still false | video false | people (true) | ms/s")
    for kind in KINDS:
        total: dict[str, float] = defaultdict(float)
        for seed in range(number):
            for name, count in one_film(kind, cast, 100 + seed, detector).items():
                total[name] += count
        t = total
        say(
            f"{kind} | {t['known']:.0f} | {t['still found']:.0f} | {t['video found']:.0f} | "
            f"{t['both'] / max(1, t['either']):.3f} | {t['still false']:.0f} of {t['still crops']:.0f} | "
            f"{t['video false']:.0f} of {t['video crops']:.0f} | {t['people']:.0f} ({t['true people']:.0f}) | "
            f"{1000 * t['cost'] / number / SECONDS:.0f}"
        )


def alarms(detector: FaceDetector) -> None:
    """Faces found in pictures that hold none: scikit-image's, their parts and turns, rendered textures."""
    from skimage import data

    names = (
        "brick coffee chelsea coins gravel grass hubble_deep_field moon page rocket text clock horse logo checkerboard"
    )
    rng = np.random.default_rng(0)
    pictures = []
    for name in names.split():
        picture = np.asarray(getattr(data, name)())
        picture = picture.astype(np.uint8) * 255 if picture.dtype == bool else picture
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.ndim == 2 else picture[..., :3]
        large = cv2.resize(picture, (640, 480), interpolation=cv2.INTER_AREA)
        pictures += [large, large[::-1], np.rot90(large), large[100:380, 150:520]]
    for _ in range(60):
        noise = rng.integers(0, 256, (*rng.integers(3, 80, 2), 3)).astype(np.uint8)
        pictures.append(cv2.resize(noise, (640, 360), interpolation=cv2.INTER_CUBIC))
    found = [faces_in_image(np.ascontiguousarray(p), detector) for p in pictures]
    say(f"false alarms: {sum(map(len, found))} in {sum(map(bool, found))} of {len(pictures)} pictures without a face")


def main() -> None:
    """Everything for one detector."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("corpus", type=Path, help="folder of facial_expressions")
    arguments.add_argument("--films", type=int, default=6, help="of each kind")
    arguments.add_argument("--detector", choices=("blazeface", "haar"), default="blazeface")
    asked = arguments.parse_args()
    cv2.setNumThreads(1)
    detector = HaarDetector() if asked.detector == "haar" else BlazeFaceDetector()
    alarms(detector)
    films(cast_of(asked.corpus), asked.films, detector)


if __name__ == "__main__":
    main()
