"""Rewritten texts: back-translation and paraphrase by local sequence-to-sequence models, once before training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emofuse.errors import RecipeError, first_line
from emofuse.files import write_file
from emofuse.media.transcript import spread, tokenize
from emofuse.training.recipe.augmentation import TextAugment
from emofuse.types import Segment

Rewritten = Mapping[str, tuple[str, ...]]
"""Text, as `key_of` has it → other ways to say it."""
BEAMS, BATCH = 4, 16
KEPT = 8
"""Batches after which what was done is written: a run that is killed goes on there."""


def key_of(text: str) -> str:
    """A text by its words, as a segment holds them."""
    return " ".join(tokenize(text))


def rewritten(
    texts: Iterable[str], options: TextAugment, folder: Path, say: Callable[[str], None] = lambda line: None
) -> Rewritten:
    """What the models of `options` make of each text; what equals the text, or is empty, is left out.

    Answers are kept in `folder` by model and text, so that seeds and later runs that share it ask once (beam search
    draws nothing). Raises RecipeError for a model that is none of sequences to sequences.
    """
    unique = list(dict.fromkeys(key_of(text) for text in texts if text.strip()))
    chains = [[options.paraphrase]] if options.paraphrase else []
    if options.back_translation:
        chains.append([options.back_translation.there, options.back_translation.back])
    found: dict[str, list[str]] = {text: [] for text in unique}
    for chain in chains:
        said = dict(zip(unique, unique, strict=True))
        for model in chain:
            answers = _answers(model, list(dict.fromkeys(said.values())), folder, say)
            said = {text: answers[now] for text, now in said.items()}
        for text, now in said.items():
            if now and now.casefold() != text.casefold() and now not in found[text]:
                found[text].append(now)
    return {text: tuple(ways) for text, ways in found.items() if ways}


def rewrite(segment: Segment, ways: Rewritten, chance: float, rng: np.random.Generator) -> Segment:
    """The segment with one of its words' rewritings, all equally likely, over the same seconds; its context stays."""
    words = segment.words
    if not words or rng.random() >= chance:
        return segment
    others = ways.get(" ".join(w.text for w in words))
    if not others:
        return segment
    text = others[rng.integers(len(others))]
    return replace(segment, words=spread(text, words[0].start, words[-1].end))


def _answers(model: str, texts: Sequence[str], folder: Path, say: Callable[[str], None]) -> dict[str, str]:
    """The model's answer to each text, from the folder where it is there already."""
    path = folder / f"{_fingerprint(model)}.json"
    known: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    left = sorted({text for text in texts if text and text not in known}, key=lambda text: (len(text), text))
    known[""] = ""
    if not left:
        return known
    say(f"  {len(left)} texts to be rewritten by {Path(model).name}")
    network, tokenizer = _loaded(model)
    folder.mkdir(parents=True, exist_ok=True)
    for number, at in enumerate(range(0, len(left), BATCH), start=1):
        part = left[at : at + BATCH]
        known |= dict(zip(part, _generated(network, tokenizer, part), strict=True))
        if number % KEPT == 0 or at + BATCH >= len(left):
            write_file(path, json.dumps(known, ensure_ascii=False))
    return known


@torch.no_grad()
def _generated(network: Any, tokenizer: Any, texts: Sequence[str]) -> list[str]:
    batch = tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True)
    given = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask")}
    longest = 2 * given["input_ids"].shape[1] + 8
    out = network.generate(**given, num_beams=BEAMS, do_sample=False, max_new_tokens=longest)
    return [key_of(text) for text in tokenizer.batch_decode(out, skip_special_tokens=True)]


def _loaded(model: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    try:
        return AutoModelForSeq2SeqLM.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError, ImportError) as error:
        raise RecipeError(
            f"augment.text: {model!r} cannot be read as a model of sequences to sequences with its tokenizer "
            f"({first_line(error)}); give the folder of a Marian, T5 or BART model"
        ) from error


def _fingerprint(model: str) -> str:
    """What differs where the model would answer otherwise: a folder's files by content, a hub id by name."""
    digest, folder = hashlib.sha256(f"{BEAMS} {model if not Path(model).is_dir() else ''}".encode()), Path(model)
    for file in sorted(folder.glob("*")) if folder.is_dir() else ():
        if file.is_file():
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"rewritten-{digest.hexdigest()[:16]}"
