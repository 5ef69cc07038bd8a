"""Types for parameter sections, which refuse unknown keys and values out of range."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictInt,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[StrictInt, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+(-{1,2}[A-Za-z0-9_]+)*$", max_length=80)]
Positive = Annotated[float, Field(gt=0.0)]

# Part of every training's digest, which covers only settings that differ from their defaults. Raise it where a default
# is changed, or code of config/<model>.py that the networks read; tests/test_defaults.py notices most of these.
DEFAULTS = 1


class Strict(BaseModel):
    """A section that refuses unknown keys and non-finite numbers, and whose values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _of_their_kinds(cls, values: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuses numbers made of true or of text, and true and false made of anything else."""
        section = check(values)
        wrong = []
        for name, given in values.items() if isinstance(values, Mapping) else ():
            expected = _expected(given, getattr(section, name, given))
            if expected:
                kind = PydanticCustomError("kind", "{expected}", {"expected": expected})
                wrong.append(InitErrorDetails(type=kind, loc=(name,), input=given))
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return section


def _expected(given: Any, found: Any) -> str | None:
    """What should be where pydantic `found` another kind of value than the `given` one; None where it did not."""
    if isinstance(found, bool):
        return None if isinstance(given, bool) else "true or false is expected"
    if isinstance(found, int | float):
        return "a number is expected" if isinstance(given, bool | str) else None
    pairs: list[tuple[Any, Any]] = []
    if isinstance(found, tuple | list) and isinstance(given, tuple | list):
        pairs = list(zip(given, found, strict=False))
    elif isinstance(found, dict) and isinstance(given, dict):
        pairs = [(given[key], found[key]) for key in found.keys() & given.keys()]
    return next(filter(None, (_expected(one, other) for one, other in pairs)), None)
