"""Checks the values of parameter files, and names each wrong value by its place in the file."""

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from restorekit.config.data import SECTIONS
from restorekit.config.params import Params
from restorekit.config.run import TrainConfig
from restorekit.config.runs import RUNS
from restorekit.errors import RestorekitError, unknown_name

# Named sections of several types. In a pydantic location, the tag of the type follows the section's name.
_CHOICES: dict[str, Mapping[str, type[BaseModel]]] = {"datasets": SECTIONS, "runs": RUNS}


def check_params(values: Any, name: str = "params.yaml") -> Params:
    """The parameters in `values`, read from the file `name`; a RestorekitError names each wrong value."""
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        problems = [_problem(values, p) for p in error.errors()]
        raise _refused(name, problems) from error
    problems = _shared_problems(params.train)
    problems += [problem for run, _ in params.all_runs() for problem in _training_problems(params, values, run)]
    if problems:
        raise _refused(name, problems)
    return params


def _refused(name: str, problems: list[str]) -> RestorekitError:
    return RestorekitError(f"{name} is not right:\n" + "\n".join(f"  {one}" for one in dict.fromkeys(problems)))


def _problem(values: Any, problem: Any) -> str:
    named = _named(problem["loc"])
    place = [part for part, _ in named]
    if len(place) > 3 and place[0] == "runs":
        place = _given_at(values, place)
    section = Params if len(named) < 2 else named[-2][1]  # the section that holds the last part
    return f"{'.'.join(place) or 'the file'}: {_explain(problem, section)}"


def _given_at(values: Any, place: list[str]) -> list[str]:
    """The place that sets `runs.<run>.<section>.<key>`: the run itself, or the shared settings of the run's model."""
    _, run, section, key, *rest = place
    settings = values["runs"][run]
    shared: Any = values.get("models")
    for name in (settings.get("model"), section):
        shared = shared.get(name) if isinstance(shared, dict) else None
    if isinstance(shared, dict) and key in shared and key not in (settings.get(section) or {}):
        return ["models", settings["model"], section, key, *rest]
    return place


def _shared_problems(train: dict[str, Any]) -> list[str]:
    """The problems of values in `train`, even values that every run overrides; a key may be missing here."""
    try:
        TrainConfig.model_validate(train)
    except ValidationError as error:
        wrong = [p for p in error.errors() if p["loc"] and p["type"] != "missing"]
        return [f"{_path(('train', *p['loc']))}: {_explain(p, TrainConfig)}" for p in wrong]
    return []


def _training_problems(params: Params, values: Any, name: str) -> list[str]:
    """The problems of a run's training settings, each named by its place: the run, its model, or `train`."""
    run = params.run(name)
    section = "runs" if name in params.runs else "ablations"
    try:
        config = params.training(name)
    except ValidationError as error:
        problems = []
        for p in error.errors():
            own = bool(set(p["loc"][:1]) & set(run.train))
            place = [section, name, "train"] if own else ["train"]
            place += [str(part) for part in p["loc"]]
            if own and section == "runs":
                place = _given_at(values, place)
            problems.append(f"{'.'.join(place)}: {_explain(p, TrainConfig)}")
        return problems
    found: dict[str, bool] = {}
    for dataset in run.shares:
        data = params.trained_on(dataset)
        tile = data.train.tile
        found[f"crop {config.crop} is larger than the tiles of '{dataset}' ({tile})"] = config.crop > tile
        found |= run.problems(dataset, data.task, config)
    return [f"{section}.{name}: {problem}" for problem, is_so in found.items() if is_so]


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(part for part, _ in _named(location))


def _explain(problem: Any, section: type[BaseModel] | None) -> str:
    if problem["type"] == "extra_forbidden":
        known = {} if section is None else _fields(section)
        return str(unknown_name("key", str(problem["loc"][-1]), known))
    message = str(problem["msg"]).removeprefix("Value error, ")
    return message if isinstance(problem["input"], dict) else f"{message} (found {problem['input']!r})"[:400]


def _named(location: tuple[int | str, ...]) -> list[tuple[str, type[BaseModel] | None]]:
    """The parts of a location, as in the file, each with the type of the section at this part, or None."""
    named: list[tuple[str, type[BaseModel] | None]] = []
    section: Any = Params
    parts = [str(part) for part in location]
    while parts:
        part = parts.pop(0)
        path = ".".join([*(name for name, _ in named), part])
        field = _fields(section).get(part) if isinstance(section, type) and issubclass(section, BaseModel) else None
        inner: Any = field.annotation if field else None
        named.append((part, _model(inner)))
        if path in _CHOICES and parts:
            name, tag = parts.pop(0), parts[0] if parts else ""
            choices = _CHOICES[path]
            if tag in choices:
                parts.pop(0)
            section = choices.get(tag)
            named.append((name, section))
        elif get_origin(inner) in (dict, tuple) and parts:  # sections by name, or by number
            section = get_args(inner)[1 if get_origin(inner) is dict else 0]
            named.append((parts.pop(0), _model(section)))
        else:
            section = inner
    return named


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a section by their names in the file."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _model(value: Any) -> type[BaseModel] | None:
    return value if isinstance(value, type) and issubclass(value, BaseModel) else None
