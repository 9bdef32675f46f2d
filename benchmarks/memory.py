"""Show that memory does not grow with a clip's length: peak memory on 30 minutes against 3 minutes of the same clip.

The clip is looped without re-encoding, then each length is analysed by `emofuse predict` in a process of its own.

    uv run python benchmarks/memory.py [CLIP] [--minutes 3 30] [--limit 1.25] [-- further arguments of emofuse predict]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

SAMPLE = Path(__file__).resolve().parents[1] / "demo" / "samples" / "sample.mp4"


def loop(clip: Path, target: Path, seconds: float) -> None:
    """Repeat a clip's packets, stamped one round later each time, until it lasts `seconds`."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as looped:
        tracks = [source.streams.video[0], source.streams.audio[0]]
        out = {track.index: looped.add_stream_from_template(track) for track in tracks}
        length = max(float(track.duration * track.time_base) for track in tracks)
        shift = 0.0
        while shift < seconds:
            source.seek(0)
            for packet in source.demux(tracks):
                priming = shift > 0 and packet.stream.type == "audio" and (packet.pts or 0) < 0
                if packet.dts is None or packet.pts is None or packet.time_base is None or priming:
                    continue
                ticks = round(shift / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                packet.stream = out[packet.stream.index]
                looped.mux(packet)
            shift += length


def measure(clip: Path, arguments: list[str]) -> dict[str, float]:
    """Seconds and peak resident MiB of one analysis in a fresh process."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer.json"
        command = [sys.executable, "-m", "emofuse", "predict", str(clip), "--json", str(answer), *arguments]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        if status != 0:
            sys.exit(f"{' '.join(command)} failed")
        segments = len(json.loads(answer.read_text())["segments"])
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB elsewhere
    return {"seconds": round(took, 1), "peak_mib": round(usage.ru_maxrss * unit / 2**20, 1), "segments": segments}


def main() -> int:
    """Print a JSON report; the exit code is 1 when the ratio is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clip", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--minutes", nargs=2, type=float, default=(3.0, 30.0), metavar=("SHORT", "LONG"))
    parser.add_argument("--limit", type=float, default=1.25)
    given = sys.argv[1:]
    ours = given.index("--") if "--" in given else len(given)
    arguments, further = parser.parse_args(given[:ours]), given[ours + 1 :]
    report: dict[str, object] = {"clip": arguments.clip.name}
    peaks = []
    with tempfile.TemporaryDirectory() as scratch:
        for minutes in arguments.minutes:
            clip = Path(scratch) / f"{minutes:g}-minutes{arguments.clip.suffix}"
            loop(arguments.clip, clip, minutes * 60)
            report[f"{minutes:g} minutes"] = measured = measure(clip, further)
            peaks.append(measured["peak_mib"])
            clip.unlink()
    report |= {"ratio": round(peaks[1] / peaks[0], 3), "limit": arguments.limit}
    print(json.dumps(report, indent=2))  # noqa: T201
    return int(peaks[1] / peaks[0] > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
