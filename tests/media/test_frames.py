"""Moving pictures in memory: the same frames at the same seconds as the file they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from emofuse.errors import MediaError
from emofuse.media.clip import open_clip
from emofuse.media.decode import AudioBlock, Reach, VideoFrame
from emofuse.media.frames import as_frames
from emofuse.media.limits import LimitError, Limits


@pytest.fixture
def pictures() -> np.ndarray:
    """20 pictures, each of its own grey."""
    return np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None, None], (20, 6, 8, 3)).copy()


def test_lists_arrays_and_tensors_of_pictures_are_the_same_video(pictures: np.ndarray) -> None:
    first = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    for held in (pictures, list(pictures), [Image.fromarray(p) for p in pictures], first, first / 255, [*first]):
        clip = open_clip(frames=(10, held))
        assert clip.has_video and not clip.has_audio and clip.duration == 2.0
        items = list(clip.items(reach=(reach := Reach())))
        assert [item.time for item in items] == pytest.approx(np.arange(20) / 10)
        assert [item.rgb[0, 0, 0] for item in items] == list(range(20)) and items[0].rgb.shape == (6, 8, 3)
        assert reach.pictures == 2.0


def test_pictures_come_on_the_grid_that_a_file_has_them_on(make: Any) -> None:
    times = make.times(2.0)
    path = make.clip("a.mkv", pictures=make.picture, times=times)
    held = open_clip(frames=(25, [make.picture(t) for t in times]))
    seen = [[i.time for i in clip.items(0.1) if isinstance(i, VideoFrame)] for clip in (open_clip(path), held)]
    assert seen[0] == pytest.approx(seen[1], abs=2e-3)


def test_sound_and_pictures_in_memory_come_in_order_of_time(pictures: np.ndarray) -> None:
    clip = open_clip(frames=(10, pictures), audio=(16_000, np.full(48_000, 0.1, np.float32)), text="hello")
    assert clip.duration == 3.0 and clip.has_audio and clip.has_video and clip.transcript is not None
    items = list(clip.items())
    when = [item.start if isinstance(item, AudioBlock) else item.time for item in items]
    assert when == sorted(when) and {type(item) for item in items} == {AudioBlock, VideoFrame}
    assert all(isinstance(item, AudioBlock) for item in clip.items(video=False))


def test_limits_hold(pictures: np.ndarray) -> None:
    with pytest.raises(LimitError, match="more than 5 frames"):
        list(open_clip(frames=(10, pictures)).items(limits=Limits(frames=5)))


def generated() -> Iterator[np.ndarray]:
    yield np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([np.zeros((4, 4, 3), np.uint8)] * 3, r"frames is a pair \(rate in Hz, pictures\), not a list: frames=\(25"),
        ((25, generated()), r"not generator: list\(pictures\)"),
        ((25, []), "holds no picture"),
        ((0, np.zeros((2, 4, 4, 3), np.uint8)), "0 frames a second are not usable"),
        ((float("nan"), np.zeros((2, 4, 4, 3), np.uint8)), "nan frames a second are not usable"),
        ((25, np.zeros(4, np.uint8)), r"shape \(4,\) is no row of pictures; give \(frames, height, width, 3\)"),
        ((25, [np.zeros((4, 4, 3), np.int64)]), "frame 0: a picture is an array of uint8"),
        ((25, [np.zeros((4, 4, 3), np.uint8), "x"]), "frame 1: cannot read x: there is no such file"),
        ((25, [np.zeros((4, 4, 3), np.uint8)] * 2 + [None]), "frame 2: a picture is not NoneType"),
        ((25, [torch.zeros(3, 4, 4), torch.zeros(4)]), r"frame 1: an array of shape \(4,\) is not a picture"),
        (
            (25, [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 5), np.uint8)]),
            r"frame 1: .* \(4, 4, 5\) is not a picture",
        ),
    ],
)
def test_frames_that_are_none_name_the_conversion(frames: Any, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        as_frames(frames)


class Lazy(Sequence):
    """Pictures that are made as they are asked for."""

    def __init__(self, pictures: list[Any]) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, place: Any) -> Any:
        return Lazy(self.pictures[place]) if isinstance(place, slice) else self.pictures[place]


def test_a_bad_frame_between_those_that_are_looked_at_is_named_by_its_place_in_what_was_given() -> None:
    frames = as_frames((25, Lazy([np.zeros((4, 4, 3), np.uint8)] * 30 + ["x"])))
    assert frames is not None and len(list(frames.within(0.0, 1.0).items(interval=0.5))) == 2
    with pytest.raises(MediaError, match=r"^frame 30: cannot read x: there is no such file"):
        list(frames.within(1.0, None).items(interval=0.5))


def test_a_frame_of_another_size_is_named() -> None:
    frames = as_frames((5, [np.zeros((4, 4, 3), np.uint8), np.zeros((6, 4, 3), np.uint8)]))
    assert frames is not None
    with pytest.raises(MediaError, match=r"frame 1 is 4 x 6, the first 4 x 4; make all of one size"):
        list(frames.items())


def test_a_clip_is_one_thing(pictures: np.ndarray) -> None:
    with pytest.raises(MediaError, match="source= and frames= were both given"):
        open_clip("a.mp4", frames=(5, pictures))
    with pytest.raises(MediaError, match="image= and frames= were both given"):
        open_clip(image=pictures[0], frames=(5, pictures))
