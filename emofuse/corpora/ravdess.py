"""RAVDESS: 24 actors, two sentences, eight emotions; everything is in the file name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log
from emofuse.errors import DataError, nearest
from emofuse.types import Split, Utterance

MODALITIES = {"01": "audio-visual", "02": "video", "03": "audio"}
CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = {
    "01": "neutral", "02": "calm", "03": "happy", "04": "sad",
    "05": "angry", "06": "fearful", "07": "disgust", "08": "surprised",
}  # fmt: skip
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
SUFFIXES = {".wav", ".flac", ".mp4"}


class Ravdess(Corpus):
    """Options: `channel` (audio, audio-visual, video; all found by default), `vocal` (speech, song, all),
    `transcript` (off: the two sentences say nothing of the emotion), `verify`."""

    name = "ravdess"
    licence = "CC BY-NC-SA 4.0"
    citation = (
        "Livingstone & Russo 2018, The Ryerson Audio-Visual Database of Emotional Speech and Song, PLoS ONE 13(5)"
    )
    layout = """
        ROOT/Actor_01/03-01-01-01-01-01-01.wav   (or .flac; audio)
        ROOT/Actor_01/01-01-01-01-01-01-01.mp4   (01 audio-visual, 02 video only)
        … to Actor_24; the names mean modality-channel-emotion-intensity-statement-repetition-actor
        """
    tasks: ClassVar[tuple[str, ...]] = ("emotion",)
    disjoint = "speaker"

    def scan(
        self,
        root: Path,
        log: Log,
        *,
        channel: Literal["audio", "audio-visual", "video", "all"] = "all",
        vocal: Literal["speech", "song", "all"] = "speech",
        transcript: bool = False,
        verify: bool = True,
    ) -> Iterator[Utterance]:
        """Every clip below root whose name is RAVDESS's, by actor."""
        _one_of("channel", channel, (*MODALITIES.values(), "all"))
        _one_of("vocal", vocal, (*CHANNELS.values(), "all"))
        paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise self.layout_error(root, "it holds no .wav, .flac or .mp4")
        for path in paths:
            utterance = self._utterance(path, log, transcript)
            modality, voice = path.stem[:2], path.stem[3:5]
            if utterance is None or channel not in ("all", MODALITIES[modality]):
                continue
            if vocal in ("all", CHANNELS[voice]) and usable(path, log, verify):
                yield utterance

    def _utterance(self, path: Path, log: Log, transcript: bool) -> Utterance | None:
        parts = path.stem.split("-")
        tables = (MODALITIES, CHANNELS, EMOTIONS, INTENSITIES, STATEMENTS, {"01", "02"})
        ok = len(parts) == 7 and all(p in t for p, t in zip(parts[:6], tables, strict=True)) and parts[6].isdigit()
        if not ok or not 1 <= int(parts[6]) <= 24:
            log.problem(
                path, "row", "not a RAVDESS name (seven two-digit numbers, actor 01 to 24)", "rename or move it"
            )
            return None
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


def _one_of(option: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise DataError(f"ravdess option {option}={value!r}; {nearest(value, valid)}")
