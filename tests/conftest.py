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
def decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of a random language model by its model type, in the published format: head, tokenizer without padding.

    `-wide` after the type: rows as long as a block of weights in 4 bits.
    """
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            tokenizer = _space_tokenizer() if kind in SPACED else _bytes_tokenizer()
            tokenizer.save_pretrained(made[kind])
            _language_model(*kind.partition("-")[::2], len(tokenizer)).save_pretrained(made[kind])
        return made[kind]

    return folder


SPACED = ("llama",)
"""Kinds whose tokenizer puts a space before the first word and <s> before a text."""
_SAYINGS = ["i am so happy! this is great so so happy", "sad this is terrible i am so sad", "Joey: hi Ross: yes: no"]


def _bytes_tokenizer():
    """As those of GPT-2 and Qwen: bytes, no marker around a text, padded on the left by whoever pads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    inner.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
    )
    inner.train_from_iterator(_SAYINGS * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|endoftext|>",
        bos_token="<|endoftext|>",
        padding_side="left",
        truncation_side="left",
    )


def _space_tokenizer():
    """As Llama 2's: a space before the first word, unknown letters in bytes, <s> before a text."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    inner = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    inner.normalizer = normalizers.Sequence(  # type: ignore[assignment]
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    inner.decoder = decoders.Sequence(  # type: ignore[assignment]
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=special, show_progress=False)
    inner.train_from_iterator([word for said in _SAYINGS for word in said.split()] * 4, trainer)
    inner.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])  # type: ignore
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def _language_model(kind: str, width: str, vocabulary: int):
    """Of two layers and random weights, with keys shared by two queries where the kind has that."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    shape |= {"intermediate_size": 32, "max_position_embeddings": 64, "head_dim": 8}
    if kind == "gpt2":
        shape = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64}
    if kind == "opt":
        shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 32}
        shape |= {"max_position_embeddings": 64, "word_embed_proj_dim": 8}
    if width:
        shape |= {"hidden_size": 64, "intermediate_size": 128, "n_embd": 64, "head_dim": 16}
    torch.manual_seed(0)
    markers = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
    config = AutoConfig.for_model(kind, vocab_size=vocabulary, initializer_range=0.2, **shape, **markers)
    return AutoModelForCausalLM.from_config(config)


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


@pytest.fixture(scope="session")
def published() -> Callable[[str, Path], Path]:
    """Writes a tiny random model of a family into a folder, in the format that its library publishes."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("published", ROOT / "tests" / "published.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.published


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
