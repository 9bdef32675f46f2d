"""The one call: a clip, a recording, a picture or a text in, an analysis out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emofuse.errors import EmofuseError, require_package
from emofuse.model.model import EmotionModel
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.clip import Clip
from emofuse.pipeline.judge import judge
from emofuse.pipeline.progress import bar
from emofuse.types import Prediction

if TYPE_CHECKING:
    import torch

    from emofuse.media.segments import MediaOptions

File = str | PathLike[str]
Sound = File | tuple[int, np.ndarray]
Picture = File | np.ndarray


def load(
    model: str | Path = "emofuse-small",
    device: str | torch.device = "auto",
    *,
    asr: str | None = None,
    options: MediaOptions | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> Pipeline:
    """A pipeline around a model that came with emofuse (by name), a model folder, or a hub id "owner/name".

    `device` "auto" takes CUDA or Apple's GPU where there is one. `asr` names a faster-whisper model (hub id or folder)
    that hears the words of clips without a transcript; needs the extra `asr`. `options` say how media are cut into
    segments and which face detector looks. Raises `CheckpointError` for a model that is missing, damaged or of another
    schema.
    """
    if asr is not None:
        require_package("faster_whisper", extra="asr")
    place = choose_device(device)
    loaded = EmotionModel.from_pretrained(model, device=place, revision=revision, token=token)
    path = Path(model).expanduser()
    return Pipeline(loaded, name=path.resolve().name if path.is_dir() else str(model), asr=asr, options=options)


def choose_device(device: str | torch.device) -> torch.device:
    """The device meant by "auto", or the named one if it is there. Raises `EmofuseError`."""
    import torch

    if str(device) == "auto":
        gpu = torch.accelerator.current_accelerator(check_available=True)
        return gpu or torch.device("cpu")
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError) as error:
        raise EmofuseError(f"cannot compute on {str(device)!r}: valid here are auto, cpu{_gpus(torch)}") from error
    return place
