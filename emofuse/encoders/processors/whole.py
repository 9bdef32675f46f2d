"""What an encoder does before its network, where that is not to be had without the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from emofuse.encoders.processors.processor import Processor
from emofuse.types import Segment, Word

if TYPE_CHECKING:
    from emofuse.encoders.encoder import Encoder


class EncoderProcessor(Processor):
    """Of an encoder that somebody else has written; it needs PyTorch, as the encoder does."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.config = encoder, encoder.config
        self.context_turns, self.future_turns = encoder.context_turns, encoder.future_turns

    def __call__(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """As `Encoder.prepare`."""
        return self.encoder.prepare(segment)

    def reads_at_once(self, words: Sequence[Word]) -> bool:
        """As the encoder."""
        return self.encoder.reads_at_once(words)

    def left_out(self, segment: Segment) -> float:
        """As the encoder."""
        return self.encoder.left_out(segment)

    def foreign(self, words: Sequence[Word]) -> bool:
        """As the encoder."""
        return self.encoder.foreign(words)
