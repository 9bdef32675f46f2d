"""OpenVINO and NNCF without the statistics of use that they send home."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SENDER = "openvino_telemetry"


@contextmanager
def silent() -> Iterator[None]:
    """Imports within find no sender of statistics, which both packages can do without for as long as they are loaded.

    Theirs is on unless somebody opted out: each conversion tells a web service of it, from a fork of the process, which
    can hang. What was imported before is left as it was.
    """
    if _SENDER in sys.modules:
        yield
        return
    sys.modules[_SENDER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_SENDER]
