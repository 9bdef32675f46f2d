"""Several tracks of a kind, pictures that stand, and how long a clip is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.stream import Disposition

from emofuse.media.decode import Reach, probe, read_audio, stream
from emofuse.media.faces.collect import FaceCollector
from emofuse.media.image import VideoFrame

RATE = 16_000


def two_tracks(path: Path, levels: tuple[float, float], flags: tuple[Disposition, Disposition]) -> Path:
    """A file of two tracks of a steady tone, each of its own amplitude and disposition."""
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in levels]
        for track, flag in zip(tracks, flags, strict=True):
            track.disposition = flag
        for track, level in zip(tracks, levels, strict=True):
            wave = (level * np.sin(np.arange(RATE) / 8)).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            for packet in [*track.encode(frame), *track.encode(None)]:
                container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("flags", "taken"),
    [
        ((Disposition(0), Disposition.default), 2),
        ((Disposition.default, Disposition(0)), 1),
        ((Disposition.default, Disposition.default), 1),
        ((Disposition(0), Disposition(0)), 1),
        ((Disposition.comment, Disposition(0)), 2),
        ((Disposition.default | Disposition.visual_impaired, Disposition(0)), 2),
    ],
)
def test_the_track_that_players_play_is_taken_and_named(
    tmp_path: Path, flags: tuple[Disposition, Disposition], taken: int
) -> None:
    path, notes = two_tracks(tmp_path / "two.mkv", (0.2, 0.4), flags), []
    (peak,) = {round(float(np.abs(block.samples).max()), 1) for block in stream(path, notes=notes)} - {0.0}
    assert peak == (0.2, 0.4)[taken - 1]
    assert notes == [f"the file has 2 audio tracks: number {taken}, which players play, was taken"]


def ending(path: Path, notes: list[str], interval: float = 0.2) -> tuple[list[float], float]:
    """The seconds of the pictures that come out, and the one at which the last ends."""
    reach = Reach()
    pictures = stream(path, notes=notes, frame_interval=interval, reach=reach)
    return [item.time for item in pictures if isinstance(item, VideoFrame)], reach.pictures


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mpg", ".ts", ".avi", ".h264", ".gif"])
def test_the_last_picture_ends_when_the_clip_does(make: SimpleNamespace, suffix: str) -> None:
    path = make.clip(f"clip{suffix}", pictures=make.picture, times=make.times(3.52))
    assert ending(path, [])[1] == pytest.approx(3.52, abs=0.05)


def test_a_show_of_slides_is_whole_and_lasts_to_its_end(tmp_path: Path, make: SimpleNamespace) -> None:
    """Pictures ten seconds apart: the file announces 30 s, and its last picture begins at 20 s."""
    path, notes = tmp_path / "slides.mp4", []
    with av.open(str(path), "w") as container:
        track = container.add_stream("mpeg4", rate=Fraction(1, 10))
        track.width, track.height, track.pix_fmt = 160, 120, "yuv420p"
        for i in range(3):
            frame = av.VideoFrame.from_ndarray(make.picture(0.0), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(10)
            for packet in track.encode(frame):
                container.mux(packet)
        for packet in track.encode(None):
            container.mux(packet)
    assert ending(path, notes) == (pytest.approx([0, 10, 20]), pytest.approx(30)) and notes == []


@pytest.mark.parametrize("suffix", [".aac", ".mp3", ".ac3"])
def test_a_length_that_is_only_estimated_is_counted(make: SimpleNamespace, suffix: str) -> None:
    """Loud at first and then silent: the mean of the first packets says nothing of the rest."""
    sound = make.tone(2.0)
    sound = np.concatenate([np.random.default_rng(0).uniform(-0.9, 0.9, sound.shape).astype(np.float32), 0 * sound], 1)
    path, notes = make.clip(f"clip{suffix}", sound=np.tile(sound, 3)), []
    assert probe(path).duration == pytest.approx(12.0, abs=0.15)
    assert read_audio(path).size / RATE == pytest.approx(12.0, abs=0.15)
    assert list(stream(path, notes=notes)) and notes == []


def test_a_picture_is_seen_until_the_next_one(portrait: np.ndarray) -> None:
    """One look at a face at 0 s, then nothing until 7 s: it is in view at 3 s, and not at 8 s."""
    collector = FaceCollector()
    collector.push(VideoFrame(0.0, rgb=portrait[0:240, 60:380]))
    collector.push(VideoFrame(7.0, rgb=np.zeros((240, 320, 3), np.uint8)))
    (track,) = collector.tracks(3.0, 5.0)
    assert track.person == 0 and ((track.times >= 3.0) & (track.times < 5.0)).all()
    assert track.seconds == pytest.approx(2.0, abs=0.4)
    assert collector.tracks(8.0, 9.0) == ()


def test_sound_past_the_last_picture_has_no_face_of_it(portrait: np.ndarray) -> None:
    """Two spans come out with no picture between them: the first forgets the crops, the picture still stands."""
    collector = FaceCollector()
    for i in range(21):
        collector.push(VideoFrame(i / 10, rgb=portrait[0:240, 60:380]))
    assert collector.tracks(0.0, 2.05) and collector.tracks(2.1, 2.7) == ()
