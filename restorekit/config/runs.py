"""The runs of all models, and the sections of params.yaml about evaluation and promotion."""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field, StrictBool, TypeAdapter

from restorekit.config.data import AnyDataset, MaskData
from restorekit.config.run import Run
from restorekit.config.strict import Name, Strict
from restorekit.tasks import MODELS

RUNS: dict[str, type[Run]] = {name: import_module(f"restorekit.config.{name}").RUN for name in MODELS}
if TYPE_CHECKING:
    AnyRun = Run
else:
    AnyRun = Annotated[Union[tuple(RUNS.values())], Field(discriminator="model")]  # noqa: UP007


def read_run(value: Any) -> Run:
    """A run from what `model_dump` made of it."""
    run: Run = TypeAdapter(AnyRun).validate_python(value)
    return run


class LongConfig(Strict):
    """What `make long` trains: runs named `<run>--long`, and data sets that only they need."""

    datasets: dict[Name, Annotated[AnyDataset | MaskData, Field(discriminator="task")]] = Field(default_factory=dict)
    runs: dict[Name, AnyRun] = Field(default_factory=dict)


class EvaluateConfig(Strict):
    precision: Literal["fp32", "bf16"] = "fp32"
    samples: Annotated[int, Field(ge=0)] = 6  # triptychs kept for the report
    resamples: Annotated[int, Field(ge=100)] = 2000  # of the bootstrap behind ci95
    self_ensemble: StrictBool = False  # scores what `restore --self-ensemble` gives beside what one pass does


class PromoteConfig(Strict):
    metric: Literal["psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y"] = "psnr_rgb"
    min_gain: Annotated[float, Field(ge=0.0)] = 0.0  # the lower end of the interval must be above it
