"""Settings of DMGN's runs."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from restorekit.config.run import Run, TrainConfig
from restorekit.config.strict import Positive, Strict

CRITIC_MIN_SIZE = 24  # pixels: what the five convolutions of the discriminator need


class DmgnOptions(Strict):
    """Options of `create_model("dmgn")`; see restorekit/models/dmgn/network.py."""

    variant: Literal["reflection", "rain", "haze"]
    width: Annotated[StrictInt, Field(ge=1)] = 64
    trunk: Literal["none", "vgg19", "vgg16_shift_tolerant"] = "vgg19"
    trunk_weights: str | None = None  # a file of the user's; without one vgg19 is random, the other reads its package
    use_ndm: StrictBool | None = None  # None: reflection yes, rain and haze no
    final_tanh: StrictBool | None = None  # None: reflection yes, rain and haze no
    ndm_batch_stats: StrictBool = False  # the released code to the letter
    init: Literal["framework", "he"] = "framework"  # he: drawn for ReLU; for short trainings
    zero_last: StrictBool = False  # start from background = input; for short trainings
    refine: StrictBool = True  # ablation: without it the coarse background is the result
    noise_features: StrictBool = True  # ablation: the noise image's features in the refinement
    gated: StrictBool = True  # ablation: the cells' gates

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.trunk == "none" and self.trunk_weights:
            raise ValueError("trunk_weights needs a trunk; here trunk is none")
        if not self.refine and (self.use_ndm or not self.noise_features):
            raise ValueError("without refine nothing of the noise image is used: leave use_ndm and noise_features out")
        if self.use_ndm and not self.gated:
            raise ValueError("the Noise Distribution Map steers gates: without gated, give use_ndm: false")
        own = self.variant == "reflection" and self.refine and self.gated
        steered = own if self.use_ndm is None else self.use_ndm
        if self.ndm_batch_stats and not steered:
            raise ValueError("ndm_batch_stats needs the Noise Distribution Map: use_ndm: true")
        return self


class DmgnObjective(Strict):
    """Weights of DMGN's losses; see restorekit/objectives/dmgn.py. dmgn.md has perceptual 0.2, adversarial 0 or 1."""

    pixel: Literal["l1", "huber"] = "l1"
    huber_delta: Positive = 0.2  # where huber turns from square to absolute, on the scale of [-1, 1]
    background: Annotated[float, Field(ge=0.0)] = 1.0
    coarse: Annotated[float, Field(ge=0.0)] = 1.0
    noise: Annotated[float, Field(ge=0.0)] = 1.0
    perceptual: Annotated[float, Field(ge=0.0)] = 0.0  # a factor on all three
    perceptual_trunk: Literal["vgg19", "vgg16_shift_tolerant"] = "vgg16_shift_tolerant"
    perceptual_weights: str | None = None  # a file of the user's; vgg19 needs one
    adversarial: Annotated[float, Field(ge=0.0)] = 0.0
    signed_residual: StrictBool = False

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.background:
            raise ValueError("background is the weight of what is restored; it must be above 0")
        changed = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        if changed & {"perceptual_trunk", "perceptual_weights"} and not self.perceptual:
            raise ValueError("perceptual_trunk and perceptual_weights need perceptual above 0")
        if "huber_delta" in changed and self.pixel != "huber":
            raise ValueError("huber_delta needs pixel: huber")
        if self.perceptual and self.perceptual_trunk == "vgg19" and not self.perceptual_weights:
            raise ValueError("perceptual_trunk vgg19 needs perceptual_weights, a file of torchvision's VGG-19")
        return self


class DmgnRun(Run):
    """A run of DMGN."""

    weight_files: ClassVar[tuple[str, ...]] = ("options.trunk_weights", "objective.perceptual_weights")

    model: Literal["dmgn"]
    options: DmgnOptions
    objective: DmgnObjective = DmgnObjective()

    def problems(self, task: str, training: TrainConfig) -> dict[str, bool]:
        adversarial = self.objective.adversarial > 0
        return {
            f"variant '{self.options.variant}' is not for '{self.dataset}', whose task is '{task}'": (
                self.options.variant != task
            ),
            "signed_residual is for rain and haze: reflection learns the layer itself": (
                self.objective.signed_residual and self.options.variant == "reflection"
            ),
            f"adversarial needs crops of {CRITIC_MIN_SIZE} pixels or more": (
                adversarial and training.crop < CRITIC_MIN_SIZE
            ),
            "adversarial cannot be trained in fp16: take auto or bf16": adversarial and training.precision == "fp16",
        }


RUN = DmgnRun
