"""Transcripts: words with seconds from srt, vtt, plain text and strings, or from speech recognition."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from os import PathLike

from emofuse.errors import MediaError
from emofuse.files import well_formed
from emofuse.media.formats import A_TEXT, A_TRANSCRIPT, TEXT_SUFFIXES, readable, unreadable
from emofuse.media.memory import File, MemoryFile
from emofuse.notes import Note
from emofuse.types import Word

LARGEST_TEXT = 2_000_000
"""Bytes a text or a transcript may have: about forty hours of talk."""

_STAMP = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[,.:](\d{1,6}))?"
_ARROW = re.compile(rf"^\s*{_STAMP}\s*-+>\s*{_STAMP}(?:\s.*)?$")
_MEANT_AS_TIMES = re.compile(r"^\s*\d+:\S*\s*-*-->\s*(?:\d|$)")
_HELD = 0.05
"""Seconds for which a caption that rolls holds a line before the next one comes."""
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_INLINE_STAMP = re.compile(r"<(\d[\d:.,]*)>")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>|<\d[\d:.,]*>|\{\\[^{}]*\}")
_SPEAKER = re.compile(r"^\s*(?:[-–—]\s*)?(?:>>\s*)?([^\W\d_][\w.'’ -]{0,30}?)\s*:\s+(?=\S)")
_KEPT = "\t\u200c\u200d"
"""Control characters that belong to text: the tabulator, and the joiners of Persian, Hindi and emoji."""
_NO_SPACES = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003134f]"
)
"""Thai, Lao, Burmese, Khmer, kana and Han: scripts written without spaces between words."""


@dataclass(frozen=True)
class Cue:
    """A stretch of text with the seconds it is said in (None = not known) and who says it (None = not said)."""

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None

    @property
    def timed(self) -> bool:
        """Whether the seconds are known."""
        return self.start is not None and self.end is not None


@dataclass(frozen=True)
class Transcript:
    """The cues of a whole clip, in order of time where they have times."""

    cues: tuple[Cue, ...]
    notes: tuple[Note, ...] = ()
    """What of it was left out."""

    @property
    def timed(self) -> bool:
        """Whether every cue has its seconds."""
        return bool(self.cues) and all(cue.timed for cue in self.cues)

    @property
    def text(self) -> str:
        """All of it, without times and speakers."""
        return " ".join(cue.text for cue in self.cues)


def read_transcript(source: str | PathLike[str] | MemoryFile) -> Transcript:
    """Cues from a file or from a string; which of the two it is depends on the argument alone, never on the disk.

    A `Path`, or a string of one line that ends in .srt, .vtt or .txt, is a file and must exist; every other string is
    the text itself, in any of the three formats. Raises MediaError for what is missing, too long, not text, or has a
    time that cannot be read (with its line).
    """
    if isinstance(source, str) and not (source.strip().lower().endswith(TEXT_SUFFIXES) and "\n" not in source.strip()):
        return parse_transcript(source)
    name = source.strip() if isinstance(source, str) else str(source)
    transcript = parse_transcript(read_text(source if isinstance(source, MemoryFile) else name, A_TRANSCRIPT), name)
    if transcript.cues and not transcript.timed and not name.lower().endswith(".txt"):
        raise MediaError(
            f"{name} holds no times, from line 1 on ({transcript.cues[0].text[:60]!r}); a line of times reads "
            "00:00:01,000 --> 00:00:02,500 (srt) or 00:01.000 --> 00:02.500 (vtt); name a text without times .txt"
        )
    return transcript


def parse_transcript(text: str, name: str = "the transcript") -> Transcript:
    """Cues from the text of an srt or vtt file, else a cue without times for each line; `name` is for errors."""
    if len(text.encode("utf-8", "replace")) > LARGEST_TEXT:
        raise _too_large(name, len(text))
    text = well_formed(text).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    lines = text.split("\n")
    if lines[0].startswith("WEBVTT") or any(map(_is_time_line, lines)):
        wrong: list[MediaError] = []
        cues = with_speakers(_timed_cues(lines, name, wrong))
        if wrong and not cues:
            raise wrong[0]
        notes = (Note("cues_left_out", count=len(wrong), first=str(wrong[0])),) if wrong else ()
        return Transcript(tuple(sorted(cues, key=lambda cue: cue.start or 0.0)), notes)
    return Transcript(tuple(with_speakers([Cue(visible(line)) for line in lines if visible(line)])))


def read_text(path: str | PathLike[str] | MemoryFile, valid: str = A_TEXT) -> str:
    """A text file's characters: UTF-8 or UTF-16 by its mark, else UTF-8, else Western European (cp1252).

    Raises MediaError, which says what is `valid`, for what is not text, or is text in another encoding.
    """
    file = readable(path, valid)
    size = len(file.data) if isinstance(file, MemoryFile) else file.stat().st_size
    if size > LARGEST_TEXT:
        raise _too_large(file, size)
    data = file.data if isinstance(file, MemoryFile) else file.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").removeprefix("\ufeff")
    if _looks_like_utf16(data):
        return data.decode("utf-16-le" if data[1:2] == b"\x00" else "utf-16-be", "replace")
    if b"\x00" in data:
        raise unreadable(file, "it is not text (it holds zero bytes)", valid)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _western(data, file)


def spread(text: str, start: float, end: float) -> tuple[Word, ...]:
    """The words of a text over the seconds in which they are said, each with a share by its number of characters."""
    tokens = tokenize(text)
    sizes = [len(token) + 1 for token in tokens]
    total, before, words = sum(sizes), 0, []
    for token, size in zip(tokens, sizes, strict=True):
        begin = start + (end - start) * before / total
        before += size
        words.append(Word(token, begin, start + (end - start) * before / total))
    return tuple(words)


def tokenize(text: str) -> list[str]:
    """Words at spaces; text of scripts without spaces at every character, with its marks and punctuation attached."""
    tokens: list[str] = []
    for chunk in text.split():
        tokens += _characters(chunk) if _NO_SPACES.search(chunk) else [chunk]
    return tokens


def join(words: Sequence[Word]) -> str:
    """The text that `tokenize` came from: no space between characters of scripts that have none."""
    text = ""
    for word in words:
        glued = text and _NO_SPACES.search(text[-1]) and _NO_SPACES.search(word.text[:1] or " ")
        text += word.text if glued or not text else f" {word.text}"
    return text


def as_turn(words: Sequence[Word], speaker: str | None) -> str:
    """What was said as a turn of a dialogue: "NAME: words", or words alone where nobody is known."""
    return f"{speaker}: {join(words)}" if speaker else join(words)


def _timed_cues(lines: list[str], name: str, wrong: list[MediaError]) -> list[Cue]:
    """The cues whose times can be read; `wrong` receives an error for each of the others."""
    outside = _outside_comments(lines)
    marks = [i for i in outside if _is_time_line(lines[i])]
    parts: list[tuple[float, float, list[str]]] = []
    for mark, following in pairwise([*marks, len(lines)]):
        body = [lines[i] for i in outside if mark < i < following]
        if following < len(lines):
            _drop_number(body)
        try:
            parts.append((*_times(lines[mark], mark + 1, name), [line for line in body if line.strip()]))
        except MediaError as error:
            wrong.append(error)
    cues = [(start, end, _cue(" ".join(body))) for start, end, body in _unrolled(parts)]
    return [
        replace(cue, start=start, end=end if end > start else start + len(cue.text) / 15)
        for start, end, cue in cues
        if cue.text
    ]


def _drop_number(body: list[str]) -> None:
    """Takes off the last line the number, or after an empty line the name, of the cue that follows."""
    named = len(body) > 1 and body[-1].strip() and not body[-2].strip()
    if body and (body[-1].strip().isdigit() or named):
        body.pop()


def _unrolled(parts: Sequence[tuple[float, float, list[str]]]) -> list[tuple[float, float, list[str]]]:
    """Cues of captions that roll, each without the line that still stands from the cue before; others as they are.

    Captions roll where words have times of their own, or where a line is held for a moment on its own and then stands
    above the next one, as YouTube's do.
    """
    plain = [[_cue(line).text for line in body] for *_, body in parts]
    held = any(
        end - start <= _HELD and before and now and now[0] == before[-1] and len(after) > 1 and after[0] == now[0]
        for before, now, after, (start, end, _) in zip(plain, plain[1:], plain[2:], parts[1:], strict=False)
    )
    if not held and not any(_INLINE_STAMP.search(line) for *_, body in parts for line in body):
        return list(parts)
    unrolled, standing = [], ""
    for (start, end, body), lines in zip(parts, plain, strict=True):
        fresh = [line for line, text in zip(body, lines, strict=True) if text]
        texts = [text for text in lines if text]
        if texts and texts[0] == standing:
            fresh = fresh[1:]
        standing = texts[-1] if texts else standing
        unrolled.append((start, end, fresh))
    return unrolled


def _outside_comments(lines: list[str]) -> list[int]:
    """Indices of the lines that belong to no NOTE, STYLE or REGION block of a vtt file."""
    outside, inside, blank = [], False, True
    for i, line in enumerate(lines):
        if blank and line.startswith(("NOTE", "STYLE", "REGION")):
            inside = True
        blank = not line.strip()
        inside = inside and not blank
        if not inside:
            outside.append(i)
    return outside


def _is_time_line(line: str) -> bool:
    """Whether a line is meant as two times, be they well written or not."""
    return _MEANT_AS_TIMES.match(line) is not None


def _times(line: str, number: int, name: str) -> tuple[float, float]:
    match = _ARROW.match(line)
    if match is None:
        raise MediaError(
            f"{name}, line {number}: {line.strip()[:80]!r} is not a pair of times; write it as "
            "00:00:01,000 --> 00:00:02,500 (srt) or 00:01.000 --> 00:02.500 (vtt)"
        )
    parts = match.groups()
    start, end = (_to_seconds(parts[i : i + 4], line, number, name) for i in (0, 4))
    if end < start:
        raise MediaError(
            f"{name}, line {number}: the cue ends ({end:g} s) before it starts ({start:g} s); fix its times"
        )
    return start, end


def _to_seconds(parts: Sequence[str | None], line: str, number: int, name: str) -> float:
    hours, minutes, seconds = (int(part or 0) for part in parts[:3])
    if minutes > 59 or seconds > 59:
        raise MediaError(
            f"{name}, line {number}: {line.strip()[:80]!r} has more than 59 minutes or seconds; carry them over"
        )
    return hours * 3600 + minutes * 60 + seconds + (float(f"0.{parts[3]}") if parts[3] else 0.0)


def _cue(raw: str) -> Cue:
    """Text without mark-up and invisible characters, and the speaker whom a voice tag names."""
    voice = _VOICE.search(raw)
    speaker = visible(html.unescape(voice.group(1))) if voice else None
    return Cue(visible(html.unescape(_TAG.sub("", raw))), speaker=speaker or None)


def visible(text: str) -> str:
    """A text without what nobody sees (control characters, marks of direction, zero-width spaces), each gap one space;
    empty where joiners alone are left."""
    seen = " ".join("".join(c for c in text if c in _KEPT or unicodedata.category(c) not in ("Cc", "Cf")).split())
    return seen if seen.strip(_KEPT + " ") else ""


def with_speakers(cues: Sequence[Cue]) -> list[Cue]:
    """Cues with "NAME: " taken off their text.

    A name that is not in capitals needs a second cue that has one too. One in small letters ("agent: ") must come twice
    where at least half of the cues have names, or be one among names that all cues have and of which one comes twice.
    """
    prefixes = [_SPEAKER.match(cue.text) if cue.speaker is None else None for cue in cues]
    names = [match.group(1).strip() if match and len(match.group(1).split()) <= 3 else None for match in prefixes]
    times = Counter(name for name in names if name is not None)
    several, script = sum(map(_is_name, times.elements())) > 1, 2 * times.total() >= len(cues)
    alike = times.total() == len(cues) and max(times.values(), default=0) > 1
    named = []
    for cue, match, name in zip(cues, prefixes, names, strict=True):
        takes = name is not None and (
            (_is_name(name) and (several or name.isupper())) or alike or (script and times[name] > 1)
        )
        named.append(replace(cue, text=cue.text[match.end() :], speaker=name) if takes and match else cue)
    return named


def _is_name(text: str) -> bool:
    """Whether none of the words before a colon begins with a small letter."""
    return all(not word[0].islower() for word in text.split())


def _characters(chunk: str) -> list[str]:
    """A run without spaces, cut before every character of a script without spaces; marks stay with what they mark."""
    tokens: list[str] = []
    for character in chunk:
        extends = unicodedata.category(character)[0] in "MP" or character in "\u200d\ufe0f"
        alone = bool(_NO_SPACES.search(character))
        if tokens and (extends or (not alone and not _NO_SPACES.search(tokens[-1]))):
            tokens[-1] += character
        else:
            tokens.append(character)
    return tokens


def _western(data: bytes, file: File) -> str:
    """Text in cp1252, whose letters beyond ASCII stand alone or in pairs; in other encodings they come in rows."""
    other = unreadable(
        file, "its text is neither UTF-8 nor Western European", "open it in an editor and save it again as UTF-8"
    )
    letters = sum(byte > 0x7F or chr(byte).isalpha() for byte in data)
    beyond = sum(byte > 0x7F for byte in data)
    if re.search(rb"[\xa0-\xff]{3}", data) or beyond > 0.3 * letters:
        raise other
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        raise other from None


def _looks_like_utf16(data: bytes) -> bool:
    sample = data[:2000]
    zeros = [sample[parity::2].count(0) for parity in (0, 1)]
    return len(sample) >= 4 and max(zeros) > 0.35 * len(sample) / 2 and min(zeros) == 0


def _too_large(name: object, size: int) -> MediaError:
    return MediaError(
        f"cannot read {name}: {size / 1e6:.1f} MB of text are too much; at most {LARGEST_TEXT / 1e6:g} MB are valid: "
        "cut it into parts"
    )
