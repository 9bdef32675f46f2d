"""SMP2020-EWECT: Chinese Weibo posts, about the epidemic (virus) and of every day (usual)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names, polarity_of
from emofuse.corpora.text import by_share
from emofuse.errors import DataError
from emofuse.types import Split, Utterance

EMOTIONS = {
    "happy": "joy", "angry": "anger", "sad": "sadness", "fear": "fear", "surprise": "surprise", "neutral": "neutral",
}  # fmt: skip
FILES: dict[str, Split] = {
    "virus_train": "train",
    "usual_train": "train",
    "virus_eval_labeled": "dev",
    "usual_eval_labeled": "dev",
    "virus_test_labeled": "test",
    "usual_test_labeled": "test",
}
FOLDERS = ("data/raw", "raw", "")


class Smp2020(Corpus):
    """Option `share`: of the evaluation posts, chosen by a hash of the text, trained on; the rest is dev.

    Posts of every day are in the evaluation part alone where usual_train.txt is not at hand.
    """

    name = "smp2020"
    licence = "shared task, research"
    citation = "SMP2020 Evaluation of Weibo Emotion Classification Technology (EWECT)"
    layout = """
        ROOT/data/raw/virus_train.txt, usual_train.txt                      JSON: a list of id, content, label
        ROOT/data/raw/virus_eval_labeled.txt, usual_eval_labeled.txt
        ROOT/data/raw/virus_test_labeled.txt, usual_test_labeled.txt        optional
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", EMOTIONS),
        "polarity": Names("emotion", polarity_of(EMOTIONS)),
    }
    protocol = Protocol({"emotion": "macro_f1"})
    language = "Chinese"

    def scan(self, root: Path, log: Log, *, share: float = 0.0) -> Iterator[Utterance]:
        """Every post of the files that are there."""
        if not 0 <= share < 1:
            raise DataError(f"smp2020 option share={share}; a share from 0 to below 1")
        home = next((root / f for f in FOLDERS if any((root / f / f"{n}.txt").is_file() for n in FILES)), None)
        if home is None:
            raise self.layout_error(root, "none of its files is there")
        for name, split in FILES.items():
            if (home / f"{name}.txt").is_file():
                yield from self._posts(home / f"{name}.txt", split, share, log)

    def _posts(self, path: Path, split: Split, share: float, log: Log) -> Iterator[Utterance]:
        try:
            posts = json.loads(path.read_text(encoding="utf-8-sig"))
        except json.JSONDecodeError as error:
            raise self.layout_error(path, f"it is not JSON ({error})") from error
        for place, post in enumerate(posts, start=1):
            where, text = f"{path.name} post {place}", " ".join(str(post.get("content", "")).split())
            if not text:
                log.problem(where, "row", "the text is empty", "give the post's text")
            elif post.get("label") not in EMOTIONS:
                log.problem(where, "label", f"label {post.get('label')!r}", f"one of {', '.join(EMOTIONS)}")
            else:
                name = f"{path.stem}_{post.get('id', place)}"
                yield Utterance(
                    id=name,
                    corpus=self.name,
                    split="train" if split == "dev" and by_share(text, share) else split,
                    speaker=name,
                    text=text,
                    labels={"emotion": post["label"]},
                )
