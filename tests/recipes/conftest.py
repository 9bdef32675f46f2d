"""Tiny corpora in their published layouts: six utterances to train on and three to choose by, every one its own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, cycle, islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile

from emofuse.corpora.features import dev_videos
from emofuse.corpora.mosi_folds import MOSI_FOLDS
from emofuse.corpora.mustard import DEV_SHARE
from emofuse.corpora.text import by_share
from tests import mmsa as feature_files

TRAIN, DEV = 6, 3
SPLITS = ["train"] * TRAIN + ["dev"] * DEV
LONG = ["i am so happy, this is great", "not so great, i am sad", "this is terrible, so sad"]
CHINESE = ["我很高兴", "我不高兴", "很好"]
EMOTIONS = ("joy", "sadness", "anger")


def said(number: int, texts: Sequence[str] = LONG) -> str:
    """A text that no other utterance has."""
    return f"{texts[number % len(texts)]} {number}"


def put(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def put_table(path: Path, rows: Sequence[Mapping[str, object]], delimiter: str = ",") -> None:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    put(path, file.getvalue())


def sound(path: Path, number: int, seconds: float = 0.5) -> None:
    """A tone of its own pitch, with noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.01 * np.random.default_rng(number).standard_normal(int(seconds * 16_000))
    soundfile.write(path, 0.3 * np.sin(np.arange(len(noise)) * (0.06 + 0.01 * number)) + noise, 16_000)


def mmsa(path: Path, videos: Sequence[str], values: Sequence[float], widths: Sequence[int]) -> None:
    """MMSA's feature file of the first clip of each video; of its test part, a video of its own."""
    rows = [(f"{video}$_$1", value) for video, value in zip(videos, values, strict=True)]
    parts = {"train": rows[:TRAIN], "valid": rows[TRAIN:], "test": [("another$_$1", 0.0)]}
    made = {name: feature_files.part(rows, widths, seed) for seed, (name, rows) in enumerate(parts.items())}
    feature_files.write(path, made)


def where(split: Callable[[str], bool], names: Iterator[str]) -> list[str]:
    """The first names of either part, by the rule of a corpus whose parts are not published."""
    found: dict[bool, list[str]] = {False: [], True: []}
    for name in names:
        found[split(name)].append(name)
        if len(found[False]) >= TRAIN and len(found[True]) >= DEV:
            return found[False][:TRAIN] + found[True][:DEV]
    raise AssertionError


def share_of_texts(share: float, texts: Sequence[str] = LONG) -> list[str]:
    return where(lambda text: by_share(text, share), (said(n, texts) for n in count()))


class Layouts:
    """Writes a corpus into a folder, by its name; `face` is a photograph with one."""

    def __init__(self, face: Path, videos: Path) -> None:
        self.face, self.videos = cv2.imread(str(face)), videos

    def picture(self, path: Path, number: int, size: int = 48) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        crop = cv2.resize(self.face, (size, size), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(path), cv2.convertScaleAbs(crop, alpha=1 - 0.05 * number, beta=number))

    def video(self, path: Path, number: int) -> None:
        """Half a second of the face, with a tone; every number once, wherever it is then wanted."""
        source = self.videos / f"{number}.mp4"
        if not source.is_file():
            self._encode(source, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(source)

    def _encode(self, path: Path, number: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = cv2.convertScaleAbs(cv2.resize(self.face, (160, 160)), alpha=1 - 0.04 * number)
        tone = (8000 * np.sin(np.arange(8000) * (0.06 + 0.01 * number))).astype(np.int16)[None]
        with av.open(str(path), "w") as container:
            pictures, voice = container.add_stream("mpeg4", rate=4), container.add_stream("aac", rate=16_000)
            pictures.width = pictures.height = 160
            for _ in range(2):
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
            container.mux(pictures.encode())
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate = 16_000
            container.mux(voice.encode(frame))
            container.mux(voice.encode())

    def ased(self, root: Path) -> None:
        for n, speaker in enumerate(where(lambda s: int(s) % 6 == 1, map(str, count(2)))):
            folder, code = (("01Neutral", "n1"), ("05Angry", "a5"))[n % 2]
            sound(root / folder / f"{code}-03-01-02-{speaker}.wav", n)

    def brighter(self, root: Path) -> None:
        home = root / "task-dataset" / "semeval-2025-task11-dataset"
        for language in ("eng", "chn", "deu"):
            for part, numbers in (("train", range(TRAIN)), ("dev", range(TRAIN, TRAIN + DEV))):
                marks = dict.fromkeys(("anger", "disgust", "fear", "joy", "sadness", "surprise"), 0)
                texts = CHINESE if language == "chn" else LONG
                rows = [
                    {
                        "id": f"{language}{n}",
                        "text": f"{language} {said(n, texts)}",
                        **marks,
                        EMOTIONS[n % 3]: 1 + n % 3,
                    }
                    for n in numbers
                ]
                put_table(home / "track_b" / part / f"{language}.csv", rows)
                plain = [{k: min(v, 1) if isinstance(v, int) else v for k, v in row.items()} for row in rows]
                put_table(home / "track_a" / part / f"{language}.csv", plain)

    def ch_sims(self, root: Path, table: str = "label.csv", digits: int = 4) -> None:
        modes, rows = [*["train"] * TRAIN, *["valid"] * DEV], []
        for n, mode in enumerate(modes):
            values = {"label": (0.4, -0.6, 0.2)[n % 3], "label_T": 0.2, "label_A": -0.4, "label_V": (0.0, 1.0)[n % 2]}
            row = {"video_id": f"video_{n:04}", "clip_id": 1, "text": said(n, CHINESE), **values}
            rows.append(row | {"annotation": "Positive", "mode": mode})
            self.video(root / "Raw" / f"video_{n:04}" / f"{1:0{digits}}.mp4", n)
        put_table(root / table, rows)
        videos, values = [row["video_id"] for row in rows], [row["label"] for row in rows]
        mmsa(root / "Processed" / "unaligned_39.pkl", videos, values, (768, 33, 709))

    def ch_sims_v2(self, root: Path) -> None:
        self.ch_sims(root, "meta.csv", 5)

    def contrast(self, root: Path) -> None:
        pattern = "  - {{kind: plain, emotion: {}, polarity: {}, texts: [{!r}]}}\n"
        kinds = cycle((("joy", "positive"), ("sadness", "negative")))
        texts = where(lambda t: by_share(t, 0.1), (said(n).capitalize() for n in count()))
        put(
            root / "contrast.yml",
            "words: {who: [Tom]}\npatterns:\n"
            + "".join(pattern.format(*kind, text) for text, kind in zip(texts, kinds, strict=False)),
        )

    def crema_d(self, root: Path) -> None:
        rows = []
        for n, actor in enumerate([*range(1001, 1001 + TRAIN), *range(1064, 1064 + DEV)]):
            name, votes = f"{actor}_DFA_{('ANG', 'HAP')[n % 2]}_XX", dict.fromkeys("ADFHNS", 1) | {"AH"[n % 2]: 7}
            sound(root / "AudioWAV" / f"{name}.wav", n)
            self.video(root / "VideoFlash" / f"{name}.mp4", n)
            rows += [{"": 100_000 * query + n, **votes, "fileName": name} for query in (1, 2, 3)]
        put_table(root / "processedResults" / "tabulatedVotes.csv", rows)

    def emobank(self, root: Path) -> None:
        rows = [
            {"id": n, "split": split, "V": 2 + n % 3, "A": 1.5 + n % 2, "D": 3 + n / 10, "text": said(n)}
            for n, split in enumerate(SPLITS)
        ]
        put_table(root / "corpus" / "emobank.csv", rows)

    def emodb(self, root: Path) -> None:
        speakers = ["03", "08", "09", "10", "11", "12", "13", "14", "13"]
        for n, speaker in enumerate(speakers):
            sound(root / "wav" / f"{speaker}a0{1 + n % 2}{'FW'[n % 2]}{'abc'[n // 6]}.wav", n)

    def emogator(self, root: Path) -> None:
        for n, speaker in enumerate(where(lambda s: int(s) % 10 == 0, map(str, count(1)))):
            sound(root / "data" / "mp3" / f"{int(speaker):06}-{(18, 2)[n % 2]:02}-1.wav", n)

    def emotale(self, root: Path) -> None:
        rows = []
        for n, speaker in enumerate(["001", "002", "004", "005", "008", "010", "007", "014", "007"]):
            name = f"{('EN', 'DK')[n % 2]}_{speaker}_{'AS'[n // 2 % 2]}_{1 + n // 8}"
            sound(root / "wav" / f"{name}.wav", n)
            rated = {f"a1_{s}": 1 + (n + i) % 5 for i, s in enumerate("AVD")}
            rows.append({"file": f"{name}.wav", **rated, "gt_emotion": "A"})
        put_table(root / "annotations.csv", rows)

    def everyday(self, root: Path) -> None:
        lines = ["kind\tlanguage\temotion\tpolarity\ttext"]
        for language, texts in (("en", LONG), ("zh", CHINESE), ("de", ["ich bin froh", "das ist schlimm"])):
            for n, text in enumerate(share_of_texts(0.1, texts)):
                lines.append(f"plain\t{language}\t{EMOTIONS[n % 3]}\t{('positive', '-')[n % 2]}\t{text}")
        put(root / "everyday.tsv", "\n".join(lines) + "\n")

    def facial_expressions(self, root: Path) -> None:
        rows = []
        for n, person in enumerate(where(lambda p: by_share(p, 0.25), (f"Person_{a}" for a in letters()))):
            rows.append({"user.id": "me", "image": f"{person}_0001.jpg", "emotion": ("happiness", "fear")[n % 2]})
            self.picture(root / "images" / f"{person}_0001.jpg", n, 64)
        put_table(root / "data" / "legend.csv", rows)

    def ferplus(self, root: Path) -> None:
        names = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
        rows = []
        for n, split in enumerate(SPLITS):
            usage, folder = {"train": ("Training", "Train"), "dev": ("PublicTest", "Valid")}[split]
            votes = dict.fromkeys(names, 0) | {names[n % 2]: 8, names[3]: 2}
            rows.append({"Usage": usage, "Image name": f"fer{n:07}.png", **votes})
            self.picture(root / f"FER2013{folder}" / f"fer{n:07}.png", n)
        put_table(root / "fer2013new.csv", rows)

    def goemotions(self, root: Path) -> None:
        put(root / "labels.txt", "admiration\nanger\njoy\nsadness\nneutral\n")
        for part in ("train", "dev"):
            numbers = [n for n, split in enumerate(SPLITS) if split == part]
            put(root / f"{part}.tsv", "".join(f"{said(n)}\t{1 + n % 3}\tid{n}\n" for n in numbers))

    def iemocap(self, root: Path) -> None:
        codes = cycle(("neu", "hap", "sad", "ang", "neu"))
        for session in range(1, 6):
            folder, name = root / f"Session{session}", f"Ses0{session}F_impro01"
            lines, turns = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
            for n in range(DEV if session == 4 else TRAIN // 3):
                turn, start = f"{name}_{'FM'[n % 2]}{n:03}", 6.0 + n
                scales = f"[{1 + n}.5000, {4 - n}.0000, 3.0000]"
                lines.append(f"[{start:.4f} - {start + 0.5:.4f}]\t{turn}\t{next(codes)}\t{scales}")
                turns.append(f"{turn} [{start:08.4f}-{start + 0.5:08.4f}]: {said(10 * session + n)}")
                sound(folder / "sentences" / "wav" / name / f"{turn}.wav", 3 * session + n)
            put(folder / "dialog" / "EmoEvaluation" / f"{name}.txt", "\n".join(lines) + "\n")
            put(folder / "dialog" / "transcriptions" / f"{name}.txt", "\n".join(turns) + "\n")

    def isear(self, root: Path) -> None:
        people = where(lambda p: by_share(p, 0.1), map(str, count(1)))
        rows = [f"{p}|{('joy', 'sadness')[n % 2]}|{said(n)}|" for n, p in enumerate(people)]
        put(root / "isear.csv", "ID|Field1|SIT|\n" + "\n".join(rows) + "\n")

    def manifest(self, root: Path) -> None:
        rows = []
        for n, split in enumerate(SPLITS):
            self.video(root / f"{n}.mp4", n)
            rows.append(
                {"media": f"{n}.mp4", "text": said(n), "speaker": f"s{n}", "split": split, "emotion": EMOTIONS[n % 2]}
            )
        put_table(root / "manifest.csv", rows)

    def meld(self, root: Path) -> None:
        for part, clips, turns in (("train", "train_splits", TRAIN), ("dev", "dev_splits_complete", DEV)):
            rows = []
            for n in range(turns):
                number, second = n + (part == "dev") * TRAIN, n % 3
                felt = (("joy", "positive"), ("sadness", "negative"))[n % 2]
                times = {"StartTime": f"00:00:0{second},000", "EndTime": f"00:00:0{second},500"}
                place = {"Dialogue_ID": n // 3, "Utterance_ID": second, "Season": 1, "Episode": 1}
                told = {"Utterance": said(number), "Speaker": ("Joey", "Ross")[n % 2]}
                rows.append({"Sr No.": n, **told, "Emotion": felt[0], "Sentiment": felt[1], **place, **times})
                self.video(root / clips / f"dia{n // 3}_utt{second}.mp4", number)
            put_table(root / f"{part}_sent_emo.csv", rows)

    def mosi(self, root: Path) -> None:
        parts = ("train", "dev")
        videos = [
            v for part in parts for v in islice((v for v, s in MOSI_FOLDS.items() if s == part), SPLITS.count(part))
        ]
        self._opinions(root, videos, 5, 20)
        self._features(root, 100, 73)

    def mosi_features(self, root: Path) -> None:
        self.mosi(root)

    def _opinions(self, root: Path, videos: Sequence[str], *widths: int) -> None:
        rows = []
        for n, (video, mode) in enumerate(zip(videos, [*["train"] * TRAIN, *["valid"] * DEV], strict=True)):
            rows.append({"video_id": video, "clip_id": 1, "text": said(n).upper(), "label": (1.4, -2.0, 0.6)[n % 3]})
            rows[-1] |= {"label_T": "", "label_A": "", "label_V": "", "annotation": "Positive", "mode": mode}
            self.video(root / "Raw" / video / "1.mp4", n)
        put_table(root / "label.csv", rows)
        values = [float(row["label"]) for row in rows]
        mmsa(root / "Processed" / "unaligned_50.pkl", videos, values, (768, *widths))

    @staticmethod
    def _features(root: Path, *widths: int) -> None:
        names = [f"video{chr(97 + n)}_1" for n in range(15)]
        dev = dev_videos(tuple(n.partition("_")[0] for n in names), 0)
        names = [n for n in names if n.partition("_")[0] not in dev][:TRAIN] + [f"{v}_1" for v in sorted(dev)]
        names = names[: TRAIN + DEV]
        rng = np.random.default_rng(0)
        text, audio = (rng.standard_normal((len(names), width)).astype(np.float32) for width in widths)
        valence = np.resize([1.4, -2.0, 0.6], len(names)).astype(np.float32)
        said_at = np.array([said(n) for n in range(len(names))])
        arrays = {"text": text, "audio": audio, "video": text[:, ::-1], "valence": valence, "text_raw": said_at}
        np.savez(root / "mosi_utterance_features.npz", name=np.array(names), **arrays)

    def mosei(self, root: Path) -> None:
        videos = [f"-{n}g5yACwYnA" for n in range(TRAIN + DEV)]
        self._opinions(root, videos, 74, 35)
        names = ("anger", "disgust", "fear", "happiness", "sadness", "sentiment", "surprise")
        rows = [
            {"Input.VIDEO_ID": video, "Input.CLIP": 1} | {f"Answer.{name}": (n + i) % 3 for i, name in enumerate(names)}
            for n, video in enumerate(videos)
        ]
        put_table(root / "Raw" / "Labels" / "batch.csv", rows)

    def mustard(self, root: Path) -> None:
        def entry(number: int) -> dict[str, object]:
            told = {"utterance": said(number), "speaker": "A", "context": [f"Where were you on day {number}?"]}
            return told | {"context_speakers": ["B"], "show": "BBT", "sarcasm": number % 2 == 0}

        keys = where(lambda key: by_share(f"BBT_{key}", DEV_SHARE), (f"1_{n}" for n in count()))
        put(root / "sarcasm_data.json", json.dumps({key: entry(int(key[2:])) for key in keys}))
        for n, key in enumerate(keys):
            self.video(root / "utterances_final" / f"{key}.mp4", n)

    def nemo(self, root: Path) -> None:
        for n, speaker in enumerate([*["WR0"] * TRAIN, *["KD0"] * DEV]):
            sound(root / "samples" / f"{speaker}_{('happiness', 'anger')[n % 2]}_{n}.wav", n)

    def ravdess(self, root: Path) -> None:
        for n, actor in enumerate([*range(1, 1 + TRAIN), *range(17, 17 + DEV)]):
            rest = f"01-0{(3, 5)[n % 2]}-01-01-01-{actor:02}"
            sound(root / f"Actor_{actor:02}" / f"03-{rest}.wav", n)
            self.video(root / f"Actor_{actor:02}" / f"01-{rest}.mp4", n)

    def smp2020(self, root: Path) -> None:
        def posts(texts: Sequence[str]) -> str:
            return json.dumps(
                [{"id": t, "content": t, "label": ("happy", "angry")[n % 2]} for n, t in enumerate(texts)]
            )

        texts = where(lambda t: not by_share(t, 0.75), (said(n, CHINESE) for n in count()))
        put(root / "data" / "raw" / "virus_train.txt", posts(texts[:TRAIN]))
        put(root / "data" / "raw" / "virus_eval_labeled.txt", posts(texts[TRAIN:]))

    def tweeteval(self, root: Path) -> None:
        for part, name in (("train", "train"), ("dev", "val")):
            numbers = [n for n, split in enumerate(SPLITS) if split == part]
            put(root / "datasets" / "emotion" / f"{name}_text.txt", "".join(f"{said(n)}\n" for n in numbers))
            put(root / "datasets" / "emotion" / f"{name}_labels.txt", "".join(f"{n % 4}\n" for n in numbers))

    def xed(self, root: Path) -> None:
        for path, texts in (
            ("AnnotatedData/en-annotated.tsv", LONG),
            *((f"Projections/{c}-projections.tsv", CHINESE) for c in ("cn", "zh", "tw")),
            ("Projections/de-projections.tsv", ["ich bin froh", "das ist schlimm"]),
        ):
            rows = [f"{t}\t{(5, 6)[n % 2]}\n" for n, t in enumerate(share_of_texts(0.1, texts))]
            put(root / path, "".join(rows))


def letters() -> Iterator[str]:
    """a, b, … aa, ab, …: names without numbers."""
    for n in count():
        yield "".join(chr(97 + int(d)) for d in str(n))


@pytest.fixture(scope="session")
def corpora(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny corpora, each in a folder of its name."""
    folder = tmp_path_factory.mktemp("corpora")
    layouts = Layouts(repository / "demo" / "samples" / "face.jpg", tmp_path_factory.mktemp("videos"))
    for name in vars(Layouts):
        if not name.startswith("_") and name not in ("picture", "video"):
            (folder / name).mkdir()
            getattr(layouts, name)(folder / name)
    return folder
