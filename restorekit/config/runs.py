"""Run types of all models, settings shared by a model's runs, and the sections on evaluation and promotion."""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field, StrictBool, TypeAdapter

from restorekit.config.run import Run, TrainConfig
from restorekit.config.strict import Strict
from restorekit.errors import unknown_name
from restorekit.tasks import MODELS

RUNS: dict[str, type[Run]] = {name: import_module(f"restorekit.config.{name}").RUN for name in MODELS}
if TYPE_CHECKING:
    AnyRun = Run
else:
    AnyRun = Annotated[Union[tuple(RUNS.values())], Field(discriminator="model")]  # noqa: UP007


def read_run(value: Any) -> Run:
    """The run in `value`, the output of `model_dump`."""
    run: Run = TypeAdapter(AnyRun).validate_python(value)
    return run


class ModelSettings(Strict):
    """Settings of every run of one model, unless the run overrides them."""

    options: dict[str, Any] = Field(default_factory=dict)
    objective: dict[str, Any] = Field(default_factory=dict)
    train: dict[str, Any] = Field(default_factory=dict)

    def check_names(self, model: str) -> None:
        """Refuses an unknown model and unknown keys, even if the model has no runs; values are checked in runs."""
        if model not in RUNS:
            raise ValueError(f"models.{model}: {unknown_name('model', model, RUNS)}")
        fields = RUNS[model].model_fields
        known = {"options": fields["options"].annotation, "objective": fields["objective"].annotation}
        for section, keys in (("options", self.options), ("objective", self.objective), ("train", self.train)):
            names = getattr(known.get(section, TrainConfig), "model_fields", {})
            for key in keys:
                if key not in names:
                    raise ValueError(f"models.{model}.{section}.{key}: {unknown_name('key', key, names)}")


class EvaluateConfig(Strict):
    """Settings of the evaluation of models."""

    precision: Literal["fp32", "bf16"] = "fp32"
    samples: Annotated[int, Field(ge=0)] = 6  # triptychs kept for the report
    resamples: Annotated[int, Field(ge=100)] = 2000  # of the bootstrap behind ci95
    self_ensemble: StrictBool = False  # also scores the output of `restore --self-ensemble`


class PromoteConfig(Strict):
    """The condition for promoting a model to champion."""

    metric: Literal["psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y"] = "psnr_rgb"
    min_gain: Annotated[float, Field(ge=0.0)] = 0.0  # the interval's lower end must exceed this gain
    # Floor in dB of clean photographs against themselves, as a mean; not for networks that take a mask. None: no floor.
    clean_psnr: Annotated[float, Field(gt=0.0, le=60.0)] | None = 25.0  # 60 is the figure of an untouched photograph
