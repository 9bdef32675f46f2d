"""Dialogues as a text encoder reads them: turns in the order in which they were said, their speakers marked.

Without a prompt the utterance stands between markers, after the earlier and before the later turns (Kim and Vossen
2021, EmoBERTa); with one the turns end in "Now SPEAKER feels <mask>" (Yun et al. 2024, TelME). Where a tokenizer has no
such markers, as those of decoders, every turn has a line of its own, and the prompt ends in "feels".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emofuse.encoders.config import TextConfig
from emofuse.errors import RecipeError
from emofuse.types import Segment

TOKENS = tuple(f"<s{number}>" for number in range(1, 10))
"""Speakers beyond the ninth share its token."""
HANDED_ON = -2
"""Stands where a piece's word is named for a piece of no word that is handed on all the same: [CLS], the prompt's mask
or last piece, the marker that ends a text for a decoder."""


@dataclass(frozen=True)
class Turn:
    """What one speaker said, as pieces; `owner` is the index of the word that a piece belongs to, -1 of none."""

    ids: list[int]
    owner: list[int]


class DialogueLayout:
    """Segment → pieces with the word each belongs to, at most `max_length`; the turns furthest away go first.

    The tokenizer knows TOKENS where the configuration asks for them (see `with_speakers`).
    """

    def __init__(self, config: TextConfig, tokenizer: Any) -> None:
        self.config, self.tokenizer = config, tokenizer
        both, one = (tokenizer.num_special_tokens_to_add(pair=pair) for pair in (True, False))
        sep = [tokenizer.sep_token_id] if tokenizer.sep_token_id is not None else []
        self.between = sep * max(1, both - one)
        self.start, self.end = Turn([], []), Turn(sep, [-1] * len(sep))
        if tokenizer.cls_token_id is not None:
            self.start = Turn([tokenizer.cls_token_id], [HANDED_ON])
        elif not sep:
            self.start, self.end = _markers(tokenizer)
        self.space = " " if _wants_space(tokenizer) else ""
        self.line = [] if sep else _newline(tokenizer)
        vocabulary = tokenizer.get_vocab() if config.speakers == "tokens" else {}
        self.marks = [vocabulary[token] for token in TOKENS if token in vocabulary]

    def __call__(self, segment: Segment, text: str, word_of_char: Sequence[int]) -> tuple[list[int], list[int]]:
        """Ids, and the word of each: -1 of none, HANDED_ON of none and handed on."""
        config = self.config
        before = segment.context[-config.context_turns :] if config.context_turns else ()
        after = segment.after[: config.future_turns]
        numbers = numbered([*map(speaker_of, before), segment.speaker, *map(speaker_of, after)])
        own = self._own(segment.speaker, numbers, text, word_of_char)
        prompt = self._prompt(segment.speaker, numbers)
        room = config.max_length - len(self._joined([], own, [], prompt).ids)
        shown = self._nearest([self._turn(t, numbers) for t in before], [self._turn(t, numbers) for t in after], room)
        whole = self._joined(shown[0], own, shown[1], prompt)
        if room < 0:
            cut = max(1, len(own.ids) + room)
            whole = self._joined([], Turn(own.ids[:cut], own.owner[:cut]), [], prompt)
        return whole.ids[: config.max_length], whole.owner[: config.max_length]

    def _nearest(self, before: list[Turn], after: list[Turn], room: int) -> tuple[list[Turn], list[Turn]]:
        """As many whole turns as there is room for, the nearest first, an earlier one before a later one."""
        kept: tuple[list[Turn], list[Turn]] = ([], [])
        queues = [list(reversed(before)), list(after)]
        while any(queues):
            for side, queue in enumerate(queues):
                if not queue:
                    continue
                if len(queue[0].ids) > room:
                    queue.clear()
                    continue
                turn = queue.pop(0)
                room -= len(turn.ids)
                kept[side].append(turn)
        return kept[0][::-1], kept[1]

    def _joined(self, before: Sequence[Turn], own: Turn, after: Sequence[Turn], prompt: Turn | None) -> Turn:
        """All with their markers."""
        apart = Turn(self.between, [-1] * len(self.between))
        if prompt is None:
            pieces = [*before, *([apart] if before else []), own, *([apart] if after else []), *after]
        elif self.between:
            pieces = [*before, own, *after, self.end, prompt]
        else:
            pieces = [*before, own, Turn(self.line, [-1] * len(self.line)), *after, prompt]
        pieces = [self.start, *pieces, self.end]
        return Turn([i for turn in pieces for i in turn.ids], [i for turn in pieces for i in turn.owner])

    def _turn(self, said: str, numbers: dict[str, int]) -> Turn:
        speaker, words = speaker_of(said), said
        if speaker is not None and self.config.speakers == "tokens":
            words = said.partition(": ")[2]
        ids = [*self._mark(speaker, numbers), *self._pieces(words)["input_ids"], *self.line]
        return Turn(ids, [-1] * len(ids))

    def _own(self, speaker: str | None, numbers: dict[str, int], text: str, word_of_char: Sequence[int]) -> Turn:
        name = f"{speaker}: " if speaker is not None and self.config.speakers == "names" else ""
        encoded = self._pieces(name + text)
        shift = len(name) + len(self.space)
        owner = [
            word_of_char[min(max(0, first - shift), len(word_of_char) - 1)] if last > shift else -1
            for first, last in encoded["offset_mapping"]
        ]
        marks = self._mark(speaker, numbers)
        return Turn([*marks, *encoded["input_ids"]], [-1] * len(marks) + owner)

    def _prompt(self, speaker: str | None, numbers: dict[str, int]) -> Turn | None:
        if not self.config.prompt:
            return None
        who = self._mark(speaker, numbers)
        now, feels = (self._pieces(word)["input_ids"] for word in ("Now", "feels"))
        ids = [*now, *(who or self._pieces(speaker or "the speaker")["input_ids"]), *feels]
        ids += [i for i in [self.tokenizer.mask_token_id] if i is not None]
        return Turn(ids, [-1] * (len(ids) - 1) + [HANDED_ON])

    def _mark(self, speaker: str | None, numbers: dict[str, int]) -> list[int]:
        """The speaker's own token, where speakers have tokens and it is known who speaks."""
        if self.config.speakers != "tokens" or speaker is None:
            return []
        return [self.marks[min(numbers[speaker], len(TOKENS) - 1)]]

    def _pieces(self, text: str) -> Any:
        """Without markers, as within a text: some vocabularies tell a word after a space from one without."""
        return self.tokenizer(self.space + text, add_special_tokens=False, return_offsets_mapping=True)


def _plain(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _markers(tokenizer: Any) -> tuple[Turn, Turn]:
    """What a tokenizer without [CLS] and [SEP] puts before a text, and after it: that is the last piece to be read."""
    marked, bare = list(tokenizer("a")["input_ids"]), _plain(tokenizer, "a")
    found = next((i for i in range(len(marked)) if bare and marked[i : i + len(bare)] == bare), len(marked))
    before, after = marked[:found], marked[found + len(bare) :]
    return Turn(before, [-1] * len(before)), Turn(after, [-1] * (len(after) - 1) + [HANDED_ON] * bool(after))


def _wants_space(tokenizer: Any) -> bool:
    """False of a vocabulary that puts the space before a text's first word itself."""
    alone, both = _plain(tokenizer, "a"), _plain(tokenizer, "b a")
    return both != [*_plain(tokenizer, "b"), *alone] or alone == _plain(tokenizer, " a")


def _newline(tokenizer: Any) -> list[int]:
    """Pieces of the end of a line; [] for a vocabulary that does not know it."""
    found = _plain(tokenizer, "b\n")[len(_plain(tokenizer, "b")) :]
    return [] if tokenizer.unk_token_id in found else found


def speaker_of(turn: str) -> str | None:
    """Who said "SPEAKER: text"; None where that is not said."""
    name, colon, _ = turn.partition(": ")
    return name if colon and name else None


def numbered(speakers: Sequence[str | None]) -> dict[str, int]:
    """Speakers in the order in which they first speak, from 0."""
    return {name: i for i, name in enumerate(dict.fromkeys(s for s in speakers if s is not None))}


def with_speakers(tokenizer: Any, backbone: Any) -> None:
    """Let a tokenizer and its backbone know TOKENS; rows of the embedding that are new start at random."""
    tokenizer.add_tokens(list(TOKENS), special_tokens=True)
    with_rows(tokenizer, backbone)


def with_rows(tokenizer: Any, backbone: Any) -> None:
    """Give a backbone's embedding rows for markers that its tokenizer was given after it was trained.

    Raises RecipeError where the tokenizer knows other pieces, too, that the backbone does not.
    """
    pieces, rows = tokenizer.get_vocab(), backbone.get_input_embeddings().weight.shape[0]
    beyond = {piece: number for piece, number in pieces.items() if number >= rows}
    if not beyond:
        return
    if not beyond.keys() <= tokenizer.get_added_vocab().keys():
        raise RecipeError(
            f"the tokenizer knows {len(pieces):,} pieces and the model has {rows:,}: they are of different models; "
            "set model.encoders.text.tokenizer to that of the model"
        )
    backbone.resize_token_embeddings(max(beyond.values()) + 1, mean_resizing=False)
