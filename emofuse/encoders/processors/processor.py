"""`Processor`: from a segment to the arrays that an encoder's network reads, and what is asked of words before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from emofuse.types import Segment, Word


class Processor(ABC):
    """Runs in workers, without weights."""

    config: Any
    """Of its encoder."""
    context_turns: int = 0
    """Earlier turns of a dialogue that are read beside the utterance."""
    future_turns: int = 0
    """Later ones."""

    @abstractmethod
    def __call__(self, segment: Segment) -> dict[str, np.ndarray] | None:
        """Arrays of one segment, None where the modality is absent; see `Encoder.prepare`."""

    def reads_at_once(self, words: Sequence[Word]) -> bool:
        """Whether the words are read whole, none of them cut off."""
        return True

    def left_out(self, segment: Segment) -> float:
        """Seconds of a segment that are there and not read, because it is longer than what is read at once."""
        return 0.0

    def foreign(self, words: Sequence[Word]) -> bool:
        """Whether words are in a script that the encoder cannot read."""
        return False
