"""The device that is meant by a name."""

from __future__ import annotations

from typing import Any

import torch

from emofuse.errors import EmofuseError


def find_device(device: Any) -> torch.device:
    """The device meant by "auto" or None, or the named one if it is there. Raises `EmofuseError`."""
    found = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    if device is None or str(device) == "auto":
        return found
    try:
        named = torch.device(device)
        torch.empty(1, device=named)
    except (RuntimeError, AssertionError, TypeError, ValueError, NotImplementedError) as error:
        valid = ", ".join(dict.fromkeys(("auto", "cpu", found.type)))
        raise EmofuseError(f"cannot compute on {str(device)!r}; valid here: {valid}") from error
    return named
