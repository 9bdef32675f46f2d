"""Texts of the page, in English and Chinese."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from emofuse.notes import Note

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
ASKS_FOR_WORDS = ("no_transcript", "no_words_given", "no_words_understood", "words_doubtful", "no_words_in_clip")
"""Codes of notes that the words would mend."""
STATIC = Path(__file__).parent / "static"


@lru_cache(maxsize=1)
def texts() -> dict[str, Any]:
    """Language → key → text; `zh_notes`: a note's code → its text; `en_hints`, `zh_hints`: the same in plain words,
    of those that matter beside an answer; `en_note_values`, `zh_note_values`: what their values are called."""
    return json.loads((STATIC / "texts.json").read_text(encoding="utf-8"))


def say(language: Language, key: str, **values: object) -> str:
    """One text, its {blanks} filled in. Raises KeyError for a key that is not there."""
    return texts()[language][key].format(**values) if values else texts()[language][key]


def language_of(wish: str | None) -> Language:
    """The language to speak to somebody whose browser says `zh-CN`, `en-GB`, …; English for all others."""
    return "zh" if (wish or "").lower().startswith("zh") else "en"


def note_in(language: Language, note: str) -> str:
    """A note of an analysis, as the language's text of its code; one without a code stays as it is."""
    if language == "en" or not isinstance(note, Note):
        return str(note)
    words = texts()[f"{language}_note_values"]
    values = {name: words.get(value, value) if isinstance(value, str) else value for name, value in note.values.items()}
    return texts()[f"{language}_notes"][note.code].format(**values)


def hint(note: str) -> dict[str, Any] | None:
    """A note in plain words, by language, with its code; None for one that is of no use beside an answer.

    `asks` is set where giving the words would mend it.
    """
    code = getattr(note, "code", None)
    if not isinstance(note, Note) or code not in texts()["en_hints"]:
        return None
    said = {name: texts()[f"{name}_hints"][code].format(**_plain(name, note)) for name in LANGUAGES}
    return {"code": code, "asks": code in ASKS_FOR_WORDS, **said}


def _plain(language: Language, note: Note) -> dict[str, Any]:
    """The values of a note: moments as a clock shows them, names as the language has them."""
    names = texts()[f"{language}_note_values"]
    moments = ("reached", "announced", "end")
    return {
        name: clock(value) if name in moments else names.get(value, value) if isinstance(value, str) else value
        for name, value in note.values.items()
    }


def clock(seconds: float) -> str:
    """minutes:seconds, or hours:minutes:seconds."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
