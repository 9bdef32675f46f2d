"""Cells that a spreadsheet would run as formulas, written with an apostrophe before them and read without it.

Only what is an apostrophe or several before `=`, `+`, `-`, `@`, a tab or a line's end is touched, so that every text
comes back as it was and no other text that begins with an apostrophe is changed.
"""

from __future__ import annotations

import re
from typing import Any

_RISKY = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
_GUARDED = re.compile(r"'+[=+\-@\t\r＝＋－＠]")


def guarded(cell: Any) -> Any:
    """A cell that no spreadsheet runs; numbers are left alone."""
    return f"'{cell}" if isinstance(cell, str) and _RISKY.match(cell) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before `guarded`."""
    return cell[1:] if _GUARDED.match(cell) else cell
