"""Encoder configurations, sufficient to rebuild an encoder without any download."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from emofuse.encoders.word_table import STRONGEST
from emofuse.errors import nearest
from emofuse.tasks import EMOTIONS

LARGEST = 10_000_000
"""No number of an architecture is larger: a vocabulary, at most."""
DEEPEST = 1_000
"""No backbone has more layers."""
_DIVIDES = (("hidden_size", "num_attention_heads"), ("d_model", "encoder_attention_heads"), ("embed_dim", "num_heads"))
"""Pairs of a width and the number of heads that share it."""
_COUNTS_LAYERS = ("layers", "depth", "depths", "n_layer", "num_blocks")
"""Endings of the names by which architectures say how many layers they have."""

WHISPER = "whisper"
"""The model type whose encoder alone is used …"""
CONFORMER = "wav2vec2-bert"
"""… and the one that reads log-mel frames, stacked."""
_LOCAL = (".", "/", "~", "package:", "local-dir:")
"""What sources begin with that are on this disk."""


def _an_emotion(name: str) -> str:
    if name not in EMOTIONS:
        raise ValueError(f"there is no emotion {name!r}; {nearest(name, EMOTIONS)}")
    return name


Emotion = Annotated[str, AfterValidator(_an_emotion)]
Pooling = Literal["attention", "statistics", "mean", "last"]


class EncoderConfig(BaseModel):
    """What every encoder's configuration has; a subclass gives `kind` its default, the name it is registered by."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    kind: str
    pool: Pooling = "attention"
    """How the modality's own head pools its tokens: attention, attentive mean and deviation (Okabe et al. 2018), their
    plain mean, or the last one."""


class BackboneConfig(EncoderConfig):
    """A transformer, from published weights or from scratch."""

    source: str | None = None
    """Where the weights start: a hub id, a local folder, or `package:NAME` for a model inside an installed package.

    None = from scratch, in the shape of `architecture`.
    """
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    architecture: dict[str, Any] | None = None
    """The backbone's own configuration; filled in when `source` is loaded."""

    @model_validator(mode="after")
    def _described(self) -> BackboneConfig:
        if self.revision is not None and self.source is not None and self.source.startswith(_LOCAL):
            raise ValueError(f"revision {self.revision!r} is of a hub id, and source {self.source!r} is none")
        if self.source is None and self.architecture is None:
            raise ValueError("give a source (hub id, folder, package:NAME) or an architecture to start from scratch")
        return self

    @field_validator("architecture")
    @classmethod
    def _bounded(cls, architecture: dict[str, Any] | None) -> dict[str, Any] | None:
        for name, number in _numbers(architecture or {}):
            if name == "rope_theta":
                continue  # the longest wave of positions: nothing is as large
            most = DEEPEST if name.endswith(_COUNTS_LAYERS) else LARGEST
            if abs(number) > most:
                raise ValueError(f"architecture: {name} is {number}; at most {most:,} is built")
        for width, heads in _DIVIDES:
            staged = isinstance((architecture or {}).get(heads), list | tuple)  # a number a stage, of widths that grow
            free = staged or (architecture or {}).get("head_dim")
            if architecture and width in architecture and heads in architecture and not free:
                _check_heads(width, architecture[width], heads, architecture[heads])
        return architecture


class TextConfig(BackboneConfig):
    """BERT family, and decoders (GPT-2, OPT, Llama, Qwen, Gemma), through transformers' auto classes."""

    kind: Literal["text"] = "text"  # type: ignore[assignment]
    pool: Pooling | None = None  # type: ignore[assignment]
    """None = `attention`; of a decoder `last`, since only the last piece has seen all."""
    weights: Literal["float32", "bfloat16", "4bit"] = "float32"
    """Of the backbone while nothing but adapters learns in it: as they are, in half the memory, or its layers in 4 bits
    (Dettmers et al. 2023, QLoRA), by bitsandbytes. A checkpoint holds them like any others."""
    tokenizer: str | None = None
    """Hub id or folder of the tokenizer where it is not that of `source`."""
    max_length: int = Field(128, ge=8, le=1 << 20)
    """Word pieces in an utterance with its context; the oldest context goes first."""
    context_turns: int = Field(5, ge=0, le=LARGEST)
    """How many earlier turns are shown."""
    future_turns: int = Field(0, ge=0, le=LARGEST)
    """How many later turns are shown: above 0 is another task than reading past turns alone. Of layout `dialogue`."""
    layout: Literal["pair", "dialogue"] = "pair"
    """`pair`: the utterance, then the turns before it as a second text, the latest first. `dialogue`: all turns in the
    order in which they were said, the utterance between markers; decoders always read so."""
    speakers: Literal["names", "tokens"] = "names"
    """Of layout `dialogue`: speakers by name before their words, or by tokens of their own, <s1> to <s9>, numbered in
    the order in which they first speak (Yun et al. 2024)."""
    prompt: bool = False
    """Of layout `dialogue`: end with "Now SPEAKER feels <mask>" in place of markers round the utterance, and of a
    vocabulary without a mask, as a decoder's, with "Now SPEAKER feels"."""
    lexicon: bool = True
    """Join VADER features through a zero-initialised projection."""
    valences: dict[str, Annotated[float, Field(ge=-1, le=1)]] = {}
    """Words of one's own, in small letters, with the valence that the lexicon's feature has of them; any language.

    In a recipe, `lexicon: words.csv` (word, valence, emotion, strength) stands for these and `affinities`."""
    affinities: dict[str, dict[Emotion, Annotated[float, Field(ge=-STRONGEST, le=STRONGEST)]]] = {}
    """Words of one's own with emotions and their strengths: further features, with a zero-initialised projection."""
    languages: tuple[str, ...] = ()
    """Codes (ISO 639-1) of the languages it was trained on; () = not said. Words in none of their scripts are named."""

    @model_validator(mode="after")
    def _of_a_dialogue(self) -> TextConfig:
        if self.layout == "pair" and (self.future_turns or self.prompt or self.speakers == "tokens"):
            raise ValueError("future_turns, prompt and speakers: tokens are of layout: dialogue")
        return self

    @model_validator(mode="after")
    def _of_the_lexicon(self) -> TextConfig:
        if self.affinities and not self.lexicon:
            raise ValueError("affinities are features of the lexicon, and lexicon is false; leave one of them out")
        return self


class SpecAugment(BaseModel):
    """Spans of frames and of channels masked while an encoder learns (Park et al. 2019), as wav2vec 2.0 is fine-tuned.

    Frames of the wav2vec2 family take the vector that pretraining masked with, where the weights hold one, and else 0;
    Whisper's are those of its spectrogram, which become 0.
    """

    model_config = ConfigDict(extra="forbid")

    time: float = Field(0.05, ge=0, le=1)
    """Share of the frames in masked spans, before these overlap; at least two spans of each row that has room."""
    time_length: int = Field(10, ge=1, le=LARGEST)
    """Frames in a span."""
    features: float = Field(0.0, ge=0, le=1)
    """Share of the channels in masked spans."""
    features_length: int = Field(64, ge=1, le=LARGEST)


class SpeechConfig(BackboneConfig):
    """wav2vec2 family (wav2vec2, HuBERT, WavLM, data2vec, wav2vec2-BERT) and Whisper's encoder, of transformers."""

    kind: Literal["speech"] = "speech"  # type: ignore[assignment]
    layer_sum: bool = False
    """A learned weighted sum of all hidden layers in place of the last (Yang et al. 2021, SUPERB)."""
    last_layers: int = Field(1, ge=1, le=DEEPEST)
    """States of this many last layers side by side in each token: lower ones keep more of how a thing was said."""
    normalize: bool | None = None
    """Zero mean and unit variance: of the waveform (raw front ends), of each mel bin (wav2vec2-BERT). Of Whisper's
    spectrogram: the loudest bin at one level.

    None = as the source's feature extractor says; True from scratch. With a `stem` only the utterance's mean level
    over all bins is taken away, so that a recording's gain does not matter but spectral tilt and dynamics stay.
    """
    stem: tuple[Annotated[int, Field(ge=1, le=1 << 16)], ...] = ()
    """Channels of residual convolutions over the spectrogram, for a wav2vec2-BERT from scratch (see `MelStem`)."""
    trim: bool = True
    """Leave out what is 30 dB below the loudest at either end, so that how a clip was cut does not matter."""
    max_seconds: float | None = Field(None, ge=0.1, le=LARGEST)
    """The most sound that is read at once, from its start on, after trimming; None = all. What is left out is said."""
    spec_augment: SpecAugment | None = None
    """Masks the encoder's own frames while it learns; None = never. A frozen encoder is not masked."""

    @model_validator(mode="after")
    def _stem_of_scratch(self) -> SpeechConfig:
        if self.stem and (self.architecture or {}).get("model_type") != CONFORMER:
            raise ValueError("a stem is for an architecture of model_type wav2vec2-bert, from scratch")
        return self

    @model_validator(mode="after")
    def _one_use_of_the_layers(self) -> SpeechConfig:
        if self.layer_sum and self.last_layers > 1:
            raise ValueError("layer_sum weighs all layers, last_layers sets some side by side: choose one")
        return self


class FaceConfig(BackboneConfig):
    """Image backbones of timm (a name, an `hf-hub:` id, a folder) and of transformers (CLIP, SigLIP, ViT, DINOv2).

    From scratch, `architecture` is passed to timm's VisionTransformer, with `stem: [channels, …]` for a convolutional
    stem (Xiao et al. 2021) in place of the patch projection.
    """

    kind: Literal["face"] = "face"  # type: ignore[assignment]
    name: str | None = None
    """timm architecture; None for one from scratch."""
    image_size: int = Field(224, ge=16, le=1 << 13)
    grayscale: bool = False
    """Show the network luma only, three times over: a model that learnt on grey faces then meets no colour."""
    mirror: bool = False
    """Outside training, look at each picture and its mirror image, and take the mean of both states: twice the time of
    the backbone, for faces that it may have learnt from one side."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Mean and deviation of each colour; where they are not given, the source's own."""
    view: Literal["faces", "frames"] = "faces"
    """What is looked at: faces, cut out, or whole pictures, in which none are looked for."""
    whose: Literal["main", "speaker", "all"] = "main"
    """Faces in view that are read: of the person seen most, of whoever is seen to speak, or of all together. With
    `all`, and with whole pictures, a segment has one answer, not one a person."""
    crops: int = Field(8, ge=1, le=16)
    """The most pictures of a segment: of each person, with `all` of all persons together."""
    crop_interval: float = Field(1.0, ge=0.04, le=60)
    """Seconds that a picture stands for: a segment has no more of a person than its length takes, but two."""
    crop_size: int = Field(112, ge=16, le=1 << 13)
    """Side that a picture is kept at, in pixels, before it is scaled to `image_size`."""
    margin: float = Field(0.0, ge=0, le=2)
    """Added around a face on each side, as a share of its side."""

    @model_validator(mode="after")
    def _of_faces(self) -> FaceConfig:
        if self.view == "frames" and (self.whose != "main" or self.margin):
            raise ValueError("whose and margin are of view: faces; whole pictures have neither: leave them out")
        return self


class FeaturesConfig(EncoderConfig):
    """Features that someone else extracted, a vector or a sequence of vectors a segment."""

    kind: Literal["features"] = "features"
    width: int = Field(ge=1, le=LARGEST)
    """Length of one feature vector."""
    dim: int = Field(64, ge=1, le=1 << 16)
    dropout: float = Field(0.1, ge=0, lt=1)


def with_kind(encoders: Any) -> Any:
    """Let `{"text": {…}}` stand for `{"text": {"kind": "text", …}}`."""
    if not isinstance(encoders, dict):
        return encoders
    return {m: {"kind": m, **c} if isinstance(c, dict) else c for m, c in encoders.items()}


def _numbers(values: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """Every integer within plain values, with the name of the field that it stands in."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _numbers(value, str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _numbers(value, name)
    elif isinstance(values, int):
        yield name, values


def _check_heads(width_name: str, width: Any, heads_name: str, heads: Any) -> None:
    whole = isinstance(width, int) and isinstance(heads, int) and width > 0 and heads > 0
    if not whole or width % heads:
        raise ValueError(f"architecture: {width_name} {width!r} is no multiple of {heads_name} {heads!r}")
