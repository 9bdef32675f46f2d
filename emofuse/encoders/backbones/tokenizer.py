"""A fast tokenizer read from a checkpoint without transformers."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

FILES = ("tokenizer.json", "tokenizer_config.json")
_ONE = threading.Lock()
"""How a tokenizer truncates is a setting of it: nobody may change it while another thread's text is read by it."""


class Encoded(dict[str, Any]):
    """One text's pieces, as transformers' BatchEncoding holds them."""

    def __init__(self, encoding: Encoding) -> None:
        super().__init__(input_ids=encoding.ids, token_type_ids=encoding.type_ids, offset_mapping=encoding.offsets)
        self._sequences = encoding.sequence_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """Which of the two texts each piece is of; None for markers."""
        return self._sequences


class FastTokenizer:
    """Text → word pieces through the `tokenizers` library alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.backend_tokenizer = Tokenizer.from_file(str(folder / FILES[0]))
        self.backend_tokenizer.no_padding()
        settings = json.loads((folder / FILES[1]).read_text("utf-8"))
        self._special = {role: settings[role] for role in settings if role.endswith("_token")}

    @staticmethod
    def fits(folder: Path) -> bool:
        """Whether the folder holds what this reads, with special tokens as plain strings."""
        if not all((folder / name).is_file() for name in FILES):
            return False
        settings = json.loads((folder / FILES[1]).read_text("utf-8"))
        roles = [value for role, value in settings.items() if role.endswith("_token") and value is not None]
        sides = {settings.get(side, "right") for side in ("padding_side", "truncation_side")}
        return all(isinstance(value, str) for value in roles) and sides == {"right"}

    def __call__(
        self,
        text: str,
        text_pair: str | None = None,
        truncation: str | None = None,
        max_length: int | None = None,
        return_offsets_mapping: bool = True,
        add_special_tokens: bool = True,
    ) -> Encoded:
        """Pieces of a text or a pair, with their markers, at most `max_length` where a way to truncate is named."""
        with _ONE:
            if truncation is not None and max_length is not None:
                self.backend_tokenizer.enable_truncation(max_length, strategy=truncation)
            else:
                self.backend_tokenizer.no_truncation()
            return Encoded(self.backend_tokenizer.encode(text, text_pair, add_special_tokens=add_special_tokens))

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Markers around a text, or around a pair of them."""
        return self.backend_tokenizer.num_special_tokens_to_add(pair)

    def get_vocab(self) -> dict[str, int]:
        """Piece → id."""
        return self.backend_tokenizer.get_vocab()

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the markers."""
        ids = (self.backend_tokenizer.token_to_id(token) for token in dict.fromkeys(self._special.values()) if token)
        return [i for i in ids if i is not None]

    @property
    def pad_token_id(self) -> int | None:
        """Id of the padding piece."""
        return self._id("pad_token")

    @property
    def unk_token_id(self) -> int | None:
        """Id of the piece that stands for what the vocabulary lacks."""
        return self._id("unk_token")

    @property
    def cls_token_id(self) -> int | None:
        """Id of the marker at the start."""
        return self._id("cls_token")

    @property
    def sep_token_id(self) -> int | None:
        """Id of the marker between and after texts."""
        return self._id("sep_token")

    @property
    def mask_token_id(self) -> int | None:
        """Id of the piece that stands for one to be guessed."""
        return self._id("mask_token")

    def _id(self, role: str) -> int | None:
        token = self._special.get(role)
        return None if token is None else self.backend_tokenizer.token_to_id(token)

    def save_pretrained(self, folder: str | Path) -> None:
        """Copy the tokenizer's files."""
        for name in FILES:
            if Path(folder).resolve() != self._folder.resolve():
                shutil.copy2(self._folder / name, Path(folder) / name)
