"""What a user would glue together: OpenCV's frames and cascade, librosa, and three transformers pipelines."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import cv2

from benchmarks.clips import CUES
from benchmarks.models import Sources

EVERY = 15
"""Frames between two that are looked at: 16 or 17 crops of ten seconds at 25 frames a second."""


class Glue:
    """One call analyses one clip, with the models loaded beforehand."""

    def __init__(self, sources: Sources, clip: Path) -> None:
        from transformers import pipeline

        self.clip = clip
        self.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
        self.image: Any = pipeline("image-classification", model=str(picture_model(sources)), device="cpu")
        self.audio: Any = pipeline("audio-classification", model=str(sources.speech), device="cpu")
        self.text: Any = pipeline("text-classification", model=str(sources.text), device="cpu", top_k=None)

    def __call__(self) -> dict[str, float]:
        """Mean probabilities over the three."""
        scores: dict[str, list[float]] = {}
        answers = [self.image(face) for face in self._faces()]
        answers += [self.audio({"raw": self._sound(), "sampling_rate": 16_000})]
        answers += self.text([text for _, _, text in CUES])
        for answer in answers:
            for entry in answer:
                scores.setdefault(entry["label"], []).append(entry["score"])
        return {label: sum(values) / len(values) for label, values in scores.items()}

    def _faces(self) -> list[Any]:
        from PIL import Image

        video = cv2.VideoCapture(str(self.clip))
        faces, index = [], 0
        while True:
            there, frame = video.read()
            if not there:
                break
            if index % EVERY == 0:
                grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
                for x, y, width, height in self.cascade.detectMultiScale(grey, 1.1, 5)[:1]:
                    crop = cv2.cvtColor(frame[y : y + height, x : x + width], cv2.COLOR_BGR2RGB)
                    faces.append(Image.fromarray(crop))
            index += 1
        video.release()
        return faces

    def _sound(self) -> Any:
        import librosa

        program = shutil.which("ffmpeg")
        if program is None:
            from emofuse.media.decode import read_audio

            return read_audio(self.clip)
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            subprocess.run([program, "-v", "error", "-y", "-i", str(self.clip), "-vn", file.name], check=True)
            return librosa.load(file.name, sr=16_000, mono=True)[0]


def picture_model(sources: Sources) -> Path:
    """A ViT of the same size in transformers' own format, with random weights."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    folder = sources.face.with_name("face-transformers")
    if not (folder / "config.json").is_file():
        tiny = sources.checkpoint.parent.name == "tiny"
        small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        torch.manual_seed(0)
        ViTForImageClassification(ViTConfig(**(small if tiny else {}), num_labels=7)).save_pretrained(folder)
        ViTImageProcessor().save_pretrained(folder)
    return folder
