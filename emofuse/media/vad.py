"""Voice activity detection: the Silero network, streaming, with weights that come with the package."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float32
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load

from emofuse.files import bundled
from emofuse.types import SAMPLE_RATE

WEIGHTS = "silero-vad/silero_vad_16k.safetensors"
CHUNK = 512
"""Samples per decision (32 ms)."""
CHUNK_SECONDS = CHUNK / SAMPLE_RATE
_CONTEXT = 64
"""Samples of the chunk before that each decision also sees."""
_STRIDES = (1, 2, 2, 1)
"""Of the four convolutions, over the frames of a chunk."""
_WIDTH, _HALF = 128, np.float32(0.5)
"""Numbers in the LSTM's state."""
_AT_ONCE = 1024
"""Chunks whose frames are held at a time."""

Array = Float32[np.ndarray, "..."]
State = tuple[Float32[np.ndarray, " 128"], Float32[np.ndarray, " 128"]]


class SileroNet:
    """Silero VAD at 16 kHz (silero-vad 6, MIT), over many chunks at once: only its LSTM must go chunk by chunk.

    The products are NumPy's, which takes none of torch's threads from the encoders that compute beside the reading.
    """

    def __init__(self, weights: dict[str, Array]) -> None:
        self._spectrum = np.ascontiguousarray(weights["stft_conv.weight"][:, 0].T)
        self._convolutions = [_as_product(weights, f"conv{i}") for i in range(1, 5)]
        halved = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), _WIDTH)[:, None]
        self._input = np.ascontiguousarray((halved * weights["lstm_cell.weight_ih"]).T)
        self._recurrent = np.ascontiguousarray(halved * weights["lstm_cell.weight_hh"])
        self._bias = halved[:, 0] * (weights["lstm_cell.bias_ih"] + weights["lstm_cell.bias_hh"])
        self._last = weights["final_conv.weight"][0, :, 0], weights["final_conv.bias"][0]

    def __call__(
        self, chunks: Float32[np.ndarray, "chunks 576"], state: State
    ) -> tuple[Float32[np.ndarray, " chunks"], State]:
        """The probability of speech in each chunk, and the state to hand in with the next ones."""
        parts = [self._encoded(chunks[i : i + _AT_ONCE]) for i in range(0, len(chunks), _AT_ONCE)]
        hidden, state = self._remembered(np.concatenate(parts), state)
        weight, bias = self._last
        return _sigmoid(np.maximum(hidden, 0) @ weight + bias), state

    def _encoded(self, chunks: Float32[np.ndarray, "n 576"]) -> Float32[np.ndarray, "n 512"]:
        """What the LSTM's gates are given of each chunk: its spectrum in four frames, through the convolutions."""
        padded = np.concatenate([chunks, chunks[:, -2:-66:-1]], axis=1)
        parts = sliding_window_view(padded, 256, axis=1)[:, ::128] @ self._spectrum
        x = np.sqrt(parts[..., :129] ** 2 + parts[..., 129:] ** 2)
        for (weight, bias), stride in zip(self._convolutions, _STRIDES, strict=True):
            padded = np.zeros((len(x), x.shape[1] + 2, x.shape[2]), np.float32)
            padded[:, 1:-1] = x
            windows = sliding_window_view(padded, 3, axis=1)[:, ::stride]
            x = np.maximum(windows.reshape(*windows.shape[:2], -1) @ weight + bias, 0)
        return x[:, 0] @ self._input + self._bias

    def _remembered(self, gates: Float32[np.ndarray, "n 512"], state: State) -> tuple[Array, State]:
        """The LSTM's output after each chunk, and its state after the last.

        The sigmoid is 0.5 tanh(x / 2) + 0.5; its gates' weights are halved, so that one tanh serves all four.
        """
        hidden, cell = state[0], state[1].copy()
        outputs = np.empty((len(gates), _WIDTH), np.float32)
        gate = np.empty(4 * _WIDTH, np.float32)
        into, forget, new, out = gate.reshape(4, -1)
        for i, given in enumerate(gates):
            np.dot(self._recurrent, hidden, out=gate)
            gate += given
            np.tanh(gate, out=gate)
            for part in (gate[: 2 * _WIDTH], out):
                part *= _HALF
                part += _HALF
            cell *= forget
            new *= into
            cell += new
            hidden = np.multiply(out, np.tanh(cell), out=outputs[i])
        return outputs, (hidden, cell)


def _as_product(weights: dict[str, Array], name: str) -> tuple[Array, Array]:
    """A convolution's weight as the matrix that its windows, channels before taps, are multiplied by; its bias."""
    weight = weights[f"{name}.weight"]
    return np.ascontiguousarray(weight.reshape(len(weight), -1).T), weights[f"{name}.bias"]


def _sigmoid(x: Array) -> Array:
    return 0.5 * np.tanh(0.5 * x) + np.float32(0.5)


@lru_cache(maxsize=1)
def _network() -> SileroNet:
    return SileroNet(load(bundled(WEIGHTS).read_bytes()))


class VoiceActivity:
    """The probability of speech in a stream of sound; what does not fill a chunk waits for the next call."""

    def __init__(self) -> None:
        self._network = _network()
        self._state: State = (np.zeros(128, np.float32), np.zeros(128, np.float32))
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
        probabilities, self._state = self._network(sliding_window_view(sound, CHUNK + _CONTEXT)[::CHUNK], self._state)
        return probabilities

    def finish(self) -> Float32[np.ndarray, " chunks"]:
        """The probability of the last chunk, filled up with silence."""
        missing = -self._rest.size % CHUNK
        return self.push(np.zeros(missing, np.float32)) if missing else np.zeros(0, np.float32)
