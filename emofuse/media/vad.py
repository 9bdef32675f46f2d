"""Voice activity detection: the Silero network, streaming, with the weights its package bundles."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from emofuse.torch_state import plain_torch
from emofuse.types import SAMPLE_RATE

CHUNK = 512
"""Samples per decision (32 ms)."""
CHUNK_SECONDS = CHUNK / SAMPLE_RATE
_CONTEXT = 64
"""Samples of the chunk before that each decision also sees."""


class SileroNet(nn.Module):
    """Silero VAD at 16 kHz (silero-vad 6, MIT), over many chunks at once: only its LSTM must go chunk by chunk.

    The package's own TorchScript file computes the same, one chunk a call, but its loader is deprecated in torch and
    importing the package sets the process's number of threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm = nn.LSTM(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(
        self, chunks: Float[Tensor, "chunks 576"], state: tuple[Tensor, Tensor] | None
    ) -> tuple[Float[Tensor, " chunks"], tuple[Tensor, Tensor]]:
        """The probability of speech in each chunk, and the state to hand in with the next ones."""
        x = self.stft_conv(F.pad(chunks, (0, 64), mode="reflect")[:, None])
        x = (x[:, :129].square() + x[:, 129:].square()).sqrt()
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).relu()
        x, after = self.lstm(x.squeeze(-1)[:, None], state)
        return self.final_conv(x.squeeze(1)[..., None].relu()).sigmoid().flatten(), after


@lru_cache(maxsize=1)
@plain_torch()
def _network() -> SileroNet:
    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None and spec.submodule_search_locations
    weights = load_file(Path(next(iter(spec.submodule_search_locations))) / "data" / "silero_vad_16k.safetensors")
    weights = {name.replace("lstm_cell", "lstm") + "_l0" * ("lstm" in name): w for name, w in weights.items()}
    with torch.random.fork_rng(devices=[]):  # no draw of the weights before they are read is the caller's
        network = SileroNet()
    network.load_state_dict(weights)
    return network.float().eval().requires_grad_(False)


class VoiceActivity:
    """The probability of speech in a stream of sound; what does not fill a chunk waits for the next call."""

    def __init__(self) -> None:
        self._network = _network()
        self._state: tuple[Tensor, Tensor] | None = None
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
        chunks = np.lib.stride_tricks.sliding_window_view(sound, CHUNK + _CONTEXT)[::CHUNK]
        with plain_torch(), torch.inference_mode():
            probabilities, self._state = self._network(torch.from_numpy(chunks.copy()), self._state)
        return probabilities.numpy()

    def finish(self) -> Float32[np.ndarray, " chunks"]:
        """The probability of the last chunk, filled up with silence."""
        missing = -self._rest.size % CHUNK
        return self.push(np.zeros(missing, np.float32)) if missing else np.zeros(0, np.float32)
