"""Settings of MADF's runs: the network's options, the objective's weights, and checks of combinations."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from restorekit.config.run import Run, TrainConfig
from restorekit.config.strict import Strict
from restorekit.tasks import tasks_of

TASKS = tasks_of("madf")
MULTIPLE = 128  # pixels: sides are multiples of 128, for seven levels of stride 2


class MadfOptions(Strict):
    """Options of `create_model("madf")`; without any, the released network (madf.md)."""

    # Channels of the decoders at half resolution. The encoder's image stream has a quarter as many channels, the hidden
    # layer of the point-wise norms twice as many, and the mask stream a quarter, but at least 4.
    width: Annotated[StrictInt, Field(ge=4, multiple_of=4)] = 64
    refinements: Annotated[StrictInt, Field(ge=0, le=2)] = 2  # decoders after the recovery decoder
    # Ablation: batch norms after the encoder's ReLUs. The released network builds them and never runs them.
    encoder_bn: StrictBool = False
    pn_plus_one: StrictBool = True  # ablation: the point-wise norm multiplies by 1 + scale, or by scale
    filters: Literal["dynamic", "ordinary"] = "dynamic"  # ablation: ordinary convolutions replace the mask's filters
    normalisation: Literal["pointwise", "batch"] = "pointwise"  # ablation: batch norms replace point-wise norms
    # he: convolutions drawn for the ReLU after them; point-wise norms start as batch norms. For short trainings.
    init: Literal["framework", "he"] = "framework"
    # The initial content of a hole: ImageNet's mean colour, as in the paper, or the smooth filling of madf/filling.py.
    # With "smooth" the outputs are added to the filling and start at zero, because short trainings otherwise spend
    # their time on learning to interpolate.
    start: Literal["mean", "smooth"] = "mean"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        changed = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        if changed & {"pn_plus_one", "normalisation"} and not self.refinements:
            raise ValueError("pn_plus_one and normalisation are for refinements; here there are none")
        if not self.pn_plus_one and self.normalisation == "batch":
            raise ValueError("pn_plus_one is for normalisation: pointwise")
        return self


class MadfObjective(Strict):
    """Weights of MADF's losses, by default the paper's; pixel and total variation weights are fixed (madf.md 7)."""

    perceptual: Annotated[float, Field(ge=0.0)] = 0.05
    style: Annotated[float, Field(ge=0.0)] = 120.0
    incremental: StrictBool = True  # losses on outputs along the cascade, not only on the last output
    style_on: Literal["last", "out_1"] = "last"  # the output whose style is compared; out_1: as in the released code
    trunk: Literal["vgg16", "vgg16_shift_tolerant"] = "vgg16_shift_tolerant"
    trunk_weights: str | None = None  # a user's file, required for vgg16; the other trunk reads its package

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

    @classmethod
    def former_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"recompute": options.get("recompute", False)}  # recompute changed only the memory of a training

    def problems(self, dataset: str, task: str, training: TrainConfig) -> dict[str, bool]:
        samples = training.global_batch // training.most_workers // training.accumulate
        return {
            f"madf is for {', '.join(TASKS)}, and the task of '{dataset}' is '{task}'": task not in TASKS,
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
