"""TweetEval's emotion part: English tweets of SemEval-2018's anger, joy, optimism, sadness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names, polarity_of
from emofuse.types import Split, Utterance

FILES: dict[Split, str] = {"train": "train", "dev": "val", "test": "test"}
EMOTIONS = {"anger": "anger", "joy": "joy", "optimism": "joy", "sadness": "sadness"}
"""In the order of the published numbers."""


class TweetEval(Corpus):
    """No options. Names of users are `@user` in the corpus."""

    name = "tweeteval"
    licence = "research (SemEval-2018 Task 1)"
    citation = "Barbieri et al. 2020, TweetEval, Findings of EMNLP; Mohammad et al. 2018, SemEval-2018 Task 1"
    layout = """
        ROOT/datasets/emotion/train_text.txt, train_labels.txt    a tweet and its number (0 to 3) a line
        ROOT/datasets/emotion/val_text.txt, val_labels.txt
        ROOT/datasets/emotion/test_text.txt, test_labels.txt      optional
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", EMOTIONS),
        "polarity": Names("emotion", polarity_of(EMOTIONS)),
    }
    protocol = Protocol({"emotion": "macro_f1"})
    language = "English"

    def scan(self, root: Path, log: Log) -> Iterator[Utterance]:
        """Every tweet of the files that are there."""
        home = next(
            (root / f for f in ("datasets/emotion", "emotion", "") if (root / f / "train_text.txt").is_file()), None
        )
        if home is None:
            raise self.layout_error(root, "no train_text.txt")
        for split, name in FILES.items():
            if (home / f"{name}_text.txt").is_file():
                yield from self._tweets(home, name, split, log)

    def _tweets(self, home: Path, name: str, split: Split, log: Log) -> Iterator[Utterance]:
        tweets, numbers = (_lines(home / f"{name}_{part}.txt") for part in ("text", "labels"))
        if len(tweets) != len(numbers):
            raise self.layout_error(home, f"{len(tweets)} tweets but {len(numbers)} labels in {name}")
        for line, (tweet, number) in enumerate(zip(tweets, numbers, strict=True), start=1):
            text = " ".join(tweet.split())
            if number not in ("0", "1", "2", "3"):
                log.problem(f"{name}_labels.txt line {line}", "label", f"{number!r}", "a number from 0 to 3")
            elif text:
                labels = {"emotion": tuple(EMOTIONS)[int(number)]}
                yield Utterance(f"{name}_{line}", self.name, split, f"{name}_{line}", text=text, labels=labels)


def _lines(path: Path) -> list[str]:
    """Lines at newline characters alone: tweets hold other separators."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n") if path.is_file() else []
