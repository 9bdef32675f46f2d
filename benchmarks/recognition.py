"""What recognised words are worth: `uv run --extra asr python -m benchmarks.recognition CORPORA`.

Whole dialogues of MELD's development part, drawn with seed 0 until there are `--sentences`, each sentence spoken by one
of `VOICES` (espeak-ng, which must be installed) and heard by the recogniser of the extra `asr`: clean and, the first
`--disturbed` of them, in noise and in the band of a telephone. Three tables: the word error rate, the same by voice,
and the emotion read from the words that were heard (earlier turns as they were heard too) against that from the true
ones. A sentence of which nothing was heard counts as neutral. Intervals are over dialogues. With `--heard FILE` what
was heard is kept, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emofuse.corpora.turns import around
from emofuse.data.examples import Example, read_examples
from emofuse.evaluation.perturb.catalogue import catalogue
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.files import write_file
from emofuse.media.asr import AUTO, DOUBTFUL, find_recogniser, recognise
from emofuse.media.decode import read_audio
from emofuse.metrics import bootstrap, compare_paired
from emofuse.metrics.task import scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.metrics.words import plain_words, word_errors
from emofuse.model.model import EmotionModel
from emofuse.tasks import EMOTIONS, TASKS
from emofuse.types import SAMPLE_RATE, Segment, Utterance

EMOTION = TASKS["emotion"]
MEASURES = ("accuracy", "weighted_f1", "uar")
RESAMPLES = 500
VOICES = (
    ("en-us", 160), ("en-us+f3", 175), ("en-gb+m3", 145), ("en-gb-x-rp+f2", 165), ("en-gb-scotland+m7", 180),
    ("en-us+f5", 200),
)  # fmt: skip
"""Voice of espeak-ng, words a minute."""
CLEAN = "clean"
RATIOS = (20.0, 10.0, 5.0, 0.0)
"""Signal to noise in dB."""
BAND = 3400
"""The highest frequency of a telephone, Hz."""
BATCH = 10
"""Sentences heard between two writings of what was heard."""


@dataclass(frozen=True)
class Heard:
    """Words, and whether they are left out where nobody said that they are English."""

    text: str
    doubtful: bool


Hearing = dict[str, dict[str, Heard]]
"""Condition → id of a sentence → what was heard."""


def conditions() -> dict[str, Callable[[Segment], Segment]]:
    """What is done to the sound, by name; noise and band are those of `emofuse evaluate --stress`."""
    known = catalogue()
    noise = {f"noise, {ratio:g} dB": known["noise"].at(ratio) for ratio in RATIOS}
    return {CLEAN: lambda segment: segment} | noise | {f"telephone, {BAND} Hz": known["telephone"].at(BAND)}


def drawn(root: Path, sentences: int) -> list[Utterance]:
    """Whole dialogues until there are so many utterances, in the order in which they are drawn."""
    dialogues: dict[str, list[Utterance]] = {}
    for utterance in read_examples("meld", root, "dev", (EMOTION,), ("text",)).reading.split("dev"):
        dialogues.setdefault(str(utterance.dialogue), []).append(utterance)
    names, found = list(dialogues), list[Utterance]()
    for place in np.random.default_rng(0).permutation(len(names)):
        if len(found) < sentences:
            found += dialogues[names[place]]
    return found


def spoken(text: str, voice: str, speed: int) -> np.ndarray:
    """A sentence at 16 kHz. Raises CalledProcessError where espeak-ng does not know the voice."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "said.wav")
        command = ["espeak-ng", "--stdin", "-v", voice, "-s", str(speed), "-w", str(path)]
        subprocess.run(command, input=text.encode(), check=True, stderr=subprocess.DEVNULL)
        return read_audio(path)


def voice_of(number: int) -> tuple[str, int]:
    """The voices in turn."""
    return VOICES[number % len(VOICES)]


def hear(said: Sequence[Utterance], disturbed: int, model: str, hearing: Hearing) -> Iterator[None]:
    """Fill in what is not heard yet; pauses after each BATCH of it."""
    for name, change in conditions().items():
        known, count = hearing.setdefault(name, {}), 0
        for number, utterance in enumerate(said if name == CLEAN else said[:disturbed]):
            if utterance.id not in known:
                sound = spoken(utterance.text or "", *voice_of(number))
                segment = change(Segment(utterance.id, 0.0, len(sound) / SAMPLE_RATE, waveform=sound))
                assert segment.waveform is not None
                words, sureness = recognise(segment.waveform, model, language="en")
                known[utterance.id] = Heard(" ".join(word.text for word in words), sureness < DOUBTFUL)
                count += 1
                if count % BATCH == 0:
                    yield
        yield


def errors(said: Sequence[Utterance], heard: Mapping[str, Heard]) -> np.ndarray:
    """[sentences, 2]: errors and words said."""
    pairs = [(plain_words(u.text or ""), plain_words(heard[u.id].text)) for u in said]
    return np.array([(word_errors(a, b), len(a)) for a, b in pairs], float)


def rate(rows: np.ndarray) -> float:
    """Word error rate of rows of `errors`."""
    return float(rows[:, 0].sum() / max(1.0, rows[:, 1].sum()))


def rates(said: Sequence[Utterance], hearing: Hearing) -> Iterator[tuple[str, ...]]:
    """Rows of the first table."""
    for name, heard in hearing.items():
        own = [u for u in said if u.id in heard]
        rows = errors(own, heard)
        with counted_elsewhere():
            band = bootstrap(rate, rows, clusters=[str(u.dialogue) for u in own], resamples=RESAMPLES)
        doubtful = np.mean([heard[u.id].doubtful for u in own])
        spread = f"{band.low:.3f} to {band.high:.3f}"
        yield name, str(len(own)), f"{rows[:, 1].sum():.0f}", f"{band.estimate:.3f}", spread, f"{doubtful:.0%}"


def by_voice(said: Sequence[Utterance], heard: Mapping[str, Heard]) -> Iterator[tuple[str, ...]]:
    """Rows of the second table."""
    rows = errors(said, heard)
    for number, (voice, speed) in enumerate(VOICES):
        own = rows[number :: len(VOICES)]
        yield voice, str(speed), str(len(own)), f"{rate(own):.3f}"


def reread(said: Sequence[Utterance], words: Mapping[str, str]) -> dict[str, Utterance]:
    """The same utterances with other words, in their own text and in the turns before them; a turn without is none."""
    found, context = dict[str, Utterance](), 5
    before: dict[str, list[str]] = {}
    for utterance in said:
        turns = before.setdefault(str(utterance.dialogue), [])
        text = words[utterance.id]
        shown, _ = around(turns, len(turns), context, 0)
        found[utterance.id] = replace(utterance, text=text or None, context=shown)
        turns += [f"{utterance.speaker}: {text}"] if text else []
    return found


def emotions(model: EmotionModel, examples: Sequence[Example], read: Mapping[str, Utterance]) -> np.ndarray:
    """Probabilities [examples, 7] of the words; neutral where there are none."""
    values = np.tile(np.eye(len(EMOTIONS))[EMOTIONS.index("neutral")], (len(examples), 1))
    rows = [n for n, example in enumerate(examples) if read[example.id].text]
    own = [replace(examples[n], source=read[examples[n].id]) for n in rows]
    if own:
        values[rows] = predict_examples(model, own, subsets=()).values[GIVEN][EMOTION.name]
    return values


def costs(
    model: EmotionModel, examples: Sequence[Example], said: Sequence[Utterance], hearing: Hearing
) -> Iterator[tuple[str, ...]]:
    """Rows of the third table: as heard by who knows that it is English, and as by default, doubtful words left out."""
    truth = emotions(model, examples, reread(said, {u.id: u.text or "" for u in said}))
    for name, heard in hearing.items():
        rows = [n for n, example in enumerate(examples) if example.id in heard]
        own, turns = [examples[n] for n in rows], [u for u in said if u.id in heard]
        told = {key: each.text for key, each in heard.items()}
        sure = {key: "" if each.doubtful else each.text for key, each in heard.items()}
        for how, words in (("told English", told), ("by default", sure)):
            found = emotions(model, own, reread(turns, words))
            for cells in compared(own, truth[rows], found):
                yield name, how, str(len(own)), *cells


def compared(examples: Sequence[Example], before: np.ndarray, after: np.ndarray) -> Iterator[tuple[str, ...]]:
    """Each measure with true words, with recognised ones, and the difference with its interval."""
    targets = np.stack([example.targets[EMOTION.name] for example in examples])
    for measure in MEASURES:
        with counted_elsewhere():
            found = compare_paired(
                scores_of(EMOTION)[measure],
                targets,
                before,
                after,
                clusters=[example.cluster for example in examples],
                resamples=RESAMPLES,
            )
        gap = found.difference
        yield measure, f"{found.a:.3f}", f"{found.b:.3f}", f"{gap.estimate:+.3f}", f"{gap.low:+.3f} to {gap.high:+.3f}"


def table(header: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    """Markdown."""
    lines = [tuple(header), ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n\n"


def kept(path: Path | None) -> Hearing:
    """What an earlier run heard."""
    if path is None or not path.is_file():
        return {}
    stored = json.loads(path.read_text("utf-8"))
    return {name: {key: Heard(**each) for key, each in heard.items()} for name, heard in stored.items()}


def with_same(hearing: Hearing) -> Hearing:
    """With what was heard clean of the sentences that were heard disturbed, as a condition of its own."""
    disturbed = {key for name, heard in hearing.items() if name != CLEAN for key in heard}
    same = {key: each for key, each in hearing[CLEAN].items() if key in disturbed}
    return {CLEAN: hearing[CLEAN], f"{CLEAN}, those below": same} | hearing


def keep(path: Path | None, hearing: Hearing) -> None:
    """The inverse of `kept`."""
    if path is not None:
        plain = {name: {key: vars(each) for key, each in heard.items()} for name, heard in hearing.items()}
        write_file(path, json.dumps(plain, indent=0) + "\n")


def main() -> None:
    """Speak, hear, print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--model", default="emofuse-small")
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--disturbed", type=int, default=100)
    parser.add_argument("--heard", type=Path)
    asked = parser.parse_args()
    recogniser = find_recogniser(AUTO)
    if recogniser is None or shutil.which("espeak-ng") is None:
        parser.error("it needs the extra asr (uv sync --extra asr) and the program espeak-ng (apt install espeak-ng)")
    said, hearing = drawn(asked.corpora / "meld", asked.sentences), kept(asked.heard)
    for _ in hear(said, asked.disturbed, recogniser, hearing):
        keep(asked.heard, hearing)
    hearing = with_same(hearing)
    header = ("sound", "sentences", "words", "word error rate", "95 %", "left out unless told English")
    sys.stdout.write(table(header, rates(said, hearing)))
    sys.stdout.write(table(("voice", "words a minute", "sentences", "word error rate"), by_voice(said, hearing[CLEAN])))
    model = EmotionModel.from_pretrained(asked.model, lean=True)
    examples = read_examples("meld", asked.corpora / "meld", "dev", model.tasks, ("text",)).examples
    chosen = [example for example in examples if example.id in {u.id for u in said}]
    header = ("sound", "words", "sentences", "measure", "true words", "recognised", "difference", "95 %")
    sys.stdout.write(table(header, costs(model, chosen, said, hearing)))


if __name__ == "__main__":
    main()
