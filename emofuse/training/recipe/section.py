"""The section of a recipe, and the numbers that sections hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1)]


def _rising(given: tuple[float, float]) -> tuple[float, float]:
    """Raise ValueError where the first number is above the second."""
    low, high = given
    if low > high:
        raise ValueError(f"got [{low:g}, {high:g}], a range from above to below; give [{high:g}, {low:g}]")
    return given


_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Rising = AfterValidator(_rising)
Range = Annotated[tuple[_Finite, _Finite], _Rising]
PositiveRange = Annotated[tuple[_Positive, _Positive], _Rising]
Decay = Annotated[float, Field(ge=0, lt=1)]
_Share = Annotated[float, Field(gt=0, le=1)]
ShareRange = Annotated[tuple[_Share, _Share], _Rising]
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
