"""MUStARD reader: sarcasm in sitcoms, each utterance with the turns before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from emofuse.corpora.clips import TEXT_ALONE, usable
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names, same
from emofuse.corpora.text import repair
from emofuse.types import Split, Utterance

SHOWS = ("BBT", "FRIENDS", "GOLDENGIRLS", "SARCASMOHOLICS")
FIELDS = ("utterance", "speaker", "context", "context_speakers", "show", "sarcasm")
DEV_SHARE = 0.2


class Mustard(Corpus):
    """Options: `fold` (the show held out as test; FRIENDS), `context` (off leaves the earlier turns out), `verify`.

    Dev is a fifth of the scenes of the other shows, chosen by the hash of the scene, never by the label. A scene is
    all utterances that share a line of context.
    """

    name = "mustard"
    licence = "MIT"
    citation = "Castro et al. 2019, Towards Multimodal Sarcasm Detection (An _Obviously_ Perfect Paper), ACL"
    layout = """
        ROOT/sarcasm_data.json  (or ROOT/data/sarcasm_data.json)
        ROOT/utterances_final/1_60.mp4   clips, optional  (or ROOT/mmsd_raw_data/utterances_final/)
        """
    foldings: ClassVar[dict[str, Folding]] = {"sarcasm": Names("sarcasm", same("literal", "sarcastic"))}
    protocol = Protocol({"sarcasm": "weighted_f1"})
    language = "English"
    disjoint = "dialogue"
    folds = SHOWS

    def scan(
        self, root: Path, log: Log, *, fold: str | None = None, context: bool = True, verify: bool = True
    ) -> Iterator[Utterance]:
        """Every entry of the json."""
        held = self.choose_fold(fold) or "FRIENDS"
        path = next((p for p in (root / "sarcasm_data.json", root / "data/sarcasm_data.json") if p.is_file()), None)
        if path is None:
            raise self.layout_error(root, "no sarcasm_data.json")
        try:
            entries: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise self.layout_error(root, f"sarcasm_data.json is not JSON ({error})") from error
        clips = next(
            (d for d in (root / "utterances_final", root / "mmsd_raw_data/utterances_final") if d.is_dir()), None
        )
        if clips is None:
            log.note("no folder utterances_final: utterances are text alone")
        entries = {key: e for key, e in entries.items() if _sound(path.name, key, e, log)}
        scene = scenes(entries)
        for key, entry in entries.items():
            clip = usable(clips / f"{key}.mp4", log, verify, TEXT_ALONE) if clips else None
            turns = zip(entry["context_speakers"], entry["context"], strict=True) if context else ()
            yield Utterance(
                id=key,
                corpus=self.name,
                split=_split(entry["show"], scene[key], held),
                speaker=f"{entry['show']}_{entry['speaker']}",
                dialogue=scene[key],
                media=clip.path if clip else None,
                text=repair(entry["utterance"]),
                context=tuple(f"{speaker}: {repair(line)}" for speaker, line in turns),
                labels={"sarcasm": "sarcastic" if entry["sarcasm"] else "literal"},
            )

    def attributes(self, utterance: Utterance) -> dict[str, str | None]:
        """The show is the speaker's first name."""
        return {"show": utterance.speaker.partition("_")[0]}


def scenes(entries: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The scene of each utterance, named after one of them: utterances of a show that share a line are one scene."""
    leader: dict[str, str] = {}
    by_line: dict[tuple[str, str], str] = {}

    def find(key: str) -> str:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    for key, entry in entries.items():
        for line in (*entry["context"], entry["utterance"]):
            words = line.lower().split()
            if len(words) >= 5:
                first = by_line.setdefault((entry["show"], " ".join(words)), key)
                leader[find(key)] = find(first)
    return {key: f"{entries[key]['show']}_{find(key)}" for key in entries}


def _split(show: str, scene: str, held: str) -> Split:
    if show == held:
        return "test"
    share = int(hashlib.sha256(scene.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return "dev" if share < DEV_SHARE else "train"


def _sound(file: str, key: str, entry: dict[str, Any], log: Log) -> bool:
    where = f"{file} entry {key}"
    lacking = [f for f in FIELDS if f not in entry]
    if lacking:
        log.problem(where, "row", f"no {', '.join(lacking)}", "complete the entry")
    elif len(entry["context"]) != len(entry["context_speakers"]):
        log.problem(where, "misaligned", "as many context speakers as lines belong there", "complete the entry")
    elif not isinstance(entry["sarcasm"], bool):
        log.problem(where, "label", f"sarcasm is {entry['sarcasm']!r}", "true or false belongs there")
    else:
        return True
    return False
