"""The clip: inputs checked and sorted into sound and pictures on a clock, a still, and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import TypedDict

import numpy as np
from jaxtyping import Float32, UInt8

from emofuse.errors import MediaError
from emofuse.files import well_formed
from emofuse.media.audio import BLOCK, AudioBlock, as_waveform
from emofuse.media.decode import ClipInfo, Reach, VideoFrame, probe, stream
from emofuse.media.formats import ACCEPTED, TEXT_SUFFIXES, existing_file, is_picture
from emofuse.media.image import read_image
from emofuse.media.limits import UNLIMITED, Limits
from emofuse.media.transcript import Cue, Transcript, read_transcript, with_speakers
from emofuse.notes import Note
from emofuse.types import SAMPLE_RATE

PathOrName = str | PathLike[str]
Sound = tuple[int, np.ndarray]
"""Sampling rate in Hz, and an array of shape (samples,), (samples, channels) or (channels, samples)."""


class ClipInputs(TypedDict, total=False):
    """What makes a clip beside, or in place of, the path of its source; every entry point takes these keywords."""

    audio: Sound | None
    """Sound in memory, in place of a source."""
    image: PathOrName | np.ndarray | None
    """A picture, as the path of one or as an array of uint8, in place of a source."""
    text: str | None
    """The words themselves, alone or of the clip, a turn a line ("ANN: …" names who says it); never a path."""
    transcript: PathOrName | None
    """The words of the clip, as a string or as a file of them; `read_transcript` says how the two are told apart."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One thing to analyse: any of sound, moving pictures, a still and words."""

    name: str
    info: ClipInfo | None = None
    """Of a video or sound file."""
    waveform: Float32[np.ndarray, " samples"] | None = None
    """Of sound in memory."""
    still: UInt8[np.ndarray, "h w 3"] | None = None
    transcript: Transcript | None = None
    notes: tuple[Note, ...] = ()
    """What was changed or left out of the inputs when they were opened."""

    @property
    def has_audio(self) -> bool:
        """Whether there is sound."""
        return self.waveform is not None or (self.info is not None and self.info.has_audio)

    @property
    def has_video(self) -> bool:
        """Whether there are moving pictures."""
        return self.info is not None and self.info.has_video

    @property
    def duration(self) -> float | None:
        """Seconds; None where there is no clock, or the file does not say."""
        if self.waveform is not None:
            return self.waveform.size / SAMPLE_RATE
        return (self.info.duration or None) if self.info is not None else None

    def items(
        self,
        frame_interval: float = 0.0,
        video: bool = True,
        notes: list[str] | None = None,
        limits: Limits = UNLIMITED,
        reach: Reach | None = None,
    ) -> Iterator[AudioBlock | VideoFrame]:
        """Sound and pictures in one pass, as `decode.stream` gives them."""
        if self.info is not None:
            yield from stream(
                self.info.path,
                video=video and self.has_video,
                frame_interval=frame_interval,
                notes=notes,
                limits=limits,
                reach=reach,
            )
        elif self.waveform is not None:
            for i in range(0, self.waveform.size, BLOCK):
                yield AudioBlock(i / SAMPLE_RATE, self.waveform[i : i + BLOCK])


def open_clip(
    source: PathOrName | None = None,
    *,
    audio: Sound | None = None,
    image: PathOrName | np.ndarray | None = None,
    text: str | None = None,
    transcript: PathOrName | None = None,
) -> Clip:
    """Checks every input and reads those that are small; MediaError for what is missing, doubled or not what it says.

    `source` is always a path: of a video, of sound, of a still, or of a text. `text` is always text. `transcript` is
    text or a file of it, told apart as `read_transcript` does.
    """
    if all(given is None for given in (source, audio, image, text, transcript)):
        raise MediaError(f"nothing was handed in; {ACCEPTED}")
    notes: list[Note] = []
    words = _words(text, transcript)
    waveform = _sound(audio, notes)
    still = None if image is None else read_image(image, notes)
    if source is None:
        name = "audio" if audio is not None else "image" if image is not None else "text"
        return _noted(Clip(name, None, waveform, still, words), notes)
    for name, given in (("audio", audio), ("image", image)):
        if given is not None:
            raise MediaError(f"source= and {name}= were both given; a clip is one file, or audio=, image= and text=")
    path = existing_file(source)
    if path.suffix.lower() in TEXT_SUFFIXES:
        if words is not None:
            raise MediaError(f"{path} is a text, and text= or transcript= was given too; give one of them")
        return _noted(Clip(path.name, transcript=read_transcript(path)), notes)
    if is_picture(path):
        return _noted(Clip(path.name, still=read_image(path, notes), transcript=words), notes)
    return _noted(Clip(path.name, probe(path), transcript=words), notes)


def _noted(clip: Clip, notes: Sequence[Note]) -> Clip:
    """The clip with what there is to say of its inputs."""
    return replace(clip, notes=(*notes, *(clip.transcript.notes if clip.transcript is not None else ())))


def _words(text: str | None, transcript: PathOrName | None) -> Transcript | None:
    if text is not None and transcript is not None:
        raise MediaError("text= and transcript= were both given; give one of them")
    if transcript is not None:
        if not isinstance(transcript, (str, PathLike)):
            raise MediaError(f"a transcript is a string or a path, not {type(transcript).__name__}; {ACCEPTED}")
        return read_transcript(transcript)
    if text is None:
        return None
    if not isinstance(text, str):
        raise MediaError(
            f"text is a string, not {type(text).__name__}; a text file is a source or a transcript; {ACCEPTED}"
        )
    lines = [" ".join(line.split()) for line in well_formed(text).splitlines()]
    return Transcript(tuple(with_speakers([Cue(line) for line in lines if line])))


def _sound(audio: object, notes: list[Note]) -> np.ndarray | None:
    if audio is None:
        return None
    if not isinstance(audio, (tuple, list)) or len(audio) != 2:
        raise MediaError(f"audio is a pair (rate in Hz, array), not {type(audio).__name__}; a sound file is a source")
    return as_waveform(*audio, notes=notes)
