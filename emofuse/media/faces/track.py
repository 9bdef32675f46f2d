"""Face tracking: who is where from look to look, followed where the detector blinks, known again after a cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from emofuse.media.faces.crop import Crop, Sightings, appearance, cut, features, quality, resemblance, squared
from emofuse.media.faces.default import default_detector
from emofuse.media.faces.detect import (
    NEAR,
    Effort,
    FaceDetector,
    Faces,
    believed,
    looked_at,
    merged,
    overlap,
    shared,
)
from emofuse.media.faces.shots import ShotCuts
from emofuse.media.image import VideoFrame

_DEEP = 2.5
"""How much larger than in a quick look the whole frame is in a deep one."""
_KNOWN = 96
"""Side, in pixels, of the surroundings of a face that is looked for again where it should be by now."""
_TELLING = 32
"""Side, in pixels, from which faces are told apart by their features."""
_SURE = 0.8
"""Score of a face that is seen surely."""
_CALM = 0.25
"""Sides of itself that a face moves in a second and still hardly moves."""
_FITS = 0.7
"""Normalised correlation from which the last picture of a face is found again where the detector is blind."""


@dataclass(frozen=True)
class FaceOptions:
    """How faces are looked for; times in seconds."""

    view: Literal["faces", "frames"] = "faces"
    """`frames`: whole pictures are kept in place of faces, and none are looked for; they are those of nobody."""
    frame_interval: float = 0.2
    """Between the frames that may be looked at: all of them while a face is new, missed, or nobody is there."""
    detect_interval: float = 0.6
    """Between looks while all known faces are found."""
    calm_interval: float = 1.0
    """Between looks while they are also seen surely and hardly move."""
    scan_interval: float = 3.0
    """Between looks at the whole frame while somebody is followed; the others look around the known faces."""
    deep_interval: float = 12.0
    """Between looks at the whole frame in 2.5 times the size, for small faces; where nobody is there, every third look
    is one, too."""
    coast: float = 0.8
    """How long a face that the detector does not see is followed by its looks alone."""
    smallest: float = 0.03
    """Least side of a face, as a share of the frame's longer side."""
    most_people: int = 6
    """Faces followed at once; the largest are."""
    remembered: int = 32
    """People who left the picture and are known when they come back."""
    alike: float = 0.85
    """Likeness from which somebody who appears is taken for somebody who was there before."""
    same: float = 0.55
    """Resemblance of facial features, eyes laid upon eyes, below which a face in the place of another is another's."""
    crop_size: int = 112
    """Side of a crop in pixels."""
    margin: float = 0.0
    """Added around the face on each side, as a share of its side; 0 frames it as in FER2013."""
    align: bool = False
    """Whether crops are turned until the eyes are level, where the detector finds eyes."""
    max_crops: int = 8
    """Pictures of one person in one segment."""
    mouths: Literal["several", "always"] = "several"
    """Whose mouths are looked at, to tell who speaks: those of several people in view, or of a single one too."""
    crop_interval: float = 1.0
    """Seconds a crop stands for: more crops than that of a segment (at least two) add next to nothing."""


@dataclass(eq=False)
class _Sight:
    """One face as the detector saw it, in pixels of the upright frame."""

    box: Float[np.ndarray, "4"]
    score: float
    frontal: float
    tilt: float
    features: Float32[np.ndarray, "side side"] | None


@dataclass(eq=False)
class _Track:
    """One person in one stretch of frames, from appearing to being lost."""

    person: int
    sight: _Sight
    looks: Float[np.ndarray, " features"]
    patch: UInt8[np.ndarray, "h w"]
    seen: float
    box: Float[np.ndarray, "4"]
    sightings: Sightings = field(default_factory=Sightings)
    velocity: Float[np.ndarray, "2"] = field(default_factory=lambda: np.zeros(2))
    """Pixels a second."""
    frontal: float = 1.0
    at: float = 0.0
    """When the box was there, seen or followed."""
    rival: _Sight | None = None
    """A face in its place that is not like it: another's, once the next look shows it again."""

    def ahead(self, time: float) -> np.ndarray:
        """Where the face should be at a moment."""
        return np.array([*(self.box[:2] + self.velocity * min(1.0, time - self.at)), *self.box[2:]])


class FaceTracker:
    """Frames in, crops by person out; no frame is kept.

    The detector looks around each known face, and at the whole frame every `scan_interval`, where one is missed, and
    where nobody is known; a face that it misses is followed by template matching for a while. A track counts once seen
    a second time, unless there was only one look: what looks like a face once is often none.
    """

    def __init__(self, detector: FaceDetector | None = None, options: FaceOptions | None = None) -> None:
        self.detector = detector or default_detector()
        self.options = options or FaceOptions()
        self._cuts = ShotCuts()
        self._tracks: list[_Track] = []
        self._gone: list[_Track] = []
        self._people = self._detections = self._idle = 0
        self._next_detection = self._next_scan = self._next_deep = float("-inf")

    def confirmed(self, person: int) -> bool:
        """Whether this person was seen more than once, or could not have been."""
        counts = [track.sightings.count for track in (*self._tracks, *self._gone) if track.person == person]
        return max(counts, default=2) >= min(2, self._detections)

    def boxes(self, time: float) -> dict[int, Float[np.ndarray, "4"]]:
        """Person → the box of their face at a moment, of everybody in the picture."""
        return {track.person: track.ahead(time) for track in self._tracks}

    def counts(self, crop: Crop) -> bool:
        """Whether the face of a crop was seen more than once in its stretch of frames, or could not have been."""
        return crop.sightings.count >= min(2, self._detections)

    def push(self, frame: VideoFrame) -> list[tuple[int, Crop]]:
        """The crops of everybody in this frame, with the number of the person; none where it is not looked at."""
        options = self.options
        if frame.time < self._next_detection - 1e-6:
            return []
        self._detections += 1
        if self._cuts.push(frame):
            self._leave(self._tracks)
            self._next_scan = self._next_deep = frame.time
        known = len(self._tracks)
        found, missed = self._detect(frame)
        self._update(found, frame)
        certain = [track for track in self._tracks if track.rival is None]
        settled = certain and not missed and len(certain) == known
        patient = not self._tracks and self._idle > 5
        pause = options.detect_interval if settled or patient else options.frame_interval
        if settled and all(map(_calm, self._tracks)):
            pause = max(pause, options.calm_interval)
        self._next_detection = frame.time + pause
        return [(track.person, self._crop(track, frame)) for track in certain]

    def _detect(self, frame: VideoFrame) -> tuple[Faces, bool]:
        """What the detector finds, around the known faces or everywhere, and whether it missed a known one."""
        near = [looked_at(self.detector, frame.rgb, track.ahead(frame.time), _KNOWN) for track in self._tracks]
        missed = any(not len(part) for part in near)
        scan = missed or not near or frame.time >= self._next_scan - 1e-6
        return (merged([*near, self._scan(frame)]) if scan else merged(near)), missed

    def _scan(self, frame: VideoFrame) -> Faces:
        """The faces of the whole frame, in pixels of it: at a glance, and closely where that shows nobody."""
        options = self.options
        self._next_scan = frame.time + options.scan_interval
        found, due = self._glance(frame), frame.time >= self._next_deep - 1e-6
        if due and (self._tracks or not len(found)):
            found = merged([found, self._glance(frame, "deep")])
        self._idle = 0 if len(found) or self._tracks else self._idle + 1
        if self._idle:
            self._next_deep = frame.time + 3 * options.frame_interval
        elif due:
            self._next_deep = frame.time + options.deep_interval
        return found

    def _glance(self, frame: VideoFrame, effort: Effort = "quick") -> Faces:
        """Known faces, and new ones that are believed."""
        detector = self.detector
        small = frame.shrunk(round(detector.longest * (_DEEP if effort == "deep" else 1)), detector.colour)
        found = detector.detect(small, self.options.smallest, effort=effort)
        found = found.moved(small.shape[1] / frame.width, 0, 0)
        new = [all(shared(box, track.ahead(frame.time)) < 0.3 for track in self._tracks) for box in found.boxes]
        return merged([found[~np.array(new, bool)], believed(detector, frame.rgb, found[np.array(new, bool)])])

    def _update(self, found: Faces, frame: VideoFrame) -> None:
        sights = [self._sight(found, i, frame) for i in range(len(found))]
        pairs = [(overlap(t.ahead(frame.time), s.box), t, s) for t, s in product(self._tracks, sights)]
        for score, track, sight in sorted(pairs, key=lambda pair: -pair[0]):
            if score < 0.2 or track.at == frame.time or sight not in sights:
                continue
            if self._replaced(track, sight, frame.time):
                self._leave([track])
                continue
            sights.remove(sight)
            if track.rival is sight:
                track.at, track.box = frame.time, sight.box
            else:
                self._seen(track, sight, frame)
        lost = [t for t in self._tracks if t.at < frame.time and not self._followed(t, frame)]
        self._leave(lost)
        for sight in sights:
            if all(shared(track.box, sight.box) < 0.3 for track in self._tracks):
                self._tracks.append(self._appeared(sight, frame))
        self._leave(self._doubles())
        self._tracks = sorted(self._tracks, key=lambda t: -t.box[2])[: self.options.most_people]

    def _leave(self, tracks: list[_Track]) -> None:
        """Takes tracks out of the picture, to be known again."""
        left = list(tracks)
        self._tracks = [track for track in self._tracks if track not in left]
        self._gone = [*left, *self._gone][: self.options.remembered]

    def _doubles(self) -> list[_Track]:
        """Tracks that came to lie on one which was seen more often."""
        ranked = sorted(self._tracks, key=lambda t: (-t.seen, -t.sightings.count))
        return [t for i, t in enumerate(ranked) if any(shared(t.box, o.box) >= 0.4 for o in ranked[:i])]

    def _sight(self, found: Faces, i: int, frame: VideoFrame) -> _Sight:
        points = found.landmarks[i] if found.landmarks is not None else None
        held = features(frame.rgb, found.boxes[i], points[:2]) if points is not None else None
        return _Sight(found.boxes[i], float(found.scores[i]), float(found.frontal[i]), found.tilt(i), held)

    def _replaced(self, track: _Track, sight: _Sight, time: float) -> bool:
        """Whether somebody else is in a track's place now, which two looks must agree on while the track is fresh.

        The first such look is the rival's. What is like neither in the second is a face that features do not tell.
        """
        rival, options = track.rival, self.options
        track.rival = None
        if not self._another(track.sight, sight):
            return False
        if time - track.seen > options.calm_interval + options.frame_interval + 1e-6:
            return True
        if rival is None:
            track.rival = sight
        return rival is not None and not self._another(rival, sight)

    def _another(self, before: _Sight, now: _Sight) -> bool:
        """Whether two faces in one place are two people's: a cut in one spot before an unchanging backdrop."""
        if before.features is None or now.features is None or min(before.box[2], now.box[2]) < _TELLING:
            return False
        return resemblance(before.features, now.features) < self.options.same

    def _seen(self, track: _Track, sight: _Sight, frame: VideoFrame) -> None:
        moved = sight.box[:2] + sight.box[2:] / 2 - track.box[:2] - track.box[2:] / 2
        track.velocity = 0.5 * track.velocity + 0.5 * moved / max(frame.time - track.at, 1e-3)
        track.box = _steadied(track.box, sight.box)
        track.patch, track.seen, track.sight, track.frontal = _patch(frame, track.box), frame.time, sight, sight.frontal
        track.at = frame.time
        track.sightings.count += 1

    def _followed(self, track: _Track, frame: VideoFrame) -> bool:
        """Moves a track to where its last picture fits best nearby; whether it fits anywhere."""
        if frame.time - track.seen > self.options.coast:
            return False
        square = np.round(squared(track.ahead(frame.time), 0.5))
        around = cv2.cvtColor(cut(frame.rgb, square, NEAR), cv2.COLOR_RGB2GRAY)
        if min(float(around.std()), float(track.patch.std())) < 4:
            return False
        _, best, _, (dx, dy) = cv2.minMaxLoc(cv2.matchTemplate(around, track.patch, cv2.TM_CCOEFF_NORMED))
        if best < _FITS:
            return False
        centre = square[:2] + (np.array([dx, dy]) + track.patch.shape[0] / 2) * square[2] / NEAR
        track.velocity = 0.5 * track.velocity
        track.box = np.array([*(centre - track.box[2:] / 2), *track.box[2:]])
        track.frontal, track.at, track.rival = 0.6 * track.frontal, frame.time, None
        return True

    def _appeared(self, sight: _Sight, frame: VideoFrame) -> _Track:
        """A track for a face that no track explains: of a person known from before, or of a new one."""
        looks = appearance(frame.rgb, sight.box)
        here = {track.person for track in self._tracks}
        known = [track for track in self._gone if track.person not in here]
        likeness = [self._likeness(track, sight, looks, frame.time) for track in known]
        best = int(np.argmax(likeness)) if known else -1
        person, sightings = self._people, Sightings()
        if known and likeness[best] >= self.options.alike:
            before = known[best]
            self._gone.remove(before)
            person = before.person
            sightings.count += before.sightings.count if 0.6 < sight.box[2] / before.box[2] < 1.6 else 0
        else:
            self._people += 1
        patch = _patch(frame, sight.box)
        return _Track(
            person, sight, looks, patch, frame.time, sight.box, sightings, frontal=sight.frontal, at=frame.time
        )

    def _likeness(self, track: _Track, sight: _Sight, looks: np.ndarray, time: float) -> float:
        """Likeness of looks, with a bonus for the same place a moment ago (the detector blinked)."""
        likeness = float(track.looks @ looks)
        if time - track.seen < 3.0 and overlap(track.box, sight.box) > 0.4 and not self._cuts.now:
            return -1.0 if self._another(track.sight, sight) else likeness + 0.3
        return likeness

    def _crop(self, track: _Track, frame: VideoFrame) -> Crop:
        options = self.options
        square = squared(track.box, options.margin)
        picture = cut(frame.rgb, square, options.crop_size, track.sight.tilt if options.align else 0.0)
        side = float(square[2] / (1 + 2 * options.margin))
        good = quality(picture, side, track.frontal, options.crop_size)
        return Crop(frame.time, picture, square, good, track.sightings, self._next_detection - frame.time)


def _calm(track: _Track) -> bool:
    """Whether a face was seen surely, more than once, and hardly moves."""
    steady = float(np.linalg.norm(track.velocity)) <= _CALM * track.box[2]
    return steady and track.seen == track.at and track.sight.score >= _SURE and track.sightings.count > 1


def _steadied(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The new box, its side drawn towards the old one's, since detectors know sizes only roughly."""
    if not 0.75 < new[2] / old[2] < 1.33:
        return new
    side = 0.6 * old[2] + 0.4 * new[2]
    centre = new[:2] + new[2:] / 2
    return np.array([*(centre - side / 2), side, side])


def _patch(frame: VideoFrame, box: np.ndarray) -> np.ndarray:
    """The inner three quarters of a face, grey, at the scale of `NEAR`, to be found again."""
    inner = squared(box, -0.125)
    return cv2.cvtColor(cut(frame.rgb, inner, round(NEAR * 3 / 8)), cv2.COLOR_RGB2GRAY)
