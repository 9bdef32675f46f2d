"""A text whose script the vocabulary has no words in is told from its first letter on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from emofuse.encoders.backbones.tokenizer import FastTokenizer
from emofuse.encoders.script import Script

WORDS = ["happy", "sad", "i", "am", "tres", "ok"]


def script(folder: Path, further: list[str]) -> Script:
    """Of word pieces as BERT's English vocabulary has them, letters of other scripts among them, and `further` ones."""
    letters = [*map(chr, range(97, 123)), *"øяпривет我今ω"]
    fillers = [f"{first}{second}x" for first in letters[:26] for second in letters[:26]]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters), *WORDS, *fillers, *further]
    tokenizer = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(dict.fromkeys(pieces))}, unk_token="[UNK]")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"unk_token": "[UNK]", "pad_token": "[PAD]"}))
    return Script(FastTokenizer(folder))


@pytest.mark.parametrize(
    ("said", "foreign"),
    [
        ("我很难过。", True),
        ("我", True),
        ("今", True),
        ("я", True),
        ("привет", True),
        ("ω", True),
        ("ok", False),
        ("très", False),
        ("ø", False),
        ("i am 我", False),
        ("?! 😀", False),
        ("", False),
    ],
)
def test_letters_without_words_are_no_words(tmp_path, said, foreign):
    assert script(tmp_path, []).foreign(said) is foreign


def test_letters_of_a_script_with_words_are_words(tmp_path):
    known = script(tmp_path, [f"при{chr(0x430 + i // 30)}{chr(0x430 + i % 30)}" for i in range(150)])
    assert not known.foreign("я") and not known.foreign("привет") and known.foreign("我")
    known = script(tmp_path, [chr(0x4E00 + i) for i in range(300)])
    assert not known.foreign("我今") and known.foreign("я")
