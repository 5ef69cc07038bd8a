"""Sections of params.yaml about runs: training, networks, objectives, evaluation, promotion."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from restorekit.config.strict import Count, Positive, Share, Strict

CRITIC_MIN_SIZE = 24  # pixels: what the five convolutions of the discriminator need


class TrainConfig(Strict):
    """One training: the loop's settings. Every run takes `train` of params.yaml and overrides what it names."""

    steps: Count  # optimiser steps
    batch_size: Count  # samples an optimiser step, over all workers
    crop: Annotated[int, Field(ge=17)]  # pixels
    lr: Positive
    schedule: Literal["cosine", "constant", "milestones"] = "cosine"
    milestones: tuple[tuple[Share, Positive], ...] = ()  # (share of the steps, factor on lr from there on)
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    betas: tuple[Annotated[float, Field(ge=0.0, lt=1.0)], Annotated[float, Field(ge=0.0, lt=1.0)]] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    grad_clip: Positive = 1.0  # global norm
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    flips: tuple[Literal["horizontal", "vertical", "transpose"], ...] = ("horizontal",)
    checkpoint_every: Count = 100  # steps
    log_every: Count = 20  # steps
    validate_every: Count = 200  # steps
    num_workers: Count = 1  # Ray Train workers, one GPU each with use_gpu
    threads_per_worker: Count = 2
    loader_workers: Annotated[int, Field(ge=0)] = 0  # processes that read shards, for each worker
    use_gpu: bool = False
    max_failures: Annotated[int, Field(ge=0)] = 3  # restarts after lost workers or nodes

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.batch_size % self.num_workers:
            raise ValueError(f"batch_size {self.batch_size} does not divide among {self.num_workers} workers")
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} must be below steps {self.steps}")
        if (self.schedule == "milestones") != bool(self.milestones):
            raise ValueError("milestones are given with schedule: milestones, and only with it")
        if self.precision == "fp16" and not self.use_gpu:
            raise ValueError("precision fp16 needs use_gpu: true; on a CPU take bf16 or fp32")
        return self


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

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.trunk == "none" and self.trunk_weights:
            raise ValueError("trunk_weights needs a trunk; here trunk is none")
        steered = self.variant == "reflection" if self.use_ndm is None else self.use_ndm
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


class DmgnRun(Strict):
    """A run: which network, on which data set, with which objective and which changes to `train`."""

    model: Literal["dmgn"]
    dataset: str
    options: DmgnOptions
    objective: DmgnObjective = DmgnObjective()
    train: dict[str, Any] = Field(default_factory=dict)  # overrides of the shared `train`, checked as a TrainConfig


class EvaluateConfig(Strict):
    precision: Literal["fp32", "bf16"] = "fp32"
    samples: Annotated[int, Field(ge=0)] = 6  # triptychs kept for the report
    resamples: Annotated[int, Field(ge=100)] = 2000  # of the bootstrap behind ci95


class PromoteConfig(Strict):
    metric: Literal["psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y"] = "psnr_rgb"
    min_gain: Annotated[float, Field(ge=0.0)] = 0.0  # the lower end of the interval must be above it
