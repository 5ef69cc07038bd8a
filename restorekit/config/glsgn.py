"""Settings of GLSGN's runs."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from restorekit.config.run import Run, TrainConfig
from restorekit.config.strict import Count, Positive, Strict

MIN_SIZE = 64  # pixels: what the network takes
TASKS = ("reflection", "rain", "haze")
# Options of the stepwise design alone.
OF_PATHS = (
    "global_path", "feature_links", "attention_links", "patch_norm", "fusion", "order", "f_tap", "h3_source", "gate",
    "detach", "overlap",
)  # fmt: skip


class GlsgnOptions(Strict):
    """Options of `create_model("glsgn")`; see restorekit/models/glsgn/network.py."""

    width: Annotated[StrictInt, Field(ge=1)] = 32
    # One path's backbone alone, to hold GLSGN against: see the network. Most other options are then not to be given.
    design: Literal["stepwise", "whole", "tiles", "reduced", "reduced_detail"] = "stepwise"
    path1_grid: Literal["4x4", "2x4", "4x2"] = "4x4"  # rows x columns of patches in path 1
    global_path: StrictBool = True
    feature_links: StrictBool = True  # F_1 and F_2, from path to path
    attention_links: StrictBool = True  # A_g, A_1 and A_2, from path to path
    patch_norm: Literal["joint", "instance", "none"] = "joint"  # statistics of the frame, of each region, or none
    fusion: Literal["pyramid", "finest"] = "pyramid"  # finest: path 1's image alone
    order: Literal["fine_first", "coarse_first"] = "fine_first"  # paths g, 1, 2, 3, or g, 3, 2, 1
    f_tap: Literal["last", "middle"] = "last"  # the decoder stage whose features are handed on
    h3_source: Literal["h3", "l"] = "h3"  # what the mask M3 weighs
    output: Literal["residual", "direct"] = "residual"
    gate: Literal["plain", "residual"] = "plain"  # E A, or E (1 + A)
    # Pixels that a patch sees of its neighbours, so that their border leaves no seam; the paper has none.
    overlap: Annotated[StrictInt, Field(ge=0, multiple_of=4)] = 0
    detach: StrictBool = False  # no gradients through what a path hands on
    recompute: StrictBool = False  # activations again in the backward pass: a fraction of the memory, a third more time
    init: Literal["framework", "he"] = "framework"  # he: drawn for ReLU; for short trainings
    zero_last: StrictBool = False  # start from output = input; for short trainings


class GlsgnObjective(Strict):
    """Weights of GLSGN's losses; see restorekit/objectives/glsgn.py. The defaults are those of glsgn.md section 7."""

    pixel: Literal["l1", "huber"] = "l1"
    huber_delta: Positive = 0.1  # where huber turns from square to absolute, on the scale of [0, 1]
    paths: Annotated[float, Field(ge=0.0)] = 1.0  # of the images of every path, each at its scale
    fused: Positive = 2.0  # of the fused image
    perceptual: Annotated[float, Field(ge=0.0)] = 0.1  # of the fused image
    perceptual_trunk: Literal["vgg19", "vgg16_shift_tolerant"] = "vgg16_shift_tolerant"
    perceptual_weights: str | None = None  # a file of the user's; vgg19 needs one
    perceptual_crop: Count = 512  # pixels of the random square that is compared
    global_steps: Annotated[StrictInt, Field(ge=0)] = 0  # at first, in which the global path learns alone

    @model_validator(mode="after")
    def _possible(self) -> Self:
        changed = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        needed = {"perceptual_trunk", "perceptual_weights", "perceptual_crop"}
        if changed & needed and not self.perceptual:
            raise ValueError(f"{', '.join(sorted(changed & needed))}: needs perceptual above 0")
        if "huber_delta" in changed and self.pixel != "huber":
            raise ValueError("huber_delta needs pixel: huber")
        if self.perceptual and self.perceptual_trunk == "vgg19" and not self.perceptual_weights:
            raise ValueError("perceptual_trunk vgg19 needs perceptual_weights, a file of torchvision's VGG-19")
        return self


class GlsgnRun(Run):
    """A run of GLSGN."""

    weight_files: ClassVar[tuple[str, ...]] = ("objective.perceptual_weights",)

    model: Literal["glsgn"]
    options: GlsgnOptions = GlsgnOptions()
    objective: GlsgnObjective = GlsgnObjective()

    def problems(self, task: str, training: TrainConfig) -> dict[str, bool]:
        alone = self.options.design != "stepwise"
        idle = [
            name
            for name in OF_PATHS
            if alone and getattr(self.options, name) != GlsgnOptions.model_fields[name].default
        ]
        return {
            f"glsgn is for {', '.join(TASKS)}, and the task of '{self.dataset}' is '{task}'": task not in TASKS,
            f"glsgn takes frames of {MIN_SIZE} pixels or more: raise train.crop": training.crop < MIN_SIZE,
            f"paths has nothing to weigh with design {self.options.design}: take paths: 0": (
                alone and self.objective.paths > 0
            ),
            f"{', '.join(idle)} changes nothing with design {self.options.design}: take the default": bool(idle),
            "patch_norm instance needs regions, which an overlap joins: leave one of them out": (
                self.options.overlap > 0 and self.options.patch_norm == "instance"
            ),
            "global_steps needs the global path: design stepwise with global_path, and paths above 0": (
                self.objective.global_steps > 0 and (alone or not self.options.global_path or not self.objective.paths)
            ),
            f"global_steps {self.objective.global_steps} leaves none of the {training.steps} steps for the rest": (
                self.objective.global_steps >= training.steps
            ),
        }


RUN = GlsgnRun
