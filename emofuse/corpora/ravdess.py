"""RAVDESS reader: 24 actors, two sentences, eight emotions, all told by the file name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names
from emofuse.corpora.folds import k_folds
from emofuse.types import Split, Utterance

CHANNELS = {"01": "audio-visual", "02": "video", "03": "audio"}
VOCALS = {"01": "speech", "02": "song"}
EMOTIONS = {
    "01": "neutral", "02": "calm", "03": "happy", "04": "sad",
    "05": "angry", "06": "fearful", "07": "disgust", "08": "surprised",
}  # fmt: skip
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
SUFFIXES = {".wav", ".flac", ".mp4"}


class Ravdess(Corpus):
    """Options: `channel` (audio, audio-visual, video), `vocal` (speech, song, all), `transcript` (off: the two
    sentences say nothing of the emotion), `verify`.

    The channels hold the same performances, so one is read at a time. Normal or strong tells how hard the actor played,
    not the strength of a sentiment, so it folds to nothing.
    """

    name = "ravdess"
    licence = "CC BY-NC-SA 4.0"
    citation = "Livingstone & Russo 2018, The Ryerson Audio-Visual Database of Emotional Speech and Song, PLoS ONE 13"
    layout = """
        ROOT/Actor_01/03-01-01-01-01-01-01.wav   (or .flac; 03 audio)
        ROOT/Actor_01/01-01-01-01-01-01-01.mp4   (01 audio-visual, 02 video only)
        … to Actor_24; the names mean channel-vocal-emotion-intensity-statement-repetition-actor
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names(
            "emotion",
            {
                "neutral": "neutral", "calm": "neutral", "happy": "joy", "sad": "sadness", "angry": "anger",
                "fearful": "fear", "disgust": "disgust", "surprised": "surprise",
            },
        ),
    }  # fmt: skip
    protocol = Protocol({"emotion": "uar"})
    language = "English"
    disjoint = "speaker"
    folds_by_rule = True
    folds = k_folds()
    roster: ClassVar[dict[str, str]] = {f"actor_{n:02}": "female" if n % 2 == 0 else "male" for n in range(1, 25)}

    def scan(
        self,
        root: Path,
        log: Log,
        *,
        channel: Literal["audio", "audio-visual", "video"] = "audio",
        vocal: Literal["speech", "song", "all"] = "speech",
        transcript: bool = False,
        verify: bool = True,
    ) -> Iterator[Utterance]:
        """Every clip of the channel below root, by actor."""
        self.choose("channel", channel, CHANNELS.values())
        self.choose("vocal", vocal, (*VOCALS.values(), "all"))
        there: Counter[str] = Counter()
        for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES):
            parts = path.stem.split("-")
            if not _is_name(parts):
                log.problem(path, "row", "not a RAVDESS name such as 03-01-05-01-02-01-16", "rename or move it")
                continue
            there[CHANNELS[parts[0]]] += 1
            if CHANNELS[parts[0]] == channel and vocal in ("all", VOCALS[parts[1]]) and usable(path, log, verify):
                yield self._utterance(path, parts, transcript)
        if not there[channel]:
            others = f"it has {', '.join(sorted(there))}: set the option channel" if there else "no clip is in it"
            raise self.layout_error(root, f"nothing of the {channel} channel; {others}")

    def attributes(self, utterance: Utterance) -> dict[str, str | None]:
        """Actors with odd numbers are men."""
        number = utterance.speaker.rpartition("_")[2]
        return {"sex": ("female", "male")[int(number) % 2] if number.isdigit() else None}

    def _utterance(self, path: Path, parts: list[str], transcript: bool) -> Utterance:
        return Utterance(
            id=path.stem,
            corpus=self.name,
            split=split_of(int(parts[6])),
            speaker=f"actor_{parts[6]}",
            media=path,
            text=STATEMENTS[parts[4]] if transcript else None,
            labels={"emotion": EMOTIONS[parts[2]], "intensity": INTENSITIES[parts[3]]},
        )


def split_of(actor: int) -> Split:
    """Actors 1 to 16 train, 17 to 20 dev, 21 to 24 test: two women and two men in each held-out part."""
    return "train" if actor <= 16 else "dev" if actor <= 20 else "test"


def _is_name(parts: list[str]) -> bool:
    tables = (CHANNELS, VOCALS, EMOTIONS, INTENSITIES, STATEMENTS, {"01", "02"})
    known = len(parts) == 7 and all(part in table for part, table in zip(parts[:6], tables, strict=True))
    return known and parts[6].isdigit() and 1 <= int(parts[6]) <= 24
