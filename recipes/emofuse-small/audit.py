"""Audit emofuse-small by sex, age and language, and by texts of the other gender, on development data.

    uv run python recipes/emofuse-small/audit.py ROOT [--model emofuse-small] [--out audit.json] [--card README.md]
        [--limit N]

ROOT holds the corpora. `--card` lays the section "By group" into a card that is there; `card.py --audit audit.json`
fills in a new one.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.data.examples import Example, read_examples
from emofuse.evaluation.audit import FEWEST, gap
from emofuse.evaluation.evaluate import evaluate_checkpoint
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.files import write_file
from emofuse.model.model import EmotionModel
from emofuse.tasks import EMOTIONS
from emofuse.training.dataset.augment.swap import swapped, swapped_text
from emofuse.types import Segment

RESAMPLES = 300
KINDS = ("sex", "age", "language")
PARTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ravdess", "RAVDESS actors 17-20, voices", {}),
    ("emodb", "EMO-DB, two speakers, voices", {}),
    ("nemo", "nEMO, two speakers, voices", {}),
    ("ased", "ASED, every sixth speaker, voices", {}),
    ("emotale", "EmoTale, two speakers, voices", {}),
    ("brighter", "BRIGHTER, texts", {"languages": ["eng", "chn", "deu"]}),
)
"""Corpora whose development part tells a group: folder, what it is, options of the reader."""
SWAPPED = (("goemotions", "GoEmotions dev"), ("meld", "MELD dev"))
"""Corpora of English texts whose gendered words and names are swapped."""
HEADING = "### By group"


def groups(model: EmotionModel, root: Path, limit: int | None) -> Iterator[dict[str, Any]]:
    """The emotion of each part by each kind of group that it tells."""
    for corpus, what, options in PARTS:
        found = evaluate_checkpoint(
            model, corpus, root / corpus, "dev", options=options, limit=limit, resamples=RESAMPLES
        )
        task = found.tasks["emotion"]
        for kind in KINDS:
            if kind in task.groups:
                yield {
                    "what": what,
                    "kind": kind,
                    "metric": task.leading,
                    "gap": None if (far := gap(task.groups[kind])) is None else far[2],
                    "groups": {
                        name: {
                            "n": one["n"],
                            "value": one["interval"].estimate,
                            "low": one["interval"].low,
                            "high": one["interval"].high,
                            "people": people(found.samples, kind, name),
                        }
                        for name, one in task.groups[kind].items()
                    },
                }


def people(samples: Sequence[Example], kind: str, name: str) -> int:
    """How many speakers, dialogues or files are behind a group."""
    return len({s.cluster for s in samples if s.groups.get(kind) == name})


def other(segment: Segment) -> Segment:
    """The segment with the other gender in its words and in the turns before."""
    context = tuple(map(swapped_text, segment.context))
    return replace(segment, words=swapped(segment.words or ()), context=context)


def swaps(model: EmotionModel, root: Path, limit: int | None) -> Iterator[dict[str, Any]]:
    """Of texts that name a gender: how far the answer moves when it is the other one."""
    for corpus, what in SWAPPED:
        texts = read_examples(corpus, root / corpus, "dev", model.tasks, ("text",), limit=limit).examples
        told = [e for e in texts if (s := e.load()) and other(s).words != s.words]
        before, after = (
            predict_examples(model, told, subsets=(), change=change).values[GIVEN]["emotion"]
            for change in (None, other)
        )
        moved = after - before
        yield {
            "what": what,
            "n": len(told),
            "of": len(texts),
            "changed": float((before.argmax(1) != after.argmax(1)).mean()),
            "distance": float(np.abs(moved).sum(1).mean() / 2),
        }


def section(found: Mapping[str, Any]) -> str:
    """The section of a card, without its heading."""
    rows = [
        [
            each["what"],
            each["kind"],
            name,
            f"{each['metric']} {one['value']:.3f}",
            f"[{one['low']:.3f}, {one['high']:.3f}]",
            str(one["n"]),
            str(one["people"]),
        ]
        for each in found["groups"]
        for name, one in each["groups"].items()
    ]
    header = ["development data", "group", "", "emotion", "95 % interval", "n", "people"]
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    gaps = [each for each in found["groups"] if each["gap"] is not None]
    widest = max(gaps, key=lambda each: each["gap"]) if gaps else None
    parts = [
        "The emotion by groups that these corpora tell (`recipes/emofuse-small/audit.py --limit 1000`); people are "
        f"speakers, or texts where none are known, and groups under {FEWEST} samples count together.",
        table,
    ]
    if widest is not None:
        parts.append(f"The widest gap is {widest['gap']:.3f}, by {widest['kind']} in {widest['what']}.")
    for each in found["swaps"]:
        parts.append(
            f"{each['what']}: of {each['n']} texts (of {each['of']}) in which a gendered word or a first name was "
            f"swapped for that of the other gender, the leading emotion changed in {each['changed']:.1%}, and "
            f"{each['distance']:.3f} of the probability moved."
        )
    parts.append(
        "Of accent, skin and origin these corpora say nothing, or of too few people: nothing was measured by them. "
        "Ages are told of EMO-DB, nEMO and EmoTale alone, whose development speakers are 32 and 35, 24 and 28, and "
        "27 and 9 years old. Where one or two people are a group, a gap is of these people."
    )
    return "\n\n".join(parts)


def laid(card: str, text: str, heading: str = HEADING) -> str:
    """A card with the section in the place of the one it has. Raises ValueError where it has none."""
    pattern = rf"(?ms)^{re.escape(heading)}\n.*?(?=^#{{2,3}} )"
    if not re.search(pattern, card):
        raise ValueError(f"the card has no section {heading!r} that another follows")
    return re.sub(pattern, lambda _: f"{heading}\n{text}\n\n", card, count=1)


def main() -> None:
    """Measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the folder of the corpora")
    parser.add_argument("--model", default="emofuse-small")
    parser.add_argument("--out", type=Path, default=Path("audit.json"))
    parser.add_argument("--card", type=Path, help="a card whose section is laid anew")
    parser.add_argument("--limit", type=int, help="at most so many utterances a part")
    given = parser.parse_args()
    model = EmotionModel.from_pretrained(given.model, lean=True)
    found = {
        "emotions": EMOTIONS,
        "groups": list(groups(model, given.root, given.limit)),
        "swaps": list(swaps(model, given.root, given.limit)),
    }
    write_file(given.out, json.dumps(found, indent=1) + "\n")
    if given.card is not None:
        write_file(given.card, laid(given.card.read_text("utf-8"), section(found)))


if __name__ == "__main__":
    sys.exit(main())
