"""The models that come with restorekit: a folder for each, with weights of 16 bits, its record and its card.

A folder here is a model's folder like any other (`restorekit.models.checkpoint`). Its name is the model's name, most
often the task's. The folder `detector` is another kind (`restorekit.detection.folder`): it restores no photo.
"""

from pathlib import Path
from typing import Any

from torch import nn

from restorekit.errors import RestorekitError, unknown_name
from restorekit.models.checkpoint import RECORD, load_model, read_record

PREFIX = "shipped:"
FOLDER = Path(__file__).resolve().parent
DETECTOR = "detector"


def shipped_names() -> tuple[str, ...]:
    """The names of the models that this installation carries, without the prefix, sorted."""
    return tuple(sorted(record.parent.name for record in FOLDER.glob(f"*/{RECORD}")))


def shipped_folder(name: str) -> Path:
    """The folder of the model `name`; RestorekitError with the closest names for an unknown one."""
    known = shipped_names()
    if not known:
        raise RestorekitError(f"this installation carries no models, so there is no '{PREFIX}{name}': train one")
    if name not in known:
        raise unknown_name("shipped model", name, known)
    return FOLDER / name


def load_shipped(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """The model `name`, in eval mode and in 32 bits, and its record; its digest is verified."""
    return load_model(shipped_folder(name))


def shipped_records() -> dict[str, dict[str, Any]]:
    """The record of each shipped model, by name."""
    return {name: read_record(FOLDER / name) for name in shipped_names()}


def detector_folder() -> Path | None:
    """The folder of the detector that this installation carries, or None."""
    folder = FOLDER / DETECTOR
    return folder if folder.is_dir() else None
