"""A worker: reads mutated files one after the other, and says of each in a line of JSON how it went.

    python -m benchmarks.fuzz.worker KIND SEED FIRST LAST

What the package refuses with an `EmofuseError` went well; any other error, and more than SECONDS of work, did not.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.fuzz.mutate import mutated
from benchmarks.fuzz.seeds import SEEDS, Seeds
from emofuse.errors import EmofuseError

SECONDS = 20
"""Of processor time that a single file may take."""
MEMORY = 8 << 30
"""Bytes of address space: torch reserves much of what it never uses."""


class HangError(BaseException):
    """Raised by the timer; no reader catches it."""


def read_media(path: Path, seeds: Seeds) -> None:
    """Every segment, in order of time and made of finite numbers."""
    from emofuse.media.reader import MediaOptions, segments

    reached = 0.0
    for segment in segments(path, options=MediaOptions(voice="always"), notes=[]):
        assert reached - 1e-6 <= segment.start <= segment.end
        assert segment.waveform is None or np.isfinite(segment.waveform).all()
        reached = segment.end


def read_recipe(path: Path, seeds: Seeds) -> None:
    """The plan of the recipe."""
    from emofuse.training.recipe.dry_run import plan
    from emofuse.training.recipe.read import load_recipe

    list(plan(load_recipe(path), None, []))


def read_manifest(path: Path, seeds: Seeds) -> None:
    """Every row, bad rows being listed."""
    from emofuse.corpora.registry import corpus

    corpus("manifest").read(path, None, strict=False)


def read_checkpoint(path: Path, seeds: Seeds) -> None:
    """The model, and what it predicts; `path` replaces the file of its name in a whole folder."""
    from emofuse.batch import collate
    from emofuse.model.model import EmotionModel
    from emofuse.types import FaceTrack, Segment, Word

    with tempfile.TemporaryDirectory() as scratch:
        for name, content in seeds.items():
            (Path(scratch) / name).write_bytes(content)
        (Path(scratch) / path.name).write_bytes(path.read_bytes())
        model = EmotionModel.from_pretrained(scratch, lean=True)
    one = np.ones(1, np.float32)
    face = FaceTrack(0, np.full((1, 32, 32, 3), 99, np.uint8), one, np.zeros((1, 4), np.float32), one)
    sound = np.sin(np.arange(8_000) / 9).astype(np.float32)
    segment = Segment("a", 0.0, 1.0, (Word("so", 0.0, 0.5), Word("happy!", 0.5, 1.0)), sound, (face,))
    decoded = model.predict(collate([model.prepare(segment)]))
    for scores in model.conformal.get("text", {}).values():
        scores.at(0.9).predict_sets(np.nan_to_num(decoded.tasks["emotion"], nan=0.0))


READ: dict[str, Callable[[Path, Seeds], None]] = {
    "media": read_media, "transcripts": read_media, "recipes": read_recipe, "manifests": read_manifest,
    "checkpoints": read_checkpoint,
}  # fmt: skip


def write_mutant(kind: str, seed: int, number: int, seeds: Seeds, folder: Path) -> Path:
    """The mutated file of a number: of its kind, the seed and the number alone."""
    random = Random(f"{seed}/{kind}/{number}")
    name = random.choice(sorted(seeds))
    path = folder / name
    path.write_bytes(mutated(seeds[name], [seeds[other] for other in sorted(seeds)], random))
    return path


def attempt(kind: str, path: Path, seeds: Seeds) -> dict[str, str]:
    """How reading a file went: read, refused, error, hang."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            READ[kind](path, seeds)
    except EmofuseError as error:
        return {"outcome": "refused", "why": str(error)[:200]}
    except HangError:
        return {"outcome": "hang", "why": "".join(traceback.format_exc(limit=-6))}
    except Exception as error:
        return {"outcome": "error", "why": f"{type(error).__name__}: {error}\n" + traceback.format_exc(limit=-6)}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return {"outcome": "read", "why": ""}


def _hang(number: int, frame: object) -> None:
    raise HangError


def main(kind: str, seed: int, first: int, last: int) -> None:
    """Read the mutants `first` … `last` - 1."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, _hang)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "seeds").mkdir()
        seeds = SEEDS[kind](folder / "seeds")
        for number in range(first, last):
            print(json.dumps({"number": number, "outcome": "began"}), flush=True)  # noqa: T201
            path = write_mutant(kind, seed, number, seeds, folder)
            print(json.dumps({"number": number, **attempt(kind, path, seeds)}), flush=True)  # noqa: T201
            path.unlink()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
