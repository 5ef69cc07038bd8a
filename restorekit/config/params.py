"""The whole of params.yaml, checked at once: each wrong value is named by its place in the file."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from restorekit.config.ablations import Ablations
from restorekit.config.data import SECTIONS, AnyDataset, MaskData, PhotosConfig, SynthesizeConfig
from restorekit.config.real import RealConfig, RealTraining
from restorekit.config.run import Run, TrainConfig
from restorekit.config.runs import RUNS, AnyRun, EvaluateConfig, LongConfig, PromoteConfig
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
    runs: dict[Name, AnyRun]
    long: LongConfig = LongConfig()
    ablations: dict[Name, Ablations] = Field(default_factory=dict)  # by model
    evaluate: EvaluateConfig
    promote: PromoteConfig

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for place, key, dataset in self._made():
            if key.split("-")[0] != dataset.task:
                raise ValueError(f"{place}.{key}: a data set's name starts with its task, '{dataset.task}'")
        twice = [*(set(self.datasets) & set(self.long.datasets)), *_repeated(name for _, name, _ in self.all_runs())]
        if twice:
            raise ValueError(f"{', '.join(sorted(twice))}: a name stands in one place of the file")
        made = {name: one for _, name, one in self._made()}
        for key, real in self.real.train.items():
            if key.split("-")[0] != real.task or key in made:
                raise ValueError(f"real.train.{key}: name it '{real.task}-' and something that no other set is called")
        for place, name, run in self.all_runs():
            self._check_run(place, name, run, {**made, **self.real.train})
        return self

    def _check_run(
        self, place: str, name: str, run: Run, sets: dict[str, AnyDataset | MaskData | RealTraining]
    ) -> None:
        if run.dataset not in sets:
            raise ValueError(f"{place}.{name}: {unknown_name('data set', run.dataset, sets)}")
        if place == "runs" and run.dataset in self.long.datasets:
            raise ValueError(f"{place}.{name}: '{run.dataset}' is one of long.datasets, for long runs and ablations")
        base, _, suffix = name.partition("--")
        if base != f"{run.model}-{run.dataset}":
            raise ValueError(f"{place}.{name}: a run is named <model>-<data set>, here '{run.model}-{run.dataset}'")
        if place != "runs" and not suffix:
            raise ValueError(f"{place}.{name}: name it '{base}--' and what makes it another run")
        if isinstance(sets[run.dataset], MaskData):
            raise ValueError(f"{place}.{name}: '{run.dataset}' holds masks and no photographs to learn from")
        task = sets[run.dataset].task
        if run.dataset in self.real.train and not any(one.paired for one in self.real.to_evaluate(task).values()):
            raise ValueError(f"{place}.{name}: no pairs to judge it by: add some for {task} to real.evaluate")

    def dataset(self, name: str) -> AnyDataset | MaskData:
        """A data set that is made here."""
        made = {**self.datasets, **self.long.datasets}
        if name not in made:
            raise unknown_name("data set", name, made)
        return made[name]

    def trained_on(self, name: str) -> AnyDataset | RealTraining:
        """What a run names as its data set, made here or real."""
        made = {**self.datasets, **self.long.datasets}
        degraded = {name: one for name, one in made.items() if not isinstance(one, MaskData)}
        sets: dict[str, AnyDataset | RealTraining] = {**degraded, **self.real.train}
        if name not in sets:
            raise unknown_name("data set", name, sets)
        return sets[name]

    def all_runs(self) -> list[tuple[str, str, Run]]:
        """(section, name, run) of every run in the file."""
        sections: dict[str, Mapping[str, Run]] = {
            "runs": self.runs, "long.runs": self.long.runs, "ablations": self.ablation_runs,
        }  # fmt: skip
        return [(place, name, run) for place, runs in sections.items() for name, run in runs.items()]

    @property
    def ablation_runs(self) -> dict[str, Run]:
        """The runs of all ablations by name."""
        made = [ablations.runs(model, self.runs) for model, ablations in self.ablations.items()]
        return {name: run for runs in made for name, run in runs.items()}

    @property
    def areas(self) -> dict[str, str]:
        """Where runs that are not of the main pipeline keep their outputs, below data/."""
        ablations = {name: f"ablations/{run.model}" for name, run in self.ablation_runs.items()}
        return {**dict.fromkeys(self.long.runs, "long"), **ablations}

    def registered_name(self, run: str) -> str:
        """`<model>-<data set>`, and the run's whole name for an ablation, which is no candidate to restore photos.

        Nor is a long run that is named otherwise than `--long`: what that one is held against.
        """
        name, _, suffix = run.partition("--")
        beside = run in self.ablation_runs or (run in self.long.runs and suffix != "long")
        return run if beside else name

    def run(self, name: str) -> Run:
        runs = {known: run for _, known, run in self.all_runs()}
        if name not in runs:
            raise unknown_name("run", name, runs)
        return runs[name]

    def training(self, run: str) -> TrainConfig:
        """The shared `train` section with the run's overrides."""
        return TrainConfig.model_validate({**self.train, **self.run(run).train})

    def _made(self) -> list[tuple[str, str, AnyDataset | MaskData]]:
        """(section, name, data set) of every data set that is made here."""
        named = {"datasets": self.datasets, "long.datasets": self.long.datasets}
        return [(place, name, one) for place, sets in named.items() for name, one in sets.items()]


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


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
    problems = _shared_problems(params.train)
    problems += [problem for place, run, _ in params.all_runs() for problem in _training_problems(params, place, run)]
    if problems:
        raise _refused(name, list(dict.fromkeys(problems)))
    return params


def _refused(name: str, problems: list[str]) -> RestorekitError:
    return RestorekitError(f"{name} is not right:\n" + "\n".join(f"  {problem}" for problem in problems))


def _shared_problems(train: dict[str, Any]) -> list[str]:
    """What is wrong with values of `train`, those that every run overrides too; a key may be left to the runs."""
    try:
        TrainConfig.model_validate(train)
    except ValidationError as error:
        wrong = [p for p in error.errors() if p["loc"] and p["type"] != "missing"]
        return [f"{_place(('train', *p['loc']))}: {_explain(p, TrainConfig)}" for p in wrong]
    return []


def _training_problems(params: Params, place: str, name: str) -> list[str]:
    """What is wrong with a run's training settings, each named by where it stands: in the run or in `train`."""
    run = params.run(name)
    try:
        config = params.training(name)
    except ValidationError as error:
        return [
            f"{f'{place}.{name}.train' if set(p['loc'][:1]) & set(run.train) else 'train'}"
            f"{''.join(f'.{part}' for part in p['loc'])}: {_explain(p, TrainConfig)}"
            for p in error.errors()
        ]
    data = params.trained_on(run.dataset)
    problems = {
        f"crop {config.crop} is larger than the tiles of '{run.dataset}' ({data.train.tile})": (
            config.crop > data.train.tile
        ),
        **run.problems(data.task, config),
    }
    return [f"{place}.{name}: {problem}" for problem, found in problems.items() if found]


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(part for part, _ in _named(location)) or "the file"


def _explain(problem: Any, section: type[BaseModel] | None) -> str:
    if problem["type"] == "extra_forbidden":
        known = section.model_fields if section is not None else {}
        return str(unknown_name("key", str(problem["loc"][-1]), known))
    message = str(problem["msg"]).removeprefix("Value error, ")
    return message if isinstance(problem["input"], dict) else f"{message} (found {problem['input']!r})"[:400]


# Where sections of several types stand by name: below the name pydantic puts the tag that chose the type.
_CHOICES: dict[str, Mapping[str, type[BaseModel]]] = {
    "datasets": SECTIONS,
    "long.datasets": SECTIONS,
    "runs": RUNS,
    "long.runs": RUNS,
}


def _named(location: tuple[int | str, ...]) -> list[tuple[str, type[BaseModel] | None]]:
    """The parts of a location as they stand in the file, each with the section that it leads into, where it does."""
    named: list[tuple[str, type[BaseModel] | None]] = []
    section: Any = Params
    parts = [str(part) for part in location]
    while parts:
        part = parts.pop(0)
        path = ".".join([*(name for name, _ in named), part])
        field = section.model_fields.get(part) if isinstance(section, type) and issubclass(section, BaseModel) else None
        inner: Any = field.annotation if field else None
        named.append((part, _model(inner)))
        if path in _CHOICES and parts:
            name, tag = parts.pop(0), parts[0] if parts else ""
            choices = _CHOICES[path]
            if tag in choices:
                parts.pop(0)
            section = choices.get(tag) or (next(iter(choices.values())) if len(choices) == 1 else None)
            named.append((name, section))
        elif get_origin(inner) in (dict, tuple) and parts:  # sections by name, or by number
            section = get_args(inner)[1 if get_origin(inner) is dict else 0]
            named.append((parts.pop(0), _model(section)))
        else:
            section = inner
    return named


def _section(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The section that holds the last part of a location, for naming the keys that it knows."""
    named = _named(location)
    return Params if len(named) < 2 else named[-2][1]


def _model(value: Any) -> type[BaseModel] | None:
    return value if isinstance(value, type) and issubclass(value, BaseModel) else None
