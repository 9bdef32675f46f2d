"""Voice activity detection: the Silero network, streaming, with weights that come with the package."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.lib.stride_tricks import sliding_window_view

from emofuse.files import bundled
from emofuse.types import SAMPLE_RATE

GRAPH = "silero-vad/silero_vad_16k.onnx"
CHUNK = 512
"""Samples per decision (32 ms)."""
CHUNK_SECONDS = CHUNK / SAMPLE_RATE
_CONTEXT = 64
"""Samples of the chunk before that each decision also sees."""
_AT_ONCE = 1024
"""Chunks that go through the network at a time."""


def network(graph: bytes) -> Any:
    """A session of ONNX Runtime that computes in the thread that calls it, and takes none from the encoders beside:
    products as small as these cost several threads twice the time of one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=1)
def _network() -> Any:
    return network(bundled(GRAPH).read_bytes())


class VoiceActivity:
    """The probability of speech in a stream of sound; what does not fill a chunk waits for the next call."""

    def __init__(self) -> None:
        self._network = _network()
        self._hidden = self._cell = np.zeros((1, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, " chunks"]:
        """Probabilities of the chunks that these samples complete."""
        samples = np.concatenate([self._rest, samples])
        count = samples.size // CHUNK
        whole, self._rest = np.split(samples, [count * CHUNK])
        if not count:
            return np.zeros(0, np.float32)
        sound = np.concatenate([self._context, whole])
        self._context = sound[-_CONTEXT:]
        chunks = sliding_window_view(sound, CHUNK + _CONTEXT)[::CHUNK]
        return np.concatenate([self._run(chunks[i : i + _AT_ONCE]) for i in range(0, count, _AT_ONCE)])

    def finish(self) -> Float32[np.ndarray, " chunks"]:
        """The probability of the last chunk, filled up with silence."""
        missing = -self._rest.size % CHUNK
        return self.push(np.zeros(missing, np.float32)) if missing else np.zeros(0, np.float32)

    def _run(self, chunks: Float32[np.ndarray, "chunks 576"]) -> Float32[np.ndarray, " chunks"]:
        given = {"chunks": np.ascontiguousarray(chunks), "hidden": self._hidden, "cell": self._cell}
        probabilities, self._hidden, self._cell = self._network.run(None, given)
        return probabilities
