"""Settings of every run: the training loop's settings, and the parts that each model defines with its own types."""

from collections.abc import Mapping, Set
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictInt, field_validator, model_validator

from restorekit.config.strict import Count, Positive, Share, Strict

Precision = Literal["auto", "fp32", "bf16", "fp16"]
BATCHES = ("batch_size", "batch_per_worker")  # two ways to say how many samples a step has


class TrainConfig(Strict):
    """The settings of a training: `train` of params.yaml, with the overrides of a model and a run."""

    steps: Count  # optimiser steps
    batch_size: Count | None = None  # samples in an optimiser step, over all workers; or batch_per_worker
    batch_per_worker: Count | None = None  # times the (most) workers of num_workers; fewer share the same batch
    accumulate: Count = 1  # passes for a worker's part of a batch, to save memory; more of them with fewer workers
    crop: Annotated[int, Field(ge=17)]  # pixels
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for matrices and filters, with adamw for the rest
    lr: Positive
    # The rule by which lr and warmup_steps, given for a batch of lr_batch samples, are scaled to the batch of the run.
    lr_scale: Literal["none", "linear", "sqrt"] = "none"
    lr_batch: Count | None = None
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
    sync_batch_norm: bool = False  # batch norms' statistics over all workers' samples, for a batch that they share
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
    max_failures: Annotated[int, Field(ge=0)] = 3  # restarts after errors, lost workers or nodes
    trace: bool = False  # every rank records the samples of each step in the state's folder

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.fewest_workers > self.most_workers:
            raise ValueError(f"num_workers [{self.fewest_workers}, {self.most_workers}]: the fewest come first")
        if (self.batch_size is None) == (self.batch_per_worker is None):
            raise ValueError("give batch_size, the samples of all workers, or batch_per_worker, and not both")
        if self.global_batch < self.most_workers:
            raise ValueError(
                f"batch_size {self.batch_size} is less than a sample for each of {self.most_workers} workers: "
                f"raise it, or set batch_per_worker in its place"
            )
        if self.global_batch // self.most_workers < self.accumulate:
            each = self.global_batch // self.most_workers
            raise ValueError(f"accumulate {self.accumulate} is more than the {each} samples that a worker takes a step")
        if (self.lr_scale != "none") != (self.lr_batch is not None):
            raise ValueError(
                "lr_scale linear or sqrt needs lr_batch, the samples a step that lr is for; none takes none"
            )
        if self.sync_batch_norm and (self.accumulate > 1 or self.fewest_workers < self.most_workers):
            raise ValueError(
                "sync_batch_norm needs accumulate: 1 and a fixed num_workers: all workers take one pass a step together"
            )
        if self.scaled_warmup >= self.steps:
            scaled = f", {self.scaled_warmup} for this batch," if self.scaled_warmup != self.warmup_steps else ""
            raise ValueError(f"warmup_steps {self.warmup_steps}{scaled} must be below steps {self.steps}")
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

    @property
    def global_batch(self) -> int:
        """The samples in an optimiser step over all workers, however many of `num_workers` there are at the time."""
        if self.batch_size is not None:
            return self.batch_size
        assert self.batch_per_worker is not None
        return self.batch_per_worker * self.most_workers

    @property
    def lr_factor(self) -> float:
        """The factor on the learning rate: the batch's ratio to `lr_batch`, or its square root.

        Linear is the rule for SGD (Goyal et al., "Accurate, Large Minibatch SGD", 2017), the square root that for Adam
        (Malladi et al., "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", 2022).
        """
        if self.lr_batch is None:
            return 1.0
        return (self.global_batch / self.lr_batch) ** (0.5 if self.lr_scale == "sqrt" else 1.0)

    @property
    def scaled_warmup(self) -> int:
        """The warm-up's steps for this batch: the rate rises by as much a step as with a batch of `lr_batch`.

        A batch smaller than `lr_batch` keeps the steps of the warm-up.
        """
        return round(self.warmup_steps * max(1.0, self.lr_factor))

    def in_world(self, num_workers: int) -> "TrainConfig":
        """These settings as `num_workers` workers follow them: everything is said for the batch of the run.

        The passes of a worker are so many that each has at most as many samples as with the most workers. So fewer
        workers take the same batch with the same memory.
        """
        each = -(-self.global_batch // self.most_workers)
        part = -(-self.global_batch // num_workers)
        changed = {
            "batch_size": self.global_batch,
            "batch_per_worker": None,
            "accumulate": -(-part // -(-each // self.accumulate)),
            "lr": self.lr * self.lr_factor,
            "warmup_steps": self.scaled_warmup,
            "lr_scale": "none",
            "lr_batch": None,
        }
        return self.model_copy(update=changed)

    def counting(self, left_out: Set[str]) -> dict[str, Any]:
        """The settings that differ from their defaults, as JSON, but for those `left_out`.

        The batch counts as the number of its samples: the same training by batch_size or by batch_per_worker is one.
        """
        found = self.model_dump(mode="json", exclude={*left_out, "batch_per_worker"}, exclude_defaults=True)
        return {**found, "batch_size": self.global_batch}


def train_layered(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `below` with those of `above` over them; a batch in `above` replaces both ways to give one."""
    replaced = BATCHES if any(above.get(name) is not None for name in BATCHES) else ()
    return {**{name: value for name, value in below.items() if name not in replaced}, **above}


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
    # A model to start from: shipped:rain, glsgn-rain@champion, or a folder. None: the weights are drawn.
    start_from: Annotated[str, Field(min_length=1)] | None = None

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
        if self.starts_as is not None and self.start_from is not None:
            raise ValueError("starts_as and start_from both give the first weights: give one of them")
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
