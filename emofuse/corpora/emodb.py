"""EMO-DB reader: ten German actors, ten sentences, seven emotions, all told by the file name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.clips import usable
from emofuse.corpora.corpus import Corpus, Log, Protocol, age_group
from emofuse.corpora.folding import Folding, Names
from emofuse.types import Split, Utterance

SPEAKERS = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
WOMEN = ("08", "09", "13", "14", "16")
AGES: dict[str, str] = dict(zip(SPEAKERS, ("31", "34", "21", "32", "26", "30", "32", "35", "25", "31"), strict=True))
"""Years, as the corpus's documentation tells them."""
EMOTIONS = {
    "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral",
}  # fmt: skip
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


class EmoDB(Corpus):
    """Options: `fold` (the speaker held out as test, the next one as dev), `transcript` (off: ten fixed sentences),
    `verify`.

    `end` is where the sound ends: copies padded with zeros to one length would otherwise leak the label by it.
    """

    name = "emodb"
    licence = "free to use (Burkhardt et al. 2005)"
    citation = "Burkhardt et al. 2005, A Database of German Emotional Speech, Interspeech"
    layout = """
        ROOT/wav/03a01Fa.wav   (or .flac): speaker 03, sentence a01, emotion F, version a
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "emotion": Names(
            "emotion",
            {
                "neutral": "neutral", "happiness": "joy", "sadness": "sadness", "anger": "anger", "fear": "fear",
                "disgust": "disgust", "boredom": None,
            },
        ),
    }  # fmt: skip
    protocol = Protocol({"emotion": "uar"})
    language = "German"
    disjoint = "speaker"
    folds_by_rule = True
    roster: ClassVar[dict[str, str]] = {n: "female" if n in WOMEN else "male" for n in SPEAKERS}
    folds = SPEAKERS

    def scan(
        self, root: Path, log: Log, *, fold: str | None = None, transcript: bool = False, verify: bool = True
    ) -> Iterator[Utterance]:
        """Every recording, by speaker."""
        held = self.choose_fold(fold)
        folder = root / "wav" if (root / "wav").is_dir() else root
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".wav", ".flac"}) if folder.is_dir() else []
        if not paths:
            raise self.layout_error(root, "it holds no wav/*.wav or wav/*.flac")
        for path in paths:
            name = path.stem
            if len(name) != 7 or name[:2] not in SPEAKERS or name[2:5] not in SENTENCES or name[5] not in EMOTIONS:
                log.problem(path, "row", "not an EMO-DB name such as 03a01Fa", "rename or move it")
                continue
            if not usable(path, log, verify):
                continue
            end = sound_end(path)
            if end is None:
                log.problem(path, "truncated", "the recording is silent throughout", "fetch the file again")
                continue
            yield Utterance(
                id=name,
                corpus=self.name,
                split=_split(name[:2], held),
                speaker=name[:2],
                media=path,
                start=0.0,
                end=end,
                text=SENTENCES[name[2:5]] if transcript else None,
                labels={"emotion": EMOTIONS[name[5]]},
            )

    def attributes(self, utterance: Utterance) -> dict[str, str | None]:
        """The sex and the age of the speaker, by the number."""
        age = age_group(AGES[utterance.speaker])
        return {"sex": "female" if utterance.speaker in WOMEN else "male", "age": age}


def sound_end(path: Path) -> float | None:
    """Seconds to just past the last sample that is not zero; None when all are."""
    import numpy as np
    import soundfile

    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    sounding = np.flatnonzero(samples.any(axis=1))
    return float(sounding[-1] + 1) / rate if len(sounding) else None


def _split(speaker: str, held: str | None) -> Split:
    if held is None:
        return {"13": "dev", "14": "dev", "15": "test", "16": "test"}.get(speaker, "train")  # type: ignore[return-value]
    if speaker == held:
        return "test"
    return "dev" if speaker == SPEAKERS[(SPEAKERS.index(held) + 1) % len(SPEAKERS)] else "train"
