"""Types for parameter sections, which refuse unknown keys and values out of range."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt

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
