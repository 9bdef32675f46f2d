"""Face tracks: detections joined over frames, followed in between, recognised after a cut."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from emofuse.media.faces.crop import Crop, appearance, cut, quality, squared
from emofuse.media.faces.detect import NO_FACES, FaceDetector, Faces, HaarDetector, overlap
from emofuse.media.image import VideoFrame


@dataclass(frozen=True)
class FaceOptions:
    """How faces are looked for; times in seconds."""

    frame_interval: float = 0.2
    """Between the frames that are looked at."""
    detect_interval: float = 0.4
    """Between detections; in the frames between, known faces are followed by their looks."""
    scan_interval: float = 2.0
    """Between detections in the whole frame while somebody is followed; the others look around the known faces. While
    nobody is followed all of them look everywhere, and every fifth looks harder."""
    coast: float = 1.0
    """How long a face that the detector does not see is followed by its looks alone."""
    smallest: float = 0.07
    """Least side of a face, as a share of the frame's longer side."""
    most_people: int = 6
    """Faces followed at once; the largest are."""
    remembered: int = 32
    """People who left the picture and are known when they come back."""
    alike: float = 0.85
    """Likeness from which somebody who appears is taken for somebody who was there before."""
    crop_size: int = 112
    """Side of a crop in pixels."""
    margin: float = 0.0
    """Added around the face on each side, as a share of its side; 0 frames it as in FER2013."""
    max_crops: int = 8
    """Crops of one person in one segment."""
    crop_interval: float = 1.0
    """Seconds a crop stands for: more crops than that of a segment (at least two) add next to nothing."""


@dataclass(eq=False)
class _Track:
    person: int
    box: Float[np.ndarray, "4"]
    """In pixels of the small picture."""
    patch: UInt8[np.ndarray, "h w"]
    looks: Float[np.ndarray, " features"]
    seen: float
    frontal: float = 1.0
    sightings: int = 1
    velocity: Float[np.ndarray, "2"] = field(default_factory=lambda: np.zeros(2))
    followed: bool = False


class FaceTracker:
    """Frames in, crops by person out. Only the small pictures of the current tracks are kept, never a frame.

    The detector looks at the whole frame every `scan_interval`, in between around each known face, and in between
    those, or where it misses for a while, template matching follows the face. A track counts once the detector has
    found it a second time, unless it looked only once.
    """

    def __init__(self, detector: FaceDetector | None = None, options: FaceOptions | None = None) -> None:
        self.detector = detector or HaarDetector()
        self.options = options or FaceOptions()
        self._tracks: list[_Track] = []
        self._gone: list[_Track] = []
        self._people = 0
        self._next_scan = self._next_look = float("-inf")
        self._idle = 0
        self._looks = 0
        self._last: np.ndarray | None = None
        self._was_cut = False

    def confirmed(self, person: int) -> bool:
        """Whether this person was found more than once, or could not have been."""
        sightings = [track.sightings for track in (*self._tracks, *self._gone) if track.person == person]
        return max(sightings, default=2) >= min(2, self._looks)

    def push(self, frame: VideoFrame) -> list[tuple[int, Crop]]:
        """The crops of everybody seen in this frame, with the number of the person; none where it only follows."""
        small = frame.shrunk(self.detector.longest, self.detector.colour)
        grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        scale = grey.shape[1] / frame.width
        if self._is_cut(grey):
            self._gone = (self._tracks + self._gone)[: self.options.remembered]
            self._tracks, self._next_look = [], float("-inf")
        looks = self._looks
        found = self._look(frame, small)
        if len(found) or self._tracks:
            self._update(found, grey, frame, scale)
        self._last = grey
        if self._looks == looks:
            return []
        return [(track.person, self._crop(track, frame, scale)) for track in self._tracks]

    def _look(self, frame: VideoFrame, small: np.ndarray) -> Faces:
        """What the detector finds, if it is its turn: everywhere, or around the known faces."""
        if frame.time < self._next_look - 1e-6:
            return NO_FACES
        self._next_look = frame.time + self.options.detect_interval
        self._looks += 1
        if self._tracks and frame.time < self._next_scan - 1e-6:
            return _joined([self._near(track, small) for track in self._tracks])
        self._next_scan = frame.time + self.options.scan_interval
        found = self.detector.detect(small, self.options.smallest)
        if len(found) or self._tracks:
            return found
        self._idle += 1
        if self._idle % 5 != 1:
            return found
        larger = frame.shrunk(self.detector.longest * 2, self.detector.colour)
        found = self.detector.detect(larger, self.options.smallest, effort="deep")
        return found.moved(larger.shape[1] / small.shape[1], 0, 0)

    def _near(self, track: _Track, small: np.ndarray) -> Faces:
        """The face in twice the box where the track should be by now, in a piece of about 100 pixels."""
        box = squared(track.box, 0.5)
        box[:2] += track.velocity
        x, y = max(0, int(box[0])), max(0, int(box[1]))
        piece = small[y : int(box[1] + box[3]), x : int(box[0] + box[2])]
        if min(piece.shape[:2], default=0) < 24:
            return NO_FACES
        scale = 100 / max(piece.shape[:2])
        size = (round(piece.shape[1] * scale), round(piece.shape[0] * scale))
        piece = cv2.resize(piece, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        return self.detector.detect(piece, 0.35, 0.85).moved(scale, x, y)

    def _update(self, found: Faces, grey: np.ndarray, frame: VideoFrame, scale: float) -> None:
        free = list(range(len(found)))
        for track in self._tracks:
            track.followed = False
        pairs = sorted(
            ((overlap(_ahead(track), found.boxes[i]), n, i) for n, track in enumerate(self._tracks) for i in free),
            reverse=True,
        )
        taken: set[int] = set()
        for score, n, i in pairs:
            if score < 0.25 or n in taken or i not in free:
                continue
            taken.add(n)
            free.remove(i)
            self._seen(self._tracks[n], found.boxes[i], float(found.frontal[i]), grey, frame)
        free = [i for i in free if all(overlap(t.box, found.boxes[i]) < 0.25 for t in self._tracks)]
        for n, track in enumerate(self._tracks):
            if n not in taken:
                self._follow(track, grey)
        for track in [t for t in self._tracks if not t.followed or frame.time - t.seen > self.options.coast]:
            self._tracks.remove(track)
            self._gone = [track, *self._gone][: self.options.remembered]
        for i in free:
            self._tracks.append(self._appeared(found.boxes[i], float(found.frontal[i]), grey, frame, scale))
        self._tracks = sorted(self._tracks, key=lambda t: -t.box[2])[: self.options.most_people]

    def _seen(self, track: _Track, box: np.ndarray, frontal: float, grey: np.ndarray, frame: VideoFrame) -> None:
        moved = box[:2] + box[2:] / 2 - track.box[:2] - track.box[2:] / 2
        track.velocity = 0.5 * track.velocity + 0.5 * moved
        track.box = _steadied(track.box, box)
        track.patch, track.seen, track.frontal, track.followed = _patch(grey, track.box), frame.time, frontal, True
        track.sightings += 1

    def _follow(self, track: _Track, grey: np.ndarray) -> None:
        """Moves a track to where its last picture fits best nearby; `followed` says whether it fits anywhere."""
        area = squared(_ahead(track), 0.35)
        x, y = max(0, int(area[0])), max(0, int(area[1]))
        piece = grey[y : int(area[1] + area[3]), x : int(area[0] + area[2])]
        if piece.shape[0] < track.patch.shape[0] or piece.shape[1] < track.patch.shape[1]:
            return
        _, best, _, (dx, dy) = cv2.minMaxLoc(cv2.matchTemplate(piece, track.patch, cv2.TM_CCOEFF_NORMED))
        if best >= 0.7:
            inner = track.patch.shape
            centre = np.array([x + dx + inner[1] / 2, y + dy + inner[0] / 2])
            track.velocity = 0.5 * track.velocity
            track.box = np.array([*(centre - track.box[2:] / 2), *track.box[2:]])
            track.frontal, track.followed = 0.6 * track.frontal, True

    def _appeared(self, box: np.ndarray, frontal: float, grey: np.ndarray, frame: VideoFrame, scale: float) -> _Track:
        """A track for a face that no track explains: of a person known from before, or of a new one."""
        looks = appearance(frame.rgb, box / scale)
        here = {track.person for track in self._tracks}
        known = [track for track in self._gone if track.person not in here]
        likeness = [self._likeness(track, looks, box, frame.time) for track in known]
        best = int(np.argmax(likeness)) if known else -1
        if known and likeness[best] >= self.options.alike:
            before = known[best]
            self._gone.remove(before)
            person, sightings = before.person, before.sightings + 1
        else:
            person, sightings, self._people = self._people, 1, self._people + 1
        return _Track(person, box, _patch(grey, box), looks, frame.time, frontal, sightings, followed=True)

    def _likeness(self, track: _Track, looks: np.ndarray, box: np.ndarray, time: float) -> float:
        """Likeness of looks, with a bonus for the same place a moment ago (the detector blinked)."""
        blinked = time - track.seen < 3.0 and overlap(track.box, box) > 0.4 and not self._was_cut
        return float(track.looks @ looks) + 0.3 * blinked

    def _is_cut(self, grey: np.ndarray) -> bool:
        """Whether the picture changed as it only does from one shot to the next."""
        if self._last is None or self._last.shape != grey.shape:
            self._was_cut = False
            return False
        change = float(np.abs(grey.astype(np.int16) - self._last).mean())
        histograms = [cv2.calcHist([picture], [0], None, [32], [0, 256]) for picture in (grey, self._last)]
        alike = cv2.compareHist(*histograms, cv2.HISTCMP_CORREL)
        self._was_cut = (change > 25 and alike < 0.8) or change > 45
        return self._was_cut

    def _crop(self, track: _Track, frame: VideoFrame, scale: float) -> Crop:
        square = squared(track.box / scale, self.options.margin)
        picture = cut(frame.rgb, square, self.options.crop_size)
        side = float(square[2] / (1 + 2 * self.options.margin))
        return Crop(frame.time, picture, square, quality(picture, side, track.frontal, self.options.crop_size))


def _ahead(track: _Track) -> np.ndarray:
    """Where the track should be in the next frame."""
    return np.array([*(track.box[:2] + track.velocity), *track.box[2:]])


def _steadied(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The new box, its side drawn towards the old one's, since cascades know sizes only in steps."""
    if not 0.75 < new[2] / old[2] < 1.33:
        return new
    side = 0.6 * old[2] + 0.4 * new[2]
    centre = new[:2] + new[2:] / 2
    return np.array([*(centre - side / 2), side, side])


def _patch(grey: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The inner three quarters of a face, to be found again."""
    x, y, width, height = box
    x0, y0 = int(max(0, x + width / 8)), int(max(0, y + height / 8))
    return grey[y0 : max(y0 + 1, int(y + height * 7 / 8)), x0 : max(x0 + 1, int(x + width * 7 / 8))].copy()


def _joined(parts: list[Faces]) -> Faces:
    """The best face of each look, without those that two looks share."""
    kept: list[tuple[np.ndarray, float, float]] = []
    for part in parts:
        for i in np.argsort(-part.scores)[:1]:
            if all(overlap(part.boxes[i], box) < 0.3 for box, _, _ in kept):
                kept.append((part.boxes[i], float(part.scores[i]), float(part.frontal[i])))
    boxes, scores, frontal = zip(*kept, strict=True) if kept else ((), (), ())
    return Faces(np.array(boxes).reshape(-1, 4), np.array(scores), np.array(frontal))
