"""The call of `customer_call.ipynb`: call.ogg, an agent left and a customer right, and call.srt with who says what.

Written for this project and spoken by espeak-ng, which must be installed:

    uv run python examples/make_call.py [FOLDER]
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from emofuse.files import write_file

TURNS = (
    ("agent", "Thank you for calling. How can I help you today?"),
    ("customer", "Hello. My parcel has not arrived, and it was due on Monday."),
    ("agent", "I see. May I have the order number, please?"),
    ("customer", "I gave it to your colleague twice! I called three times. This is ridiculous!"),
    ("agent", "I understand. Let me look into it."),
    ("customer", "I am so fed up with this. I want my money back now!"),
    ("agent", "I found it. It went back to the depot. I can send a courier today, at no cost to you."),
    ("customer", "Oh, today? That would be wonderful."),
    ("agent", "It will be with you before six."),
    ("customer", "Thank you so much, I am so happy! You have been very kind."),
)
VOICES = {"agent": ("en-gb+m3", 160, 45), "customer": ("en-us+f3", 165, 60)}
"""Speaker → voice of espeak-ng, words a minute, pitch."""
RATE, PAUSE = 16_000, 0.5
"""Samples a second; seconds between turns."""


def spoken(speaker: str, words: str) -> np.ndarray:
    """A turn as float mono at `RATE`."""
    voice, speed, pitch = VOICES[speaker]
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", words]
    data, rate = soundfile.read(io.BytesIO(_whole(subprocess.run(command, check=True, capture_output=True).stdout)))
    return resample_poly(data, RATE, rate)


def _whole(wav: bytes) -> bytes:
    """The file with its length in its header, where espeak-ng writes a placeholder to a pipe."""
    return wav[:4] + (len(wav) - 8).to_bytes(4, "little") + wav[8:40] + (len(wav) - 44).to_bytes(4, "little") + wav[44:]


def _stamp(seconds: float) -> str:
    """A cue's time in srt."""
    return f"{int(seconds) // 3600:02}:{int(seconds) // 60 % 60:02}:{seconds % 60:06.3f}".replace(".", ",")


def main(folder: Path) -> None:
    """Write both files."""
    sound, cues, at = [], [], PAUSE
    for number, (speaker, words) in enumerate(TURNS, 1):
        said = spoken(speaker, words)
        stereo = np.zeros((said.size + round(PAUSE * RATE), 2))
        stereo[-said.size :, list(VOICES).index(speaker)] = said
        sound.append(stereo)
        end = at + said.size / RATE
        cues.append(f"{number}\n{_stamp(at)} --> {_stamp(end)}\n{speaker}: {words}\n")
        at = end + PAUSE
    written = io.BytesIO()
    soundfile.write(written, np.concatenate(sound), RATE, format="OGG", subtype="VORBIS", compression_level=0.9)
    write_file(folder / "call.ogg", written.getvalue())
    write_file(folder / "call.srt", "\n".join(cues))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
