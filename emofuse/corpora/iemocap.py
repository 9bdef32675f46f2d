"""IEMOCAP reader: five sessions of two actors; categories by vote, valence, activation, dominance."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names, Number, Table
from emofuse.corpora.text import repair
from emofuse.corpora.turns import Around, around
from emofuse.types import Split, Utterance

SESSIONS = ("1", "2", "3", "4", "5")
CODES = ("neu", "hap", "sad", "ang", "fea", "dis", "sur", "exc", "fru", "oth", "xxx")
RATERS = {
    "neutral": "neu", "happiness": "hap", "sadness": "sad", "anger": "ang", "fear": "fea", "disgust": "dis",
    "surprise": "sur", "excited": "exc", "frustration": "fru", "other": "oth",
}  # fmt: skip
OWN: dict[str, str | None] = {
    "neu": "neutral", "hap": "joy", "sad": "sadness", "ang": "anger", "fea": "fear", "dis": "disgust",
    "sur": "surprise", "exc": None, "fru": None, "oth": None, "xxx": None,
}  # fmt: skip
FOUR = dict.fromkeys(OWN) | {code: OWN[code] for code in ("neu", "hap", "sad", "ang")}
FIVE = FOUR | {"fru": "frustrated"}
SIX = FIVE | {"exc": "excited"}
SPEAKERS = tuple(f"Ses0{session}_{sex}" for session in SESSIONS for sex in "FM")


def _outside(table: Table) -> frozenset[str]:
    """Codes without a class: where raters lead with one of them, the rest of their votes is no label."""
    return frozenset(code for code, name in table.items() if name is None)


_TURN = re.compile(r"\[([\d.]+) - ([\d.]+)\]\t(\w+)\t(\w+)\t\[([\d.]+), ([\d.]+), ([\d.]+)\]")
_SAID = re.compile(r"(\S+)\s+\[[\d.]+-[\d.]+\]:\s*(.*)")
SLACK = 0.5
"""Seconds by which a sentence's wav may differ from its times before it is called misaligned."""


@dataclass
class Turn:
    """One line of an EmoEvaluation file with the raters' lines below it."""

    name: str
    start: float
    end: float
    code: str
    scales: tuple[float, float, float]
    votes: Counter[str] = field(default_factory=Counter)


class Iemocap(Corpus):
    """Options: `fold` (the session that is test, the one before it dev; 5; or the speaker that is test, as Ses05_M, the
    other one of the session dev), `media` (wav: one file a sentence; avi: the
    dialogue's video with both actors side by side, cut by start and end), `votes` (every rater's categories instead
    of the majority), `context` (how many earlier turns; 5), `future` (how many later turns, for the protocol that reads
    the whole dialogue; 0), `verify`.
    """

    name = "iemocap"
    licence = "IEMOCAP release form, research"
    citation = "Busso et al. 2008, IEMOCAP: Interactive emotional dyadic motion capture database, LRE 42(4)"
    layout = """
        ROOT/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt     times, category, [V, A, D], the raters' lines
        ROOT/Session1/dialog/transcriptions/Ses01F_impro01.txt
        ROOT/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav
        ROOT/Session1/dialog/avi/DivX/Ses01F_impro01.avi          for media: avi
        … to Session5
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names("emotion", OWN, reject=_outside(OWN)),
        "iemocap4": Names("emotion", FOUR, reject=_outside(FOUR)),
        "iemocap5": Names("emotion", FIVE, reject=_outside(FIVE)),
        "iemocap6": Names("emotion", SIX, reject=_outside(SIX)),
        "valence": Number("valence", lambda v: (v - 3) / 2),
        "arousal": Number("activation", lambda a: (a - 3) / 2),
        "dominance": Number("dominance", lambda d: (d - 3) / 2),
    }
    """The scales go from 1..5 to -1..1."""
    protocol = Protocol({"emotion": "uar", "iemocap4": "uar", "iemocap5": "uar", "iemocap6": "weighted_f1"})
    language = "English"
    disjoint = "speaker"
    folds = SESSIONS
    fold_sets: ClassVar[dict[str, tuple[str, ...]]] = {"sessions": SESSIONS, "speakers": SPEAKERS}

    def scan(
        self,
        root: Path,
        log: Log,
        *,
        fold: str | int = "5",
        media: Literal["wav", "avi"] = "wav",
        votes: bool = False,
        context: int = 5,
        future: int = 0,
        verify: bool = True,
    ) -> Iterator[Utterance]:
        """Every evaluated turn, session by session, dialogue by dialogue."""
        held = self.choose_fold(fold) or "5"
        self.choose("media", media, ("wav", "avi"))
        sessions = [s for s in SESSIONS if (root / f"Session{s}" / "dialog" / "EmoEvaluation").is_dir()]
        if not sessions:
            raise self.layout_error(root, "no Session1/dialog/EmoEvaluation")
        for session in sessions:
            folder = root / f"Session{session}"
            for path in sorted((folder / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
                said = _transcript(folder / "dialog" / "transcriptions" / path.name, log)
                turns = sorted(read_evaluation(path, log), key=lambda t: t.start)
                spoken = [f"{_speaker(t.name)}: {said[t.name]}" for t in turns if said.get(t.name)]
                place = 0
                for turn in turns:
                    clip = _clip(folder, turn, media, verify, log)
                    text = said.get(turn.name)
                    if clip or text:
                        shown = around(spoken, place, context, future, own=bool(text))
                        yield self._utterance(turn, clip, text, shown, _split(_speaker(turn.name), held), votes)
                    place += bool(text)

    def attributes(self, utterance: Utterance) -> dict[str, str | None]:
        """The sex of the speaker, whose name ends in it."""
        return {"sex": {"F": "female", "M": "male"}.get(utterance.speaker[-1:])}

    def _utterance(
        self, turn: Turn, clip: Path | None, text: str | None, shown: Around, split: Split, votes: bool
    ) -> Utterance:
        whole_dialogue = clip is not None and clip.suffix == ".avi"
        raters = {code: float(n) for code, n in sorted(turn.votes.items())}
        valence, activation, dominance = turn.scales
        return Utterance(
            id=turn.name,
            corpus=self.name,
            split=split,
            speaker=_speaker(turn.name),
            dialogue=turn.name.rsplit("_", 1)[0],
            media=clip,
            start=turn.start if whole_dialogue else None,
            end=turn.end if whole_dialogue else None,
            text=text,
            context=shown[0],
            after=shown[1],
            labels={
                "emotion": raters if votes and raters else turn.code,
                "votes": raters,
                "valence": valence,
                "activation": activation,
                "dominance": dominance,
            },
        )


def _clip(folder: Path, turn: Turn, media: str, verify: bool, log: Log) -> Path | None:
    dialogue = turn.name.rsplit("_", 1)[0]
    sentence = folder / "sentences" / "wav" / dialogue / f"{turn.name}.wav"
    path = sentence if media == "wav" else folder / "dialog" / "avi" / "DivX" / f"{dialogue}.avi"
    clip = usable(path, log, verify, f"{turn.name} is read as text alone")
    if clip is None or clip.seconds is None:
        return clip.path if clip else None
    off = abs(clip.seconds - (turn.end - turn.start)) if media == "wav" else turn.end - clip.seconds
    if off <= SLACK:
        return path
    what = f"{turn.name} is at {turn.start} to {turn.end} s, the file lasts {clip.seconds:.2f} s"
    log.problem(path, "misaligned", what, "it is read as text alone")
    return None


def read_evaluation(path: Path, log: Log) -> list[Turn]:
    """The turns of an EmoEvaluation file, with the categories of its raters (`C-E…`, `C-F…`, `C-M…` lines) counted."""
    turns: list[Turn] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        where = f"{path.name} row {number}"
        if line.startswith("["):
            found = _TURN.match(line)
            if not found or found[4] not in CODES:
                log.problem(
                    where, "row", f"not a turn: {line[:60]!r}", "[start - end] name category [V, A, D] belongs there"
                )
                continue
            start, end, v, a, d = (float(found[i]) for i in (1, 2, 5, 6, 7))
            if not (start < end and all(1 <= s <= 5.5 for s in (v, a, d))):
                log.problem(where, "row", f"times or scales out of range: {line[:60]!r}", "start < end, scales 1 to 5")
                continue
            turns.append(Turn(found[3], start, end, found[4], (min(v, 5.0), min(a, 5.0), min(d, 5.0))))
        elif line.startswith("C-E") and turns:
            for name in line.partition("\t")[2].partition("(")[0].split(";"):
                if name.strip().lower().removesuffix(" state") in RATERS:
                    turns[-1].votes[RATERS[name.strip().lower().removesuffix(" state")]] += 1
    return turns


def _transcript(path: Path, log: Log) -> dict[str, str]:
    if not path.is_file():
        log.problem(path, "missing", "no transcript", "its dialogue is read without text")
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return {found[1]: repair(found[2]) for found in map(_SAID.match, lines) if found}


def _speaker(turn: str) -> str:
    return f"{turn[:5]}_{turn.rsplit('_', 1)[1][0]}"


def _split(speaker: str, held: str) -> Split:
    """Of a session that is held out, the one before it is dev; of a speaker, the other one of the session."""
    session = speaker[4]
    if held in SESSIONS:
        dev, test = session == SESSIONS[SESSIONS.index(held) - 1], session == held
    else:
        dev, test = session == held[4], speaker == held
    return "test" if test else "dev" if dev else "train"
