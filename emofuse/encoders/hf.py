"""transformers configurations as plain values and back."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig


def described(config: Any) -> dict[str, Any]:
    """A configuration as plain values, without the folder it was read from."""
    return {k: v for k, v in config.to_dict().items() if k != "_name_or_path"}


def rebuilt(architecture: dict[str, Any] | None) -> Any:
    """The configuration that `described` wrote."""
    values = dict(architecture or {})
    return AutoConfig.for_model(values.pop("model_type"), **values)
