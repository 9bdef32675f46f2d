"""CREMA-D reader: 91 actors, twelve sentences, six emotions; the acted one in the name, the perceived one in votes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Names
from emofuse.corpora.folds import k_folds
from emofuse.corpora.text import table
from emofuse.types import Split, Utterance

EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
VOTE_COLUMNS = {"A": "anger", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}
QUERIES = {"voice": 1, "face": 2, "both": 3}
"""What the raters were given: the number is the row name of tabulatedVotes.csv divided by 100000."""
SENTENCES = {
    "IEO": "It's eleven o'clock.", "TIE": "That is exactly what happened.", "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.", "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.", "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.", "ITS": "I think I've seen this before.", "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}  # fmt: skip
FOLDERS = {"audio": ("AudioWAV", (".wav", ".flac")), "video": ("VideoFlash", (".flv", ".mp4"))}


class CremaD(Corpus):
    """Options: `channel` (audio: AudioWAV; video: VideoFlash), `votes` (intended: what the actor was asked for; voice,
    face, both: what raters perceived, as votes), `transcript` (off: twelve fixed sentences), `verify`.

    The corpus has no split: actors 1001 to 1063 train, 1064 to 1077 dev, 1078 to 1091 test.
    """

    name = "crema_d"
    licence = "ODbL 1.0, contents DbCL 1.0"
    citation = "Cao et al. 2014, CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset, IEEE TAC 5(4)"
    layout = """
        ROOT/AudioWAV/1001_DFA_ANG_XX.wav                 actor, sentence, emotion, level
        ROOT/VideoFlash/1001_DFA_ANG_XX.flv               for channel: video
        ROOT/processedResults/tabulatedVotes.csv          for votes: voice, face or both
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names(
            "emotion",
            {
                "neutral": "neutral", "happy": "joy", "sad": "sadness", "anger": "anger", "fear": "fear",
                "disgust": "disgust",
            },
        ),
    }  # fmt: skip
    protocol = Protocol({"emotion": "uar"})
    language = "English"
    disjoint = "speaker"
    folds_by_rule = True
    folds = k_folds()
    roster: ClassVar[dict[str, str]] = dict.fromkeys(map(str, range(1001, 1092)), "")

    def scan(
        self,
        root: Path,
        log: Log,
        *,
        channel: Literal["audio", "video"] = "audio",
        votes: Literal["intended", "voice", "face", "both"] = "intended",
        transcript: bool = False,
        verify: bool = True,
    ) -> Iterator[Utterance]:
        """Every clip of the channel, by actor."""
        self.choose("channel", channel, FOLDERS)
        self.choose("votes", votes, ("intended", *QUERIES))
        folder, endings = FOLDERS[channel]
        if not (root / folder).is_dir():
            raise self.layout_error(root, f"no folder {folder}")
        perceived = None if votes == "intended" else self._votes(root, QUERIES[votes], log)
        for path in sorted(p for p in (root / folder).iterdir() if p.suffix.lower() in endings):
            parts = path.stem.split("_")
            if not _is_name(parts):
                log.problem(path, "row", "not a CREMA-D name such as 1001_DFA_ANG_XX", "rename or move it")
            elif perceived is not None and path.stem not in perceived:
                log.problem(path, "label", f"no votes on it ({votes})", "it is left out")
            elif usable(path, log, verify):
                yield Utterance(
                    id=path.stem,
                    corpus=self.name,
                    split=split_of(int(parts[0])),
                    speaker=parts[0],
                    media=path,
                    text=SENTENCES[parts[1]] if transcript else None,
                    labels={
                        "emotion": EMOTIONS[parts[2]] if perceived is None else perceived[path.stem],
                        "intended": EMOTIONS[parts[2]],
                        "level": LEVELS[parts[3]],
                    },
                )

    def _votes(self, root: Path, query: int, log: Log) -> dict[str, dict[str, float]]:
        path = root / "processedResults" / "tabulatedVotes.csv"
        if not path.is_file():
            raise self.layout_error(root, "no processedResults/tabulatedVotes.csv")
        found: dict[str, dict[str, float]] = {}
        for number, row in table(path):
            lacking = {"", "fileName", *VOTE_COLUMNS} - set(row)
            if lacking:
                raise self.layout_error(path, f"no column {', '.join(sorted(lacking)) or 'of row names'}")
            try:
                if int(row[""]) // 100_000 == query:
                    found[row["fileName"]] = {name: float(row[column]) for column, name in VOTE_COLUMNS.items()}
            except ValueError:
                log.problem(f"{path.name} row {number}", "row", "a row name or a vote is not a number", "fix the row")
        return found


def split_of(actor: int) -> Split:
    """Actors 1001 to 1063 train, to 1077 dev, to 1091 test."""
    return "train" if actor <= 1063 else "dev" if actor <= 1077 else "test"


def _is_name(parts: list[str]) -> bool:
    if len(parts) != 4 or not parts[0].isdigit() or not 1001 <= int(parts[0]) <= 1091:
        return False
    return parts[1] in SENTENCES and parts[2] in EMOTIONS and parts[3] in LEVELS
