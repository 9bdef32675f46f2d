"""What every test may ask for."""

from __future__ import annotations

import asyncio
import os
import sys
import types
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from beartype import BeartypeConf, beartype
from hypothesis import settings
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from emofuse.data.examples import Example
    from emofuse.model.config import ModelConfig
    from emofuse.model.model import EmotionModel
    from emofuse.pipeline.pipeline import Pipeline
    from emofuse.types import Segment

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

CHECKED = ("emofuse.types", "emofuse.batch", "emofuse.model", "emofuse.encoders")
"""Modules whose shapes and types are checked at every call in the tests, and only there."""
checker = types.ModuleType("emofuse_checker")
checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as type checkers have it
sys.modules[checker.__name__] = checker
install_import_hook(CHECKED, "emofuse_checker.check")

ROOT = Path(__file__).resolve().parents[1]


MARKS = {"browser": {"browser"}, "corpora": {"corpora_root", "real_clip"}, "checkpoint": {"shipped"}}
"""Marks that follow from what a test asks for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its fixtures; whatever drives a browser is slow."""
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        for mark, fixtures in MARKS.items():
            if asked & fixtures:
                item.add_marker(mark)
        if "browser" in asked:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def corpora_root() -> Path:
    """The folder of real corpora: EMOFUSE_CORPORA, or shared/corpora beside the checkout."""
    root = Path(os.environ.get("EMOFUSE_CORPORA", ROOT.parent / "shared" / "corpora"))
    if not root.is_dir():
        pytest.skip(f"no corpora at {root}; set EMOFUSE_CORPORA to the folder that holds ravdess, meld, …")
    return root


@pytest.fixture(scope="session")
def real_clip(corpora_root: Path) -> Path:
    """A RAVDESS audio-visual clip (actor 01, neutral): a face, a voice, no transcript."""
    clip = corpora_root / "clips" / "01-01-01-01-01-01-01.mp4"
    if not clip.is_file():
        pytest.skip(f"no clip at {clip}")
    return clip


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout the tests run in."""
    return ROOT


@pytest.fixture(scope="session")
def shipped() -> EmotionModel:
    """The model that comes with the project."""
    from emofuse.model.model import EmotionModel

    return EmotionModel.from_pretrained("emofuse-small")


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT word-piece tokenizer of letters and a few words, in the published format."""
    from transformers import BertTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizer")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789!?.,':;-"
    words = ["happy", "sad", "not", "i", "am", "so", "this", "is", "great", "terrible"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *words, *"我很高兴"]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(dict.fromkeys(pieces)), "utf-8")
    BertTokenizerFast(vocab=str(vocabulary), do_lower_case=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_config(tiny_tokenizer: Path):
    """Configuration of a three-modality model of some ten thousand weights, from scratch."""
    from emofuse.model.config import ModelConfig

    bert = {
        "model_type": "bert",
        "vocab_size": 120,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    bert |= {"intermediate_size": 32, "max_position_embeddings": 256}
    speech = {"model_type": "wav2vec2-bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    speech |= {"intermediate_size": 32, "feature_projection_input_dim": 160, "conv_depthwise_kernel_size": 7}
    speech |= {"position_embeddings_type": "rotary"}
    face = {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "stem": [8, 8, 8]}
    return ModelConfig.model_validate(
        {
            "tasks": ["emotion", "polarity", "intensity"],
            "encoders": {
                "text": {"tokenizer": str(tiny_tokenizer), "architecture": bert},
                "speech": {"architecture": speech, "pool": "statistics"},
                "face": {"architecture": face, "image_size": 32, "grayscale": True},
            },
            "fusion": {"dim": 16, "layers": 2, "heads": 2},
        }
    )


@pytest.fixture
def tiny_model(tiny_config):
    """A three-modality model with random weights, in evaluation mode; the heads are random too, not zero."""
    import torch

    from emofuse.model.model import EmotionModel

    torch.manual_seed(0)
    model = EmotionModel(tiny_config).eval()
    for head in model.heads.values():
        torch.nn.init.normal_(head.linear.weight, std=0.3)
    return model


@pytest.fixture
def make_segment():
    """Builds a segment with all three modalities from a seed; length and word count vary with it."""
    import numpy as np

    from emofuse.types import FaceTrack, Segment, Word

    def build(seed: int = 0) -> Segment:
        rng = np.random.default_rng(seed)
        seconds = float(rng.uniform(0.4, 2.0))
        texts = ["i am so happy!", "this is not great", "sad", "terrible, i am so so sad this is not happy"]
        parts = texts[seed % len(texts)].split()
        edges = 1.0 + np.linspace(0, seconds, len(parts) + 1)
        words = tuple(Word(p, float(a), float(b)) for p, a, b in zip(parts, edges[:-1], edges[1:], strict=True))
        waveform = (rng.standard_normal(int(seconds * 16_000)) * 0.1).astype(np.float32)
        frames = int(rng.integers(1, 5))
        crops = rng.integers(0, 255, (frames, 40, 40, 3), dtype=np.uint8)
        times = np.linspace(1.0, 1.0 + seconds, frames, dtype=np.float32)
        track = FaceTrack(0, crops, times, np.zeros((frames, 4), np.float32), np.ones(frames, np.float32))
        context = ("A: this is great",) if seed % 2 else ()
        return Segment(str(seed), 1.0, 1.0 + seconds, words, waveform, (track,), context)

    return build


@pytest.fixture
def samples(make_segment: Callable[[int], Segment]) -> list[Example]:
    """24 samples of 4 speakers: every third without a face, every fifth without text, every seventh unlabelled."""
    import numpy as np

    from emofuse.data.examples import Example

    rng = np.random.default_rng(0)
    found = []
    for i in range(24):
        gone = (["face"] if i % 3 == 0 else []) + (["text"] if i % 5 == 0 else [])
        emotion = np.eye(7, dtype=np.float32)[rng.integers(0, 7)] * (np.nan if i % 7 == 6 else 1.0)
        targets = {
            "emotion": emotion.astype(np.float32),
            "polarity": np.full(3, np.nan, np.float32),
            "intensity": np.array([rng.random()], np.float32),
        }
        groups = {"speaker": f"s{i % 4}", "sex": "female" if i % 4 < 2 else "male"}
        segment = make_segment(i).without(*gone)
        found.append(Example(f"clip <{i}>", segment, targets, segment.present, f"s{i % 4}", groups))
    return found


@pytest.fixture(scope="session")
def tiny_pipeline(tiny_config: ModelConfig) -> Callable[[], Pipeline]:
    """Makes the whole pipeline around a model with random weights, always the same ones."""

    def make() -> Pipeline:
        import torch

        from emofuse.model.model import EmotionModel
        from emofuse.pipeline.pipeline import Pipeline

        torch.manual_seed(0)
        model = EmotionModel(tiny_config)
        for head in model.heads.values():
            torch.nn.init.normal_(head.linear.weight, std=0.3)
        return Pipeline(model, name="tiny")

    return make


@pytest.fixture(scope="session")
def in_loop() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """What a coroutine returns, in a loop and a thread of its own: the browser's tests keep a loop in this one."""

    def call(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with ThreadPoolExecutor(1) as alone:
            return alone.submit(asyncio.run, coroutine).result()

    return call
