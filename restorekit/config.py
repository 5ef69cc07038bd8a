"""params.yaml as typed, frozen values: an unknown key or an impossible value fails before any file is touched."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, StrictBool, StrictInt, ValidationError, model_validator

from restorekit.config_real import PhotoFolder, RealConfig, RealTraining
from restorekit.errors import RestorekitError, unknown_name
from restorekit.strict import Count, Name, Positive, Share, Strict

CRITIC_MIN_SIZE = 24  # pixels: what the five convolutions of the discriminator need


class Split(Strict):
    """Shares of the user's photographs, which are assigned by digest; the embedded ones have a fixed list."""

    train: Share = 0.8
    val: Share = 0.1
    test: Share = 0.1

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.train + self.val + self.test - 1.0) > 1e-6:
            raise ValueError(
                f"train + val + test is {self.train + self.val + self.test:g}; the shares must add up to 1"
            )
        return self


class PhotosConfig(Strict):
    """Where clean photographs come from."""

    packages: bool = True  # the seven natural scenes inside scikit-image and scikit-learn
    folders: tuple[PhotoFolder, ...] = ()  # the user's own and public sets, searched recursively
    license: str = "the user's own"  # recorded for every photograph found in `folders`
    min_side: Count = 256  # photographs with a shorter side, in pixels, are left out
    split: Split = Split()


class SynthesizeConfig(Strict):
    """How shards are written, whatever is in them."""

    encoding: Literal["png", "webp", "jpeg"] = "png"  # the first two are lossless
    quality: Annotated[int, Field(ge=1, le=100)] | None = None  # of jpeg; None: 95
    num_workers: Count = 2

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.quality is not None and self.encoding != "jpeg":
            raise ValueError(f"quality is for encoding: jpeg; {self.encoding} loses nothing")
        return self


class TrainShards(Strict):
    """Training tiles: every photograph is degraded `variants` times, and `tiles` squares are cut from each result."""

    variants: Count
    tiles: Count
    tile: Annotated[int, Field(ge=32)]  # pixels
    shards: Count


class WholeShards(Strict):
    """Whole images for validation and test: every photograph is degraded `variants` times."""

    variants: Count
    shards: Count = 1


class DatasetConfig(Strict):
    """What every data set has, whatever its task."""

    short_side: Annotated[int, Field(ge=64)]  # pixels of the frame that is degraded; photographs are resized to it
    severity: tuple[Share, Share]  # drawn uniformly between the two
    train: TrainShards
    val: WholeShards
    test: WholeShards

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.severity[0] > self.severity[1]:
            raise ValueError(f"severity {list(self.severity)} must be [low, high]")
        if self.train.tile > self.short_side:
            raise ValueError(f"train.tile {self.train.tile} does not fit into short_side {self.short_side}")
        return self


class ReflectionData(DatasetConfig):
    task: Literal["reflection"]
    kind: Literal["s1", "s2", "glass", "mixed"] = "mixed"  # the two published syntheses, and thick glass


class RainData(DatasetConfig):
    task: Literal["rain"]
    kind: Literal["light", "heavy", "dense", "mixed"] = "light"


class HazeData(DatasetConfig):
    task: Literal["haze"]
    kind: Literal["uniform", "varying", "mixed"] = "uniform"


class RaindropData(DatasetConfig):
    task: Literal["raindrop"]
    kind: Literal["soft", "crisp", "mixed"] = "mixed"


class MotionBlurData(DatasetConfig):
    task: Literal["motion_blur"]
    kind: Literal["shake", "regions", "mixed"] = "mixed"


class InpaintingData(DatasetConfig):
    task: Literal["inpainting"]
    kind: Literal["strokes", "blobs", "boxes", "borders", "mixed", "files"] = "mixed"
    masks: str | None = None  # for kind: files, a folder of pictures, white = hole; relative to params.yaml or absolute

    @model_validator(mode="after")
    def _has_masks(self) -> Self:
        if (self.kind == "files") != (self.masks is not None):
            raise ValueError("masks, a folder, is given with kind: files, and only with it")
        return self


class MixedData(DatasetConfig):
    """Several degradations on every photograph, for a model that is not told which: see degradations/composition.py."""

    task: Literal["mixed"]
    kind: Literal[
        "haze+rain", "rain+raindrop", "rain+motion_blur", "haze+motion_blur", "motion_blur+raindrop",
        "haze+rain+raindrop", "mixed",
    ] = "mixed"  # fmt: skip


class MaskShards(Strict):
    masks: Count
    shards: Count = 1

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.masks < self.shards:
            raise ValueError(f"{self.masks} masks for {self.shards} shards: lower shards")
        return self


class MaskData(Strict):
    """Masks of holes in shards of their own, without photographs: see shards/masks.py."""

    task: Literal["masks"]
    kind: Literal["strokes", "blobs", "boxes", "borders", "mixed"] = "mixed"
    side: Annotated[int, Field(ge=32)]  # pixels
    severity: tuple[Share, Share] = (0.0, 1.0)
    train: MaskShards
    val: MaskShards
    test: MaskShards

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.severity[0] > self.severity[1]:
            raise ValueError(f"severity {list(self.severity)} must be [low, high]")
        return self


AnyDataset = (
    ReflectionData | RainData | HazeData | RaindropData | MotionBlurData | InpaintingData | MixedData
)  # photographs, degraded


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


class Params(Strict):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0)]
    photos: PhotosConfig
    synthesize: SynthesizeConfig
    datasets: dict[Name, Annotated[AnyDataset | MaskData, Field(discriminator="task")]]
    real: RealConfig = RealConfig()
    train: dict[str, Any]
    runs: dict[Name, DmgnRun]
    evaluate: EvaluateConfig
    promote: PromoteConfig

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, dataset in self.datasets.items():
            if key.split("-")[0] != dataset.task:
                raise ValueError(f"datasets.{key}: a data set's name starts with its task, '{dataset.task}'")
        for key, real in self.real.train.items():
            if key.split("-")[0] != real.task or key in self.datasets:
                raise ValueError(f"real.train.{key}: name it '{real.task}-' and something that no other set is called")
        for name, run in self.runs.items():
            if run.dataset not in {**self.datasets, **self.real.train}:
                known = [*self.datasets, *self.real.train]
                raise ValueError(f"runs.{name}: {unknown_name('data set', run.dataset, known)}")
            if name.split("--")[0] != f"{run.model}-{run.dataset}":
                raise ValueError(f"runs.{name}: a run is named <model>-<data set>, here '{run.model}-{run.dataset}'")
            if isinstance(self.datasets.get(run.dataset), MaskData):
                raise ValueError(f"runs.{name}: '{run.dataset}' holds masks and no photographs to learn from")
            task = self.trained_on(run.dataset).task
            if run.dataset in self.real.train and not any(one.paired for one in self.real.to_evaluate(task).values()):
                raise ValueError(f"runs.{name}: no pairs to judge it by: add some for {task} to real.evaluate")
        return self

    def dataset(self, name: str) -> AnyDataset | MaskData:
        if name not in self.datasets:
            raise unknown_name("data set", name, self.datasets)
        return self.datasets[name]

    def trained_on(self, name: str) -> AnyDataset | RealTraining:
        """What a run names as its data set, made here or real."""
        degraded = {name: one for name, one in self.datasets.items() if not isinstance(one, MaskData)}
        sets: dict[str, AnyDataset | RealTraining] = {**degraded, **self.real.train}
        if name not in sets:
            raise unknown_name("data set", name, sets)
        return sets[name]

    def run(self, name: str) -> DmgnRun:
        if name not in self.runs:
            raise unknown_name("run", name, self.runs)
        return self.runs[name]

    def training(self, run: str) -> TrainConfig:
        """The shared `train` section with the run's overrides."""
        return TrainConfig.model_validate({**self.train, **self.run(run).train})


def load_params(path: Path) -> Params:
    """Reads and checks a params.yaml; a RestorekitError names each wrong value by its place in the file."""
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise RestorekitError(f"no {path.name} in {path.parent.resolve()}: run from the project's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RestorekitError(f"{path} is not YAML: {error}") from error
    return check_params(values, path.name)


def check_params(values: Any, name: str = "params.yaml") -> Params:
    """Checks what was read from `name`."""
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise _refused(
            name, [f"{_place(p['loc'])}: {_explain(p, _section(p['loc']))}" for p in error.errors()]
        ) from error
    problems = [problem for run in params.runs for problem in _training_problems(params, run)]
    if problems:
        raise _refused(name, list(dict.fromkeys(problems)))
    return params


def _refused(name: str, problems: list[str]) -> RestorekitError:
    return RestorekitError(f"{name} is not right:\n" + "\n".join(f"  {problem}" for problem in problems))


def _training_problems(params: Params, run: str) -> list[str]:
    """What is wrong with a run's training settings, each named by where it stands: in the run or in `train`."""
    own = params.runs[run].train
    try:
        config = params.training(run)
    except ValidationError as error:
        return [
            f"{f'runs.{run}.train' if set(p['loc'][:1]) & set(own) else 'train'}"
            f"{''.join(f'.{part}' for part in p['loc'])}: {_explain(p, TrainConfig)}"
            for p in error.errors()
        ]
    spec = params.runs[run]
    data = params.trained_on(spec.dataset)
    problems = {
        f"crop {config.crop} is larger than the tiles of '{spec.dataset}' ({data.train.tile})": (
            config.crop > data.train.tile
        ),
        f"variant '{spec.options.variant}' is not for '{spec.dataset}', whose task is '{data.task}'": (
            spec.options.variant != data.task
        ),
        "signed_residual is for rain and haze: reflection learns the layer itself": (
            spec.objective.signed_residual and spec.options.variant == "reflection"
        ),
        f"adversarial needs crops of {CRITIC_MIN_SIZE} pixels or more": (
            spec.objective.adversarial > 0 and config.crop < CRITIC_MIN_SIZE
        ),
        "adversarial cannot be trained in fp16: take bf16": (
            spec.objective.adversarial > 0 and config.precision == "fp16"
        ),
    }
    return [f"runs.{run}: {problem}" for problem, found in problems.items() if found]


def _place(location: tuple[int | str, ...]) -> str:
    # Below `datasets.<name>` pydantic puts the tag that chose the section, which is not in the file.
    parts = [*location[:2], *location[3:]] if location[:1] == ("datasets",) else location
    return ".".join(str(part) for part in parts) or "the file"


def _explain(problem: Any, section: type[BaseModel] | None) -> str:
    if problem["type"] == "extra_forbidden":
        known = section.model_fields if section is not None else {}
        return str(unknown_name("key", str(problem["loc"][-1]), known))
    message = str(problem["msg"]).removeprefix("Value error, ")
    return message if isinstance(problem["input"], dict) else f"{message} (found {problem['input']!r})"[:400]


_DATASETS: dict[str, type[BaseModel]] = {
    "reflection": ReflectionData,
    "rain": RainData,
    "haze": HazeData,
    "raindrop": RaindropData,
    "motion_blur": MotionBlurData,
    "inpainting": InpaintingData,
    "mixed": MixedData,
    "masks": MaskData,
}


def _section(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The section that holds the last part of a location, for naming the keys that it knows."""
    section: type[BaseModel] | None = Params
    parts = [str(part) for part in location[:-1]]
    while parts and section is not None:
        part = parts.pop(0)
        if section is Params and part == "datasets":
            section = _DATASETS.get(parts[1]) if len(parts) > 1 else None  # the name, then pydantic's tag: the task
            parts = parts[2:]
        else:
            field = section.model_fields.get(part)
            inner: Any = field.annotation if field else None
            if get_origin(inner) is dict:  # sections by name
                inner, parts = get_args(inner)[1], parts[1:]
            elif get_origin(inner) is tuple:  # sections by number
                inner, parts = get_args(inner)[0], parts[1:]
            section = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None
    return section
