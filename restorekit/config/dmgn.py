"""Settings of DMGN's runs: the network's options, the objective's weights, and checks of combinations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from restorekit.config.run import Run, TrainConfig
from restorekit.config.strict import Strict
from restorekit.tasks import tasks_of

MIN_SIZE = 17  # pixels a side: the refining trunk reflects 16 pixels
CRITIC_MIN_SIZE = 24  # pixels a side, which the discriminator's five convolutions need
if TYPE_CHECKING:
    Variant = str
else:
    Variant = Literal[tasks_of("dmgn")]  # one variant per task


class DmgnOptions(Strict):
    """Options of `create_model("dmgn")`; without any, the paper's network against reflection."""

    # "reflection" adds the input to the coarse images, steers the refinement by the Noise Distribution Map and ends in
    # a tanh. "rain" and "haze" (one network) do none of these three (dmgn.md 4).
    variant: Variant = "reflection"
    width: Annotated[StrictInt, Field(ge=1)] = 64  # channels at full resolution
    # The source of the hypercolumn's features, see models/trunks.py; none: the image alone.
    trunk: Literal["none", "vgg19", "vgg16_shift_tolerant"] = "vgg19"
    # A user's file. Without a file, vgg19 stays random and the other trunk reads its package's file.
    trunk_weights: str | None = None
    use_ndm: StrictBool | None = None  # whether the Noise Distribution Map steers; None: for reflection only
    # Statistics of the Noise Distribution Map over the whole batch, as in the released code, instead of per image. Per
    # image is the default, in the papers' preset too: both are equal with one image per batch.
    ndm_batch_stats: StrictBool = False
    init: Literal["framework", "he"] = "framework"  # he: 3x3 convolutions drawn for ReLU, for short trainings
    zero_last: StrictBool = False  # training starts from background = input: for short trainings
    refine: StrictBool = True  # ablation: false makes the coarse background the result
    noise_features: StrictBool = True  # ablation: the noise image's features in the refinement
    gated: StrictBool = True  # ablation: false makes a cell add the whole residual

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.trunk == "none" and self.trunk_weights:
            raise ValueError("trunk_weights needs a trunk; here trunk is none")
        if not self.refine and (self.use_ndm or not self.noise_features):
            raise ValueError("without refine the noise image is not used: leave use_ndm and noise_features out")
        if self.use_ndm and not self.gated:
            raise ValueError("the Noise Distribution Map steers gates: without gated, give use_ndm: false")
        if self.ndm_batch_stats and not self.steered:
            raise ValueError("ndm_batch_stats needs the Noise Distribution Map: use_ndm: true")
        return self

    @property
    def steered(self) -> bool:
        """Whether the Noise Distribution Map steers the refinement."""
        return self.variant == "reflection" and self.refine and self.gated if self.use_ndm is None else self.use_ndm


class DmgnObjective(Strict):
    """Weights of DMGN's losses; the weight of the refined background is 1 (dmgn.md 8).

    dmgn.md has perceptual 0.2, and adversarial 0 or 1.
    """

    pixel: Literal["l1", "huber", "psnr"] = "l1"
    coarse: Annotated[float, Field(ge=0.0)] = 1.0
    noise: Annotated[float, Field(ge=0.0)] = 1.0
    perceptual: Annotated[float, Field(ge=0.0)] = 0.0  # factor of all three perceptual distances
    perceptual_trunk: Literal["vgg19", "vgg16_shift_tolerant"] = "vgg16_shift_tolerant"
    perceptual_weights: str | None = None  # a user's file, required for vgg19
    adversarial: Annotated[float, Field(ge=0.0)] = 0.0

    @model_validator(mode="after")
    def _possible(self) -> Self:
        changed = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        if changed & {"perceptual_trunk", "perceptual_weights"} and not self.perceptual:
            raise ValueError("perceptual_trunk and perceptual_weights need perceptual above 0")
        if self.perceptual and self.perceptual_trunk == "vgg19" and not self.perceptual_weights:
            raise ValueError("perceptual_trunk vgg19 needs perceptual_weights, a file of torchvision's VGG-19")
        return self


class DmgnRun(Run):
    """A run of DMGN."""

    weight_files: ClassVar[tuple[str, ...]] = ("options.trunk_weights", "objective.perceptual_weights")

    model: Literal["dmgn"]
    options: DmgnOptions
    objective: DmgnObjective = DmgnObjective()

    @classmethod
    def former_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"final_tanh": options.get("variant") == "reflection"}

    def problems(self, dataset: str, task: str, training: TrainConfig) -> dict[str, bool]:
        adversarial = self.objective.adversarial > 0
        return {
            f"variant '{self.options.variant}' is not for '{dataset}', whose task is '{task}'": (
                self.options.variant != task
            ),
            f"adversarial needs crops of {CRITIC_MIN_SIZE} pixels or more": (
                adversarial and training.crop < CRITIC_MIN_SIZE
            ),
            "adversarial cannot be trained in fp16: take auto or bf16": adversarial and training.precision == "fp16",
        }


RUN = DmgnRun
