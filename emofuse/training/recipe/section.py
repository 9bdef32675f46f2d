"""The section of a recipe, and the numbers that sections hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]
Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Size = Annotated[int, Field(gt=0, le=1 << 16)]  # of what is there at once
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]


class Section(BaseModel):
    """A part of a recipe: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values with others laid over them, mapping by mapping."""

    def deeper(key: str, value: Any) -> Any:
        return merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value

    return dict(base) | {key: deeper(key, value) for key, value in over.items()}
