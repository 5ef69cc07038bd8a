"""Reads params.yaml and a second file layered over it: more data sets, runs and ablations, next to their dvc.yaml.

A second file has the sections `datasets`, `runs` and `ablations`; `promote` and `detector`, whose values win over those
of params.yaml; and `over`: another second file as its base. The outputs of its runs lie in
data/<the file's folder>/. A run whose data set is in no file is left out, because the user has deleted the data set.
Only a stage that is asked for this run raises an error.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from restorekit.config.checking import check_params
from restorekit.config.document import read_document
from restorekit.config.params import Params
from restorekit.errors import RestorekitError, unknown_name

Read = Callable[[Path], dict[str, Any]]
SECTIONS = ("datasets", "runs", "ablations")  # of a second file: mappings of names
SETTINGS = ("promote", "detector")  # sections of a second file whose values win over those below it


def read_values(path: Path) -> dict[str, Any]:
    """The values in a parameters file, not yet checked."""
    values = read_document(path)
    if not isinstance(values, dict):
        raise RestorekitError(f"{path} has no sections; found {values!r}"[:400])
    return values


def load_params(path: Path, extra: Path | None = None, read: Read | None = None) -> Params:
    """The parameters of `path`, with a second file, `extra`, layered over `path`.

    `read` replaces `read_values`, which reads the values of a file. A RestorekitError names each wrong value.
    """
    read = read or read_values
    values = read(path)
    params = check_params(values, path.name)
    if extra is None or extra == path:
        return params
    merged: dict[str, Any] = {**values}
    areas: dict[str, str] = {}
    left_out: dict[str, str] = {}
    if extra.parent.name == "..":
        raise RestorekitError(
            f"{extra}: the file's folder names that of its outputs; write the folder's name, not '..'"
        )
    for file, layer in _layers(path.parent, extra, read):
        _add(merged, layer, file)
        areas |= dict.fromkeys(layer.get("runs", {}), file.parent.name)
    sets = {*merged["datasets"], *params.real.train}
    for name in areas:
        dataset = merged["runs"][name].get("dataset") if isinstance(merged["runs"][name], Mapping) else None
        named = (dataset,) if isinstance(dataset, str) else dataset if isinstance(dataset, Mapping) else ()
        missing = [one for one in named if one not in sets]
        if missing:
            left_out[name] = missing[0]
    merged["runs"] = {name: run for name, run in merged["runs"].items() if name not in left_out}
    return check_params(merged, f"{path.name} with {extra}").layered(extra.parent.name, areas, left_out)


def _layers(root: Path, extra: Path, read: Read, above: tuple[Path, ...] = ()) -> list[tuple[Path, dict[str, Any]]]:
    """The second file and its bases, bases first, each with its values; `above` are the files that lie over it."""
    if extra in above:
        raise RestorekitError(f"{extra} lies over itself: {' over '.join(map(str, (*above, extra)))}")
    values = dict(read(extra))
    for key in values:
        if key not in (*SECTIONS, *SETTINGS, "over"):
            raise RestorekitError(f"{extra}: {unknown_name('key', str(key), (*SECTIONS, *SETTINGS, 'over'))}")
        if key != "over" and not isinstance(values[key], dict):
            raise RestorekitError(f"{extra}: {key} is a mapping of names, found {values[key]!r}")
    below = values.pop("over", None)
    if below is not None and not isinstance(below, str):
        raise RestorekitError(f"{extra}: over is the path of another file, found {below!r}"[:400])
    return [*(_layers(root, root / below, read, (*above, extra)) if below else []), (extra, values)]


def _add(merged: dict[str, Any], layer: Mapping[str, Any], file: Path) -> None:
    for section, more in layer.items():
        known = merged.get(section) or {}
        twice = sorted(set(known) & set(more))
        if twice and section not in SETTINGS:
            raise RestorekitError(f"{file}: {', '.join(f'{section}.{name}' for name in twice)} stands in another file")
        merged[section] = {**known, **more}
