"""Seeds: small whole files of every kind that is read, from which mutations start."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = REPOSITORY / "demo" / "samples"
SECONDS = 1.2
CODECS = {
    ".mp4": ("libx264", "aac"), ".mkv": ("libx264", "flac"), ".webm": ("libvpx", "libopus"), ".avi": ("mpeg4", "mp2"),
    ".ts": ("libx264", "aac"), ".mov": ("mpeg4", "pcm_s16le"), ".wav": (None, "pcm_s16le"), ".flac": (None, "flac"),
    ".mp3": (None, "libmp3lame"), ".ogg": (None, "libopus"), ".m4a": (None, "aac"),
}  # fmt: skip
STILLS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"}

Seeds = dict[str, bytes]
"""File name → its bytes."""


def media(folder: Path) -> Seeds:
    """A second of a voice and a face in every common container, and the face alone."""
    from PIL import Image

    from emofuse.media.decode import read_audio

    sound = read_audio(SAMPLES / "voice.flac")[8_000 : 8_000 + round(SECONDS * 16_000)]
    face = Image.open(SAMPLES / "face.jpg").convert("RGB").resize((128, 128))
    found: Seeds = {}
    for suffix, (video, audio) in CODECS.items():
        path = folder / f"clip{suffix}"
        _write(path, sound, np.asarray(face) if video else None, video, audio)
        found[path.name] = path.read_bytes()
    for suffix, name in STILLS.items():
        buffer = io.BytesIO()
        face.save(buffer, name)
        found[f"face{suffix}"] = buffer.getvalue()
    return found


def _write(path: Path, sound: np.ndarray, picture: np.ndarray | None, video: str | None, audio: str) -> None:
    import av

    with av.open(str(path), "w") as container:
        pictures: Any = container.add_stream(video, rate=10) if video and picture is not None else None
        voice: Any = container.add_stream(audio, rate=16_000 if audio != "libopus" else 48_000, layout="mono")
        if pictures is not None and picture is not None:
            pictures.height, pictures.width = picture.shape[:2]
            pictures.pix_fmt = "yuv420p"
            for _ in range(round(SECONDS * 10)):
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(pictures.encode(None))
        for first in range(0, len(sound), 1024):
            piece = np.ascontiguousarray(sound[None, first : first + 1024], np.float32)
            frame = av.AudioFrame.from_ndarray(piece, format="flt", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, first, Fraction(1, 16_000)
            container.mux(voice.encode(frame))
        container.mux(voice.encode(None))


def transcripts(folder: Path) -> Seeds:
    """Captions in every form and several encodings."""
    srt = (SAMPLES / "sample.srt").read_text("utf-8")
    vtt = (
        "WEBVTT\nKind: captions\n\nNOTE made by hand\n\n00:00.500 --> 00:02.000 align:start\n<v Anna>I am <b>so</b> "
        "happy!\n\n00:02.000 --> 00:03.500\nI am so happy!\nAnd you?\n\n1\n00:00:03.500 --> 00:00:05.000\n"
        "- Yes.\n- No.\n"
    )
    texts = {
        "a.srt": srt, "b.vtt": vtt, "c.txt": "ANNA: I never want to see you again.\nBOB: Please wait a moment!\n",
        "d.srt": "1\n00:00:00,000 --> 00:00:02,000\nÄrger, naïve, 我很高兴\n\n2\n00:00:02,000 --> 00:00:03,000\nback\n",
    }  # fmt: skip
    encodings = {"a.srt": "utf-8", "b.vtt": "utf-8-sig", "c.txt": "utf-16", "d.srt": "utf-8"}
    return {name: text.encode(encodings[name]) for name, text in texts.items()}


def recipes(folder: Path) -> Seeds:
    """Recipes that come with the project, those that stand alone; no search spaces."""
    found = {f"{p.parent.name}-{p.name}": p.read_bytes() for p in sorted((REPOSITORY / "recipes").glob("*/*.yaml"))}
    return {name: text for name, text in found.items() if b"extends:" not in text and b"\nmodel:" in text}


def manifests(folder: Path) -> Seeds:
    """A table of a few rows as CSV, JSONL and Parquet."""
    import pandas as pd

    rows = [
        {"id": f"{i}", "text": t, "speaker": f"s{i % 3}", "split": s, "emotion": e, "valence": v, "language": "en"}
        for i, (t, s, e, v) in enumerate(
            [("so happy!", "train", "joy", 0.5), ("oh, no", "dev", "sadness", -0.25), ("hm", "test", "neutral", 0.0)]
            * 3
        )
    ]
    table, parquet = pd.DataFrame(rows), io.BytesIO()
    table.to_parquet(parquet)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return {"a.csv": table.to_csv(index=False).encode(), "b.jsonl": lines.encode(), "c.parquet": parquet.getvalue()}


def checkpoints(folder: Path) -> Seeds:
    """The files of a model of three modalities with random weights and prediction sets."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    from emofuse.model.config import ModelConfig
    from emofuse.model.conformal import ConformalScores
    from emofuse.model.model import EmotionModel

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyz.,!?"
    pieces = [*special, *letters, *(f"##{c}" for c in letters), "happy", "i", "am", "so", "sad"]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(dict.fromkeys(pieces))}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    words = folder / "words"
    words.mkdir()
    tokenizer.save(str(words / "tokenizer.json"))
    roles = {f"{role.strip('[]').lower()}_token": role for role in special}
    (words / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", **roles}))
    torch.manual_seed(0)
    model = EmotionModel(ModelConfig.model_validate(_tiny(words)))
    probabilities = np.random.default_rng(0).dirichlet(np.ones(7), 50)
    scores = ConformalScores.fit(probabilities, np.arange(50) % 7, classes=model.tasks[0].classes)
    model.conformal = {"text": {"emotion": scores}, "text+speech+face": {"emotion": scores}}
    model.save_pretrained(folder / "model")
    return {path.name: path.read_bytes() for path in sorted((folder / "model").iterdir())}


def _tiny(words: Path) -> dict[str, object]:
    plain = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    text = {"model_type": "bert", "vocab_size": 80, "max_position_embeddings": 64, **plain}
    speech = {"model_type": "wav2vec2-bert", "feature_projection_input_dim": 160, "conv_depthwise_kernel_size": 7}
    speech |= {"position_embeddings_type": "rotary", **plain}
    face = {"patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2, "stem": [8, 8, 8]}
    encoders = {
        "text": {"tokenizer": str(words), "architecture": text, "max_length": 32},
        "speech": {"architecture": speech},
        "face": {"architecture": face, "image_size": 32},
    }
    fusion = {"dim": 16, "layers": 1, "heads": 2}
    return {"tasks": ["emotion", "valence"], "encoders": encoders, "fusion": fusion}


SEEDS: dict[str, Callable[[Path], Seeds]] = {
    "media": media, "transcripts": transcripts, "recipes": recipes, "manifests": manifests, "checkpoints": checkpoints,
}  # fmt: skip
