"""Predictions and analyses made by hand, a pipeline around a tiny model, and clips good and bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from emofuse.media.decode import VideoFrame, read_audio, stream
from emofuse.modalities import Modality
from emofuse.pipeline.aggregate import aggregate
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.pipeline import Pipeline
from emofuse.tasks import EMOTIONS, POLARITIES
from emofuse.types import Prediction, Word


def distribution(names: tuple[str, ...], first: str, share: float) -> dict[str, float]:
    """`share` on one name, the rest spread evenly."""
    return {name: share if name == first else (1 - share) / (len(names) - 1) for name in names}


@pytest.fixture
def make_prediction() -> Callable[..., Prediction]:
    """Builds a prediction whose every field follows from a few numbers."""

    def build(
        start: float = 0.0,
        end: float = 1.0,
        emotion: str = "joy",
        share: float = 0.7,
        present: tuple[Modality, ...] = ("text", "speech", "face"),
        person: int | None = 0,
        **fields: object,
    ) -> Prediction:
        alone = {m: distribution(EMOTIONS, emotion, 0.5) for m in present}
        values: dict = {
            "polarity": distribution(POLARITIES, "positive", 0.6),
            "valence": 0.25,
            "by_modality": alone,
            "embedding": np.array([1.0, 0.0], np.float32),
        } | fields
        return Prediction(start, end, person, frozenset(present), distribution(EMOTIONS, emotion, share), **values)

    return build


@pytest.fixture
def analysis(make_prediction) -> Analysis:
    """Two segments; in the second, a second person is in view."""
    segments = [
        make_prediction(0.0, 2.0),
        make_prediction(2.5, 4.0, "anger", 0.9),
        make_prediction(2.5, 4.0, "fear", 0.4, ("face",), person=1),
    ]
    words = (Word("I", 0.1, 0.3), Word("<can't> & won't", 0.3, 1.0), Word("“no”, ça", 3.0, 3.5))
    return Analysis("a, clip.mp4", 4.0, "tiny", aggregate(segments), segments, words, ("two people are in view",))


@pytest.fixture(scope="session")
def sample(repository: Path) -> Path:
    """The clip that comes with the project: a face, a voice, three sentences in sample.srt."""
    return repository / "demo" / "samples" / "sample.mp4"


@pytest.fixture(scope="session")
def words(sample: Path) -> Path:
    """What is said in the sample."""
    return sample.with_suffix(".srt")


@pytest.fixture(scope="session")
def pipeline(tiny_pipeline) -> Pipeline:
    """The whole pipeline around a model with random weights."""
    return tiny_pipeline()


@pytest.fixture(scope="session")
def whole(pipeline: Pipeline, sample: Path, words: Path) -> Analysis:
    """The sample with its words, analysed."""
    return pipeline(sample, transcript=words)


@pytest.fixture(scope="session")
def voice(sample: Path) -> tuple[int, np.ndarray]:
    """The sample's voice, as a microphone would give it."""
    return 16_000, read_audio(sample)


@pytest.fixture(scope="session")
def face(sample: Path) -> np.ndarray:
    """A frame of the sample."""
    return next(item.rgb for item in stream(sample, audio=False) if isinstance(item, VideoFrame))


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> dict[str, tuple[Path, str]]:
    """What people hand in by mistake: (path, what the message must say)."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "notes.mp4").write_bytes(b"these are not moving pictures\n" * 200)
    (folder / "cut.mp4").write_bytes(_index_last(sample, folder / "whole.mp4").read_bytes()[:100_000])
    (folder / "empty.mp4").touch()
    (folder / "long.txt").write_text("I am so happy today. " * 500_000)
    (folder / "texts").mkdir()
    return {
        "not media": (folder / "notes.mp4", r"it is not media, or was cut off .* copy, record or convert it again"),
        "truncated": (folder / "cut.mp4", r"it is not media, or was cut off before its index was written"),
        "zero bytes": (folder / "empty.mp4", r"the file is empty \(0 bytes\); record, copy or download it again"),
        "long text": (folder / "long.txt", r"10\.5 MB of text are too much; at most 2 MB are valid: cut it into parts"),
        "folder": (
            folder / "texts",
            r"it is a folder; name a file in it|the folder '.*' holds no media; it should hold",
        ),
        "missing": (folder / "nowhere.mp4", r"there is no such file; check the spelling and the folder of the path"),
    }


def _index_last(clip: Path, copy: Path) -> Path:
    """The same clip with its index at the end, as a recorder writes it."""
    with av.open(str(clip)) as source, av.open(str(copy), "w") as target:
        tracks = {track.index: target.add_stream_from_template(track) for track in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = tracks[packet.stream.index]
                target.mux(packet)
    return copy
