"""Contrast: sentences composed of templates in pairs that one small word turns, for negation, hedges and asides."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml

from emofuse.corpora.corpus import Corpus, Log
from emofuse.corpora.folding import Folding, Names, same
from emofuse.corpora.text import by_share
from emofuse.tasks import EMOTIONS, POLARITIES
from emofuse.types import Utterance

FILE = "contrast.yml"
_SLOT = re.compile(r"\{(\w+)\}")


class Contrast(Corpus):
    """No options. Real corpora seldom negate: of one sentence and its twin a model then reads the emotional word alone.

    A tenth of the sentences, by a hash of the text, is dev.
    """

    name = "contrast"
    licence = "Apache-2.0"
    citation = "the templates of emofuse, recipes/emofuse-small/contrast/contrast.yml"
    layout = """
        ROOT/contrast.yml     words: slot → what may fill it; patterns: kind, emotion, polarity, texts with {slots}
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", same(*EMOTIONS)),
        "polarity": Names("polarity", same(*POLARITIES)),
    }
    language = "English"

    def scan(self, root: Path, log: Log) -> Iterator[Utterance]:
        """Every sentence that the templates give, once."""
        if not (root / FILE).is_file():
            raise self.layout_error(root, f"no {FILE}")
        seen: set[str] = set()
        for kind, text, labels in sentences(yaml.safe_load((root / FILE).read_text(encoding="utf-8"))):
            if text not in seen:
                seen.add(text)
                split = "dev" if by_share(text, 0.1) else "train"
                name = f"{kind}_{len(seen)}"
                yield Utterance(name, self.name, split, name, text=text, labels=labels)


def sentences(content: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Kind of the pattern, text, labels `emotion` and `polarity`."""
    for pattern in content["patterns"]:
        labels = {k: v for k, v in pattern.items() if k in ("emotion", "polarity")}
        for template in pattern["texts"]:
            for text in expand(template, content["words"]):
                yield pattern["kind"], text, labels


def expand(template: str, words: dict[str, list[str]]) -> Iterator[str]:
    """The template with every choice of words in its slots, its first letter large."""
    slots = list(dict.fromkeys(_SLOT.findall(template)))
    for chosen in itertools.product(*(words[slot] for slot in slots)):
        text = template.format_map(dict(zip(slots, chosen, strict=True)))
        yield text[0].upper() + text[1:]
