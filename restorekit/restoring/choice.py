"""Finds the network for a photo: by its name, from its folder, or by the task."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restorekit.errors import RestorekitError
from restorekit.paths import working_root
from restorekit.tasks import REAL_TASKS, get_task

if TYPE_CHECKING:
    from torch import nn

    from restorekit.tracking.versions import RegisteredVersion


@dataclass(frozen=True)
class Chosen:
    """A loaded network with its record."""

    name: str  # as messages call it: a registered name with its version, or a folder
    network: "nn.Module"
    record: dict[str, Any]

    @property
    def task(self) -> str:
        return str(self.record["task"])


def load_chosen(model: str | None, task: str | None, alias: str = "champion") -> Chosen:
    """The network that a user asked for by `model` or by `task`, one of the two; a RestorekitError says how to ask."""
    if model is not None and task is not None:
        raise RestorekitError(f"--model {model} and --task {task} both choose a model: give one of them")
    if model is not None:
        from restorekit.tracking.named import load_named

        return Chosen(model, *load_named(model, working_root().root, alias, beside=Path()))
    if task is not None:
        return choose_model(task)
    raise RestorekitError(
        f"--task or --model is required: nothing here finds out by itself what is wrong with a photo. "
        f"Tasks are {', '.join(REAL_TASKS)}; {models_in_words()}"
    )


def choose_model(task: str) -> Chosen:
    """The model for a task: the shipped one, or else the champion with the largest gain in its tests.

    Shipped models have trained for longer than a champion of `make repro`; `--model` names a better one of the user's.

    Raises a RestorekitError with the models that there are, where the task is unknown or has none.
    """
    from restorekit.weights import PREFIX, load_shipped, shipped_names

    get_task(task)
    if task in shipped_names():
        return Chosen(f"{PREFIX}{task}", *load_shipped(task))
    champions = champions_by_task(_registered()).get(task, [])
    if champions:
        from restorekit.tracking.registry import load_version

        best = best_of(champions)
        return Chosen(f"{best.name} version {best.version}", *load_version(best, working_root().root))
    raise RestorekitError(f"there is no model for {task} yet: {models_in_words()}")


def models_in_words() -> str:
    """The models that `--task` can take, for the end of a message."""
    from restorekit.weights import PREFIX, shipped_names

    found = {task: [one.name for one in ones] for task, ones in champions_by_task(_registered()).items()}
    for task in shipped_names():
        found.setdefault(task, []).append(f"{PREFIX}{task}")
    if not found:
        return "no model is here yet: `dvc repro` makes some, and --model takes a model's folder"
    words = "; ".join(f"{task}: {', '.join(names)}" for task, names in sorted(found.items()))
    return f"there are models for {words} (`restorekit models` lists all, --model takes any of them)"


def champions_by_task(versions: Iterable["RegisteredVersion"]) -> dict[str, list["RegisteredVersion"]]:
    """The champions among `versions` whose files are there, by the task that they were trained on."""
    found: dict[str, list[RegisteredVersion]] = {}
    for version in versions:
        if "champion" in version.aliases and version.has_files:
            found.setdefault(version.tags.get("task", "unknown"), []).append(version)
    return found


def best_of(champions: Iterable["RegisteredVersion"]) -> "RegisteredVersion":
    """The version with the largest gain over its test sets, then the newest."""
    return max(champions, key=lambda one: (_gain(one), one.created_ms))


def _registered() -> list["RegisteredVersion"]:
    from restorekit.tracking.versions import list_registered

    return list_registered()


def _gain(version: "RegisteredVersion") -> float:
    """The mean gain in dB over a version's test sets, from its tags (`31.2, gain +4.1`); below all without any."""
    gains = []
    for key, value in version.tags.items():
        if key.endswith(".psnr_rgb"):
            with suppress(ValueError):  # a tag that somebody else wrote
                gains.append(float(value.rpartition("gain ")[2]))
    return sum(gains) / len(gains) if gains else float("-inf")
