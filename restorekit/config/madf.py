"""Settings of MADF's runs."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from restorekit.config.run import Run, TrainConfig
from restorekit.config.strict import Strict

MULTIPLE = 128  # pixels: sides that the network takes in training


class MadfOptions(Strict):
    """Options of `create_model("madf")`; see restorekit/models/madf/network.py."""

    width: Annotated[StrictInt, Field(ge=4, multiple_of=4)] = 64
    refinements: Annotated[StrictInt, Field(ge=0, le=2)] = 2
    encoder_bn: StrictBool = False
    pn_plus_one: StrictBool = True
    recompute: StrictBool = False  # the decoders' maps are made again in the backward pass: less memory, more time
    filters: Literal["dynamic", "ordinary"] = "dynamic"
    normalisation: Literal["pointwise", "batch"] = "pointwise"
    init: Literal["framework", "he"] = "framework"  # he: drawn for ReLU; for short trainings
    start: Literal["mean", "smooth"] = "mean"  # what a hole holds at first; smooth: for short trainings

    @model_validator(mode="after")
    def _possible(self) -> Self:
        changed = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        if changed & {"pn_plus_one", "normalisation"} and not self.refinements:
            raise ValueError("pn_plus_one and normalisation are for refinements; here there are none")
        if not self.pn_plus_one and self.normalisation == "batch":
            raise ValueError("pn_plus_one is for normalisation: pointwise")
        return self


class MadfObjective(Strict):
    """Weights of MADF's losses, by default the paper's; see restorekit/objectives/madf.py."""

    hole: Annotated[float, Field(gt=0.0)] = 6.0
    valid: Annotated[float, Field(ge=0.0)] = 1.0
    perceptual: Annotated[float, Field(ge=0.0)] = 0.05
    style: Annotated[float, Field(ge=0.0)] = 120.0
    tv: Annotated[float, Field(ge=0.0)] = 0.1
    incremental: StrictBool = True  # outputs are supervised along the cascade, not the last one alone
    style_on: Literal["last", "out_1"] = "last"  # out_1: the released code to the letter
    trunk: Literal["vgg16", "vgg16_shift_tolerant"] = "vgg16_shift_tolerant"
    trunk_weights: str | None = None  # a file of the user's; vgg16 needs one, the other reads its package

    @model_validator(mode="after")
    def _possible(self) -> Self:
        changed = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        seen = bool(self.perceptual or self.style)
        if changed & {"trunk", "trunk_weights"} and not seen:
            raise ValueError("trunk and trunk_weights need perceptual or style above 0")
        if self.trunk == "vgg16" and not self.trunk_weights:
            raise ValueError("trunk vgg16 needs trunk_weights, a file of torchvision's VGG-16")
        if self.style_on == "out_1" and not (self.style and self.incremental):
            raise ValueError("style_on: out_1 needs style above 0 and incremental: true")
        return self


class MadfRun(Run):
    """A run of MADF."""

    weight_files: ClassVar[tuple[str, ...]] = ("objective.trunk_weights",)

    model: Literal["madf"]
    options: MadfOptions = MadfOptions()
    objective: MadfObjective = MadfObjective()

    def problems(self, task: str, training: TrainConfig) -> dict[str, bool]:
        samples = training.batch_size // training.most_workers // training.accumulate
        return {
            f"madf is for inpainting, and the task of '{self.dataset}' is '{task}'": task != "inpainting",
            f"crop {training.crop} is no multiple of {MULTIPLE} pixels, which madf needs": (
                training.crop % MULTIPLE != 0
            ),
            "style_on: out_1 says nothing without two refinements": (
                self.objective.style_on == "out_1" and self.options.refinements != 2
            ),
            f"encoder_bn needs two samples at a time with crops of {MULTIPLE} pixels: raise batch_size": (
                self.options.encoder_bn and training.crop == MULTIPLE and samples < 2
            ),
        }


RUN = MadfRun
