"""Settings of GLSGN's runs: the network's options, the objective's weights, and checks of combinations."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from restorekit.config.run import Run, TrainConfig
from restorekit.config.strict import Strict
from restorekit.tasks import tasks_of

MIN_SIZE = 64  # pixels a side
GRANULE = 4  # pixels: a patch's sides are multiples of 4, because the encoder halves them twice
TASKS = tasks_of("glsgn")
Norm = Literal["joint", "instance", "none"]
# Options that only the stepwise design has.
OF_PATHS = ("global_path", "feature_links", "attention_links", "patch_norm", "fusion", "overlap")


class GlsgnOptions(Strict):
    """Options of `create_model("glsgn")`; without any, the default design of glsgn.md sections 5 and 6."""

    width: Annotated[StrictInt, Field(ge=1)] = 32  # channels at full scale
    # "stepwise" is GLSGN. The other designs are the backbone of one path, for comparison: on the frame ("whole"), on
    # the patches of path 1 ("tiles"), or on the frame at a quarter of the scale, with the result enlarged ("reduced")
    # or only the change enlarged ("reduced_detail").
    design: Literal["stepwise", "whole", "tiles", "reduced", "reduced_detail"] = "stepwise"
    global_path: StrictBool = True
    feature_links: StrictBool = True  # F_1 and F_2, from path to path
    attention_links: StrictBool = True  # A_g, A_1 and A_2, from path to path
    patch_norm: Norm = "joint"  # statistics of the frame, of each region, or none
    fusion: Literal["pyramid", "finest"] = "pyramid"  # finest: path 1's image alone
    # Pixels of neighbouring patches that the encoder sees around a patch. With an overlap the decoder takes all patches
    # as one region, so that borders between patches leave no seams. The paper has no overlap.
    overlap: Annotated[StrictInt, Field(ge=0, multiple_of=GRANULE)] = 0
    recompute: StrictBool = False  # activations recomputed in backward: a fraction of the memory, a third more time
    zero_last: StrictBool = False  # training starts from output = input: for short trainings
    # Slope below 0 of the activations that are ReLU in glsgn.md 5. After 2,500 steps at a learning rate of 0.002 most
    # of ReLU's channels were dead (docs/results.md).
    negative_slope: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    @model_validator(mode="after")
    def _possible(self) -> Self:
        idle = [name for name in OF_PATHS if getattr(self, name) != type(self).model_fields[name].default]
        if idle and self.design != "stepwise":
            raise ValueError(f"{', '.join(idle)} changes nothing with design {self.design}: take the default")
        if self.overlap and self.patch_norm == "instance":
            raise ValueError("patch_norm instance needs regions, which an overlap joins: leave one of them out")
        return self


class GlsgnObjective(Strict):
    """Weights of GLSGN's losses; the weight of the fused image is 2 (glsgn.md 7)."""

    pixel: Literal["l1", "huber", "psnr"] = "l1"
    paths: Annotated[float, Field(ge=0.0)] = 1.0  # weight of every path's image, at the path's scale
    perceptual: Annotated[float, Field(ge=0.0)] = 0.1  # weight, for a random square of the fused image
    perceptual_trunk: Literal["vgg19", "vgg16_shift_tolerant"] = "vgg16_shift_tolerant"
    perceptual_weights: str | None = None  # a user's file, required for vgg19

    @model_validator(mode="after")
    def _possible(self) -> Self:
        changed = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        needed = {"perceptual_trunk", "perceptual_weights"}
        if changed & needed and not self.perceptual:
            raise ValueError(f"{', '.join(sorted(changed & needed))}: needs perceptual above 0")
        if self.perceptual and self.perceptual_trunk == "vgg19" and not self.perceptual_weights:
            raise ValueError("perceptual_trunk vgg19 needs perceptual_weights, a file of torchvision's VGG-19")
        return self


class GlsgnRun(Run):
    """A run of GLSGN."""

    weight_files: ClassVar[tuple[str, ...]] = ("objective.perceptual_weights",)

    model: Literal["glsgn"]
    options: GlsgnOptions = GlsgnOptions()
    objective: GlsgnObjective = GlsgnObjective()

    @classmethod
    def former_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        # Removed options that changed only the initial weights or the training may have any value.
        free = {name: options.get(name) for name in ("detach", "init")}
        figures = {"path1_grid": "4x4", "order": "fine_first", "f_tap": "last", "h3_source": "h3", "gate": "plain"}
        return {**free, **figures, "output": "residual"}

    def problems(self, dataset: str, task: str, training: TrainConfig) -> dict[str, bool]:
        alone = self.options.design != "stepwise"
        return {
            f"glsgn is for {', '.join(TASKS)}, and the task of '{dataset}' is '{task}'": task not in TASKS,
            f"glsgn takes frames of {MIN_SIZE} pixels or more: raise train.crop": training.crop < MIN_SIZE,
            f"paths has nothing to weigh with design {self.options.design}: take paths: 0": (
                alone and self.objective.paths > 0
            ),
        }


RUN = GlsgnRun
