"""Settings of every run: the training loop's settings, and the parts that each model defines with its own types."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictInt, field_validator, model_validator

from restorekit.config.strict import Count, Positive, Share, Strict

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class TrainConfig(Strict):
    """The settings of a training: `train` of params.yaml, with the overrides of a model and a run."""

    steps: Count  # optimiser steps
    batch_size: Count  # samples in an optimiser step, over all workers
    accumulate: Count = 1  # number of passes for a worker's part of a batch, to save memory
    crop: Annotated[int, Field(ge=17)]  # pixels
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for matrices and filters, with adamw for the rest
    lr: Positive
    schedule: Literal["cosine", "constant", "milestones"] = "cosine"
    milestones: tuple[tuple[Share, Positive], ...] = ()  # (share of the steps, factor on lr from there on)
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    betas: tuple[Annotated[float, Field(ge=0.0, lt=1.0)], Annotated[float, Field(ge=0.0, lt=1.0)]] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    grad_clip: Positive = 1.0  # global norm
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    precision: Precision = "auto"  # auto: bf16 if the GPU or CPU supports bf16, else fp32
    tf32: bool = False  # on a GPU, products of float32 with factors of ten bits: faster, and coarser than fp32 says
    compile: bool = False  # torch.compile needs a C++ compiler and takes minutes: for trainings of hours
    channels_last: bool = False  # memory layout of images and weights
    flips: tuple[Literal["horizontal", "vertical", "transpose", "channels"], ...] = ("horizontal",)
    checkpoint_every: Count = 100  # steps
    log_every: Count = 20  # steps
    validate_every: Count = 200  # steps
    export: Literal["last", "best"] = "last"  # the saved state; best: see restorekit/training/validation.py
    num_workers: Count | tuple[Count, Count] = 1  # Ray Train workers, one GPU each with use_gpu; or [fewest, most]
    resize_every_s: Positive = 60.0  # with a range: seconds between checks for room for more workers
    threads_per_worker: Count = 2
    loader_workers: Annotated[int, Field(ge=0)] = 0  # processes of each worker that read shards
    use_gpu: bool = False
    max_failures: Annotated[int, Field(ge=0)] = 3  # restarts after lost workers or nodes
    trace: bool = False  # every rank records the samples of each step in the state's folder

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.fewest_workers > self.most_workers:
            raise ValueError(f"num_workers [{self.fewest_workers}, {self.most_workers}]: the fewest come first")
        if self.batch_size < self.most_workers:
            raise ValueError(
                f"batch_size {self.batch_size} is less than a sample for each of {self.most_workers} workers"
            )
        if self.batch_size // self.most_workers < self.accumulate:
            each = self.batch_size // self.most_workers
            raise ValueError(f"accumulate {self.accumulate} is more than the {each} samples that a worker takes a step")
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} must be below steps {self.steps}")
        if (self.schedule == "milestones") != bool(self.milestones):
            raise ValueError("milestones are given with schedule: milestones, and only with it")
        if len(set(self.flips)) < len(self.flips):
            raise ValueError(f"flips {list(self.flips)} name one twice")
        if self.precision == "fp16" and not self.use_gpu:
            raise ValueError("precision fp16 needs use_gpu: true; on a CPU take auto, bf16 or fp32")
        return self

    @property
    def fewest_workers(self) -> int:
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[0]

    @property
    def most_workers(self) -> int:
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[1]


class Run(Strict):
    """A run: a network, its data, its objective, and its changes to `train`.

    `dataset` is a data set, or several with shares: {rain: 0.7, rain-100L: 0.3}. The first one leads: it names the run
    and the run's task, its validation images validate, and its length is an epoch's (see shards/mixture.py). The others
    can be of other tasks that the network is for, for a network that takes several degradations away.
    """

    weight_files: ClassVar[tuple[str, ...]] = ()  # settings that name files of weights: "options.trunk_weights"
    renamed_options: ClassVar[Mapping[str, str]] = {}  # of the network: the name in older checkpoints, the name now

    model: str
    dataset: str | dict[str, float]
    options: Strict  # of `create_model`
    objective: Strict
    train: dict[str, Any] = Field(default_factory=dict)  # overrides of the shared `train`, checked as a TrainConfig
    seed: Annotated[StrictInt, Field(ge=0)] = 0  # added to the file's seed: the same run with other random draws
    # Options of another network, which provides the initial weights that both networks have, for an ablation. None:
    # initial weights are drawn for the run's own options.
    starts_as: dict[str, Any] | None = None

    @field_validator("dataset", mode="before")
    @classmethod
    def _with_shares(cls, value: Any) -> Any:
        if isinstance(value, str):
            return value
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise ValueError("write a data set's name, or several with shares: {rain: 0.7, haze: 0.3}")
        shares = dict(value)
        if not all(isinstance(one, float | int) and not isinstance(one, bool) and one > 0 for one in shares.values()):
            raise ValueError("each share is a number above 0; leave out a data set that has none")
        if len(shares) < 2:
            raise ValueError(f"one data set needs no share: write {', '.join(shares) or 'its name'} alone")
        if abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"the shares add up to {sum(shares.values()):g}; they must add up to 1")
        return shares

    @model_validator(mode="after")
    def _starts_as_it_can(self) -> Self:
        if self.starts_as:
            type(self.options).model_validate({**self.options.model_dump(), **self.starts_as})
        return self

    @property
    def shares(self) -> dict[str, float]:
        """The data sets of the run, each with its share of the training samples."""
        return {self.dataset: 1.0} if isinstance(self.dataset, str) else dict(self.dataset)

    @property
    def first_set(self) -> str:
        """The data set that names the run and its task."""
        return next(iter(self.shares))

    @property
    def data_in_words(self) -> str:
        """The data sets for a reader: "rain", or "rain (70 %), rain-100L (30 %)"."""
        if isinstance(self.dataset, str):
            return self.dataset
        return ", ".join(f"{name} ({100 * share:.3g} %)" for name, share in self.dataset.items())

    @classmethod
    def former_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Removed options, each with the only value that the network with `options` still supports."""
        return {}

    def problems(self, dataset: str, task: str, training: TrainConfig) -> dict[str, bool]:
        """Messages for impossible combinations, each with whether it applies to this run on `dataset`, of `task`."""
        raise NotImplementedError
