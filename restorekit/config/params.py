"""The whole of params.yaml, checked at once: each wrong value is named by its place in the file."""

from pathlib import Path
from typing import Annotated, Any, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from restorekit.config.data import (
    AnyDataset,
    HazeData,
    InpaintingData,
    MaskData,
    MixedData,
    MotionBlurData,
    PhotosConfig,
    RainData,
    RaindropData,
    ReflectionData,
    SynthesizeConfig,
)
from restorekit.config.real import RealConfig, RealTraining
from restorekit.config.runs import (
    CRITIC_MIN_SIZE,
    DmgnRun,
    EvaluateConfig,
    PromoteConfig,
    TrainConfig,
)
from restorekit.config.strict import Name, Strict
from restorekit.errors import RestorekitError, unknown_name


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
