"""The clip: inputs checked and sorted into sound and pictures on a clock, a still, and words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from os import PathLike
from typing import IO, Any, TypedDict

import numpy as np
from jaxtyping import Float32, UInt8

from emofuse.errors import MediaError, nearest
from emofuse.files import well_formed
from emofuse.media.audio import BLOCK, AudioBlock, as_channels, as_waveform
from emofuse.media.channels import CHANNEL_BLOCK, block_of
from emofuse.media.decode import ClipInfo, Reach, probe_file, stream
from emofuse.media.formats import ACCEPTED, TEXT_SUFFIXES, is_picture, readable
from emofuse.media.frames import Frames, as_frames
from emofuse.media.image import VideoFrame, read_image, read_picture
from emofuse.media.limits import UNLIMITED, Limits
from emofuse.media.memory import MemoryFile, as_file, as_sound, called, way_out
from emofuse.media.stretch import WHOLE, Stretch, read_stretch
from emofuse.media.talk import Count, chosen, read_channel, read_context, read_count, read_name, read_names
from emofuse.media.transcript import Cue, Transcript, read_transcript, visible, with_speakers
from emofuse.notes import Note
from emofuse.types import SAMPLE_RATE

PathOrName = str | PathLike[str]
Source = PathOrName | bytes | bytearray | memoryview | IO[bytes] | MemoryFile
"""A file: its path, its bytes, or the open file."""
Sound = tuple[int, Any] | tuple[Any, int] | Mapping[str, Any]
"""Sampling rate in Hz, and an array of shape (samples,), (samples, channels) or (channels, samples)."""


class TalkInputs(TypedDict, total=False):
    """Who speaks in a clip, who of them is predicted, and what was said before."""

    context: Sequence[str] | None
    """What was said before the clip, oldest turn first, each "NAME: words" or words alone."""
    only: Sequence[str] | str | None
    """The speakers who are predicted; nobody else is. None = everybody."""
    speakers: Count | None
    """How many people are told apart by their voices where nothing else says who speaks ("auto" = find it); needs the
    extra `speakers`."""
    speaker: str | None
    """Who says all that nobody else is named for; of `text`, all of it, whatever stands before a colon."""
    channels: Sequence[str] | None
    """Who speaks in each channel of the sound, in their order: a call in stereo is ["agent", "customer"]."""
    channel: int | str | None
    """The one channel that is analysed: its number from 0, and the others are not heard; where `channels` are named, by
    number or name, and the others are heard but not predicted."""


class ClipInputs(TalkInputs, total=False):
    """What makes a clip beside, or in place of, its source; every entry point takes these keywords.

    | in hand | hand in |
    |---|---|
    | a path of a video, a recording, a picture, a text | `model("clip.mp4")` |
    | bytes, `io.BytesIO`, a file opened with "rb", a pipe | `model(file)`; read from where it stands, up to 2 GB |
    | base64 | `model(base64.b64decode(text))` |
    | words | `model(text="…")`; a name before a colon is who says it |
    | (rate, array) of Gradio or SciPy, (array, rate) of librosa, soundfile or torchaudio | `model(audio=pair)` |
    | `{"array": …, "sampling_rate": …}` of datasets and transformers | `model(audio=sample["audio"])` |
    | a PIL image; an array of uint8, or of float in [0, 1] | `model(image=picture)` |
    | a list of pictures, an array (frames, height, width, 3) | `model(frames=(rate, pictures), audio=pair)` |
    | tensors of PyTorch, on any device | as arrays, pictures with channels first too |
    | several paths, a column of a data frame | `model.predict_many(frame["path"])` |
    | several texts | `model.predict_many([{"text": text} for text in texts])` |

    Of an address, download the file. Sound is int16, int32, uint8 or float in [-1, 1], of 1 to 8 channels, at 8 to
    192 kHz. Given together, inputs are one clip. Anything else is refused by a MediaError that names the conversion.
    """

    audio: Sound | None
    """Sound in memory, in place of a source."""
    image: Any | None
    """A picture, in place of a source: see `read_image`."""
    frames: tuple[float, Any] | None
    """Moving pictures in memory, in place of a source: their rate in Hz, and the pictures; see `as_frames`."""
    text: str | None
    """The words themselves, alone or of the clip, a turn a line ("ANN: …" names who says it); never a path."""
    transcript: PathOrName | None
    """The words of the clip, as a string or as a file of them; `read_transcript` says how the two are told apart."""
    start: float | None
    """Second at which what is analysed of sound or moving pictures begins; None = theirs. What lies before is neither
    heard nor seen; of words with times those within are taken, words without are those of the stretch; times in the
    answer are those of the file."""
    end: float | None
    """Second at which it ends; None = theirs."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One thing to analyse: any of sound, moving pictures, a still and words."""

    name: str
    info: ClipInfo | None = None
    """Of a video or sound file."""
    waveform: Float32[np.ndarray, " samples"] | None = None
    """Of sound in memory."""
    still: UInt8[np.ndarray, "h w 3"] | None = None
    frames: Frames | None = None
    """Moving pictures in memory."""
    transcript: Transcript | None = None
    notes: tuple[Note, ...] = ()
    """What was changed or left out of the inputs when they were opened."""
    context: tuple[str, ...] = ()
    """The turns before the clip, oldest first."""
    only: tuple[str, ...] | None = None
    """The speakers who are predicted; None = everybody."""
    speaker: str | None = None
    """Who says all that nobody else is named for."""
    speakers: Count | None = None
    """How many voices are told apart; None = they are not."""
    channels: tuple[str, ...] | None = None
    """Who speaks in each channel of the sound; None = the channels are mixed."""
    voices: Float32[np.ndarray, "channels samples"] | None = None
    """Of sound in memory whose channels are kept apart."""
    channel: int | None = None
    """The one channel of a file that is heard; None = all."""
    stretch: Stretch = WHOLE
    """What of the file is read; all times are counted from its start."""

    @property
    def has_audio(self) -> bool:
        """Whether there is sound."""
        return self.waveform is not None or (self.info is not None and self.info.has_audio)

    @property
    def has_video(self) -> bool:
        """Whether there are moving pictures."""
        return self.frames is not None or (self.info is not None and self.info.has_video)

    @property
    def duration(self) -> float | None:
        """Seconds; None where there is no clock, or the file does not say."""
        held = [self.waveform.size / SAMPLE_RATE] if self.waveform is not None else []
        held += [self.frames.seconds] if self.frames is not None else []
        if held:
            return max(held)
        if self.info is None or not self.info.duration:
            return None
        return min(self.info.duration - self.stretch.start, self.stretch.length)

    def within(self, stretch: Stretch) -> Clip:
        """This stretch as a clip of its own, whose clock begins with it. Raises MediaError where there is none."""
        if not (self.has_audio or self.has_video):
            raise MediaError(
                "start= and end= take a stretch out of sound or moving pictures, and there are none; leave them out"
            )
        stretch.check(self.duration)
        return replace(
            self,
            stretch=stretch,
            waveform=None if self.waveform is None else self.waveform[stretch.samples],
            voices=None if self.voices is None else self.voices[:, stretch.samples],
            frames=None if self.frames is None else self.frames.within(stretch.start, stretch.end),
            transcript=None if self.transcript is None else stretch.words(self.transcript),
        )

    def items(
        self,
        frame_interval: float = 0.0,
        video: bool = True,
        notes: list[str] | None = None,
        limits: Limits = UNLIMITED,
        reach: Reach | None = None,
        prompt: bool = False,
    ) -> Iterator[AudioBlock | VideoFrame]:
        """Sound and pictures in one pass, as `decode.stream` gives them, by the clock of the stretch."""
        if self.info is not None:
            found = stream(
                self.info,
                video=video and self.has_video,
                start=self.stretch.start,
                end=self.stretch.end,
                frame_interval=frame_interval,
                notes=notes,
                limits=limits,
                reach=reach,
                channels=None if self.channels is None else len(self.channels),
                channel=self.channel,
                prompt=prompt,
            )
            yield from map(self.stretch.begun, found)
            if reach is not None:
                reach.pictures = max(0.0, reach.pictures - self.stretch.start)
            return
        pictures = self.frames if video else None
        if pictures is not None and reach is not None:
            reach.pictures = pictures.seconds
        yield from merge(self._blocks(), pictures.items(frame_interval, limits) if pictures else (), key=_when)

    def _blocks(self) -> Iterator[AudioBlock]:
        """Sound in memory."""
        if self.voices is not None:
            for i in range(0, self.voices.shape[1], CHANNEL_BLOCK):
                yield block_of(i / SAMPLE_RATE, self.voices[:, i : i + CHANNEL_BLOCK])
            return
        waveform = np.zeros(0, np.float32) if self.waveform is None else self.waveform
        for i in range(0, waveform.size, BLOCK):
            yield AudioBlock(i / SAMPLE_RATE, waveform[i : i + BLOCK])


def _when(item: AudioBlock | VideoFrame) -> float:
    return item.start if isinstance(item, AudioBlock) else item.time


def check_inputs(inputs: Iterable[str], *more: str) -> None:
    """Raise MediaError for a name that is neither one of `ClipInputs` nor one of `more`."""
    valid = {*ClipInputs.__annotations__, *more}
    for name in inputs:
        if name not in valid:
            raise MediaError(f"no input {name!r}; {nearest(name, valid)}")


def open_clip(
    source: Source | None = None,
    *,
    audio: Sound | None = None,
    image: Any | None = None,
    frames: tuple[float, Any] | None = None,
    text: str | None = None,
    transcript: PathOrName | None = None,
    context: Sequence[str] | None = None,
    only: Sequence[str] | str | None = None,
    channels: Sequence[str] | None = None,
    channel: int | str | None = None,
    speaker: str | None = None,
    speakers: Count | None = None,
    start: float | None = None,
    end: float | None = None,
) -> Clip:
    """Checks every input and reads those that are small; MediaError for what is missing, doubled or not what it says.

    `source` is always a file, of a video, of sound, of a still, or of a text: its path, its bytes, or the open file.
    `text` is always text. `transcript` is text or a file of it, told apart as `read_transcript` does. The others: see
    `ClipInputs`.
    """
    name = read_name(speaker)
    clip = replace(
        _opened(source, audio, image, frames, text, transcript, name),
        context=read_context(context),
        only=chosen(channels, channel, only),
        speaker=name,
        speakers=read_count(speakers),
    )
    if sum(given is not None for given in (speaker, speakers, channels)) > 1:
        raise MediaError("speaker=, speakers= and channels= each say who speaks; give one of them")
    names = read_names(channels, "channels")
    if names is not None:
        clip = _with_channels(clip, audio, names)
    elif channel is not None:
        clip = _with_channel(clip, audio, channel)
    return clip if start is None and end is None else clip.within(read_stretch(start, end))


def _with_channel(clip: Clip, audio: Sound | None, channel: int | str) -> Clip:
    """The clip with the sound of one channel alone. Raises MediaError where there is no such channel."""
    there = as_channels(*as_sound(audio)) if audio is not None else None
    count = len(there) if there is not None else (clip.info.channels or 0) if clip.info is not None else 0
    index = read_channel(channel, count)
    return replace(clip, channel=index, waveform=None if there is None else there[index])


def _with_channels(clip: Clip, audio: Sound | None, names: tuple[str, ...]) -> Clip:
    """The clip with a speaker a channel. Raises MediaError where there are not as many channels as names."""
    voices = as_channels(*as_sound(audio)) if audio is not None else None
    there = len(voices) if voices is not None else (clip.info.channels or 0) if clip.info is not None else 0
    if there != len(names):
        raise MediaError(
            f"channels names {len(names)} speakers ({', '.join(names)}), and the sound has "
            f"{f'{there} channel(s)' if there else 'no channels'}; give a name for each channel, or leave channels out"
        )
    return replace(clip, channels=names, voices=voices)


def _opened(
    source: Source | None,
    audio: Sound | None,
    image: Any | None,
    frames: tuple[float, Any] | None,
    text: str | None,
    transcript: PathOrName | None,
    speaker: str | None,
) -> Clip:
    in_memory = {"audio": audio, "image": image, "frames": frames}
    given = [name for name, value in in_memory.items() if value is not None]
    if source is None and not given and text is None and transcript is None:
        raise MediaError(f"nothing was handed in; {ACCEPTED}")
    notes: list[Note] = []
    words = _words(text, transcript, speaker)
    waveform = _sound(audio, notes)
    if image is not None and frames is not None:
        raise MediaError("image= and frames= were both given; give the one picture, or those that move")
    still = None if image is None else read_image(image, notes)
    moving = as_frames(frames)
    if source is None:
        return _noted(Clip(next(iter(given), "text"), None, waveform, still, moving, words), notes)
    if given:
        raise MediaError(f"source= and {given[0]}= were both given; a clip is one file, or audio=, image= and text=")
    path = readable(as_file(source))
    if path.suffix.lower() in TEXT_SUFFIXES:
        if words is not None:
            raise MediaError(f"{path} is a text, and text= or transcript= was given too; give one of them")
        return _noted(Clip(path.name, transcript=read_transcript(path)), notes)
    if is_picture(path):
        return _noted(Clip(path.name, still=read_picture(path, notes), transcript=words), notes)
    return _noted(Clip(path.name, probe_file(path, size=False), transcript=words), notes)


def _noted(clip: Clip, notes: Sequence[Note]) -> Clip:
    """The clip with what there is to say of its inputs."""
    return replace(clip, notes=(*notes, *(clip.transcript.notes if clip.transcript is not None else ())))


def _words(text: str | None, transcript: PathOrName | None, speaker: str | None) -> Transcript | None:
    if text is not None and transcript is not None:
        raise MediaError("text= and transcript= were both given; give one of them")
    if transcript is not None:
        if not isinstance(transcript, (str, PathLike)):
            way = way_out(transcript, "text").replace("text=", "transcript=")
            raise MediaError(f"a transcript is a string or a path, not {called(transcript)}; {way}")
        return read_transcript(transcript)
    if text is None:
        return None
    if not isinstance(text, str):
        raise MediaError(
            f"text is a string, not {called(text)}: {way_out(text, 'text')}; a text file is a source or a transcript"
        )
    lines = [visible(line) for line in well_formed(text).splitlines()]
    return Transcript(tuple(with_speakers([Cue(line, speaker=speaker) for line in lines if line])))


def _sound(audio: object, notes: list[Note]) -> np.ndarray | None:
    if audio is None:
        return None
    return as_waveform(*as_sound(audio), notes=notes)
