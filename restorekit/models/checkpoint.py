"""Saves and loads model folders: weights.safetensors and model.json, joined by a digest that loading checks.

Nothing is pickled. Each file is written atomically, model.json last, so loading refuses an interrupted save.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from restorekit.errors import RestorekitError
from restorekit.files import digest_of, read_json, sha256_file, write_atomically, write_json
from restorekit.models import create_model, former_options, renamed_options
from restorekit.models.descriptor import Descriptor
from restorekit.tasks import MODELS

FORMAT = 1
WEIGHTS = "weights.safetensors"
RECORD = "model.json"
REMEDY = "train the run again or restore the folder"


def save_model(folder: Path, model: nn.Module, record: Mapping[str, Any]) -> dict[str, Any]:
    """Writes `model` (built by `create_model`) into `folder`, keeps other files there, and returns the full record.

    `record` is JSON: the run, seed, steps, digests of the data and so on. This function sets "format", "model",
    "options" and "digest" from the model. A record that is not JSON raises ValueError or TypeError.
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    for key, value in tensors.items():
        if not torch.isfinite(value).all():
            raise RestorekitError(f"'{key}' is not finite, so {folder} was not written: lower train.lr")
    name = cast(Descriptor, model.descriptor).name
    full = {**record, "format": FORMAT, "model": name, "options": _options(model), "digest": ""}
    digest_of(full)  # a record that is not JSON fails before a file is written
    with write_atomically(folder / WEIGHTS) as file:
        save_file(tensors, file)
        full["digest"] = _digest(file, full)
    write_json(folder / RECORD, full)
    return full


def load_model(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The model in `folder`, on the CPU and in eval mode, and its record.

    Raises RestorekitError if a file is missing, damaged or of another model, or if the digest does not match.
    """
    record = read_record(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise RestorekitError(f"no weights at {weights}: {REMEDY}")
    try:
        if _digest(weights, record) != record["digest"]:
            raise RestorekitError(f"{weights} is not what {folder / RECORD} describes (the digest differs): {REMEDY}")
        tensors = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise RestorekitError(f"the weights {weights} cannot be read ({error}): {REMEDY}") from error
    try:
        with torch.device("meta"):  # draws no random numbers and allocates the weights only once
            model = create_model(record["model"], **_still_known(record, folder))
    except (RestorekitError, RuntimeError, TypeError, ValueError) as error:  # torch's own, of sizes beyond its numbers
        reason = str(error).partition("\n")[0]
        raise RestorekitError(f"the model in {folder} cannot be built by this version: {reason}") from error
    fill(model, tensors, str(weights))
    return model.eval(), record


def read_record(folder: Path) -> dict[str, Any]:
    """The record of the model in `folder`; the format is checked, the weights are not read."""
    record = read_json(folder / RECORD, "model", REMEDY)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RestorekitError(f"{folder / RECORD} is no record of format {FORMAT}: {REMEDY}")
    for key, kind in (("model", str), ("options", dict), ("digest", str)):
        if not isinstance(record.get(key), kind):
            raise RestorekitError(f"{folder / RECORD} has no '{key}': {REMEDY}")
    return record


def fill(model: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Loads `tensors` into `model`, in the model's precision. Errors name `source`.

    Every key and shape must match, and every value must be finite.
    """
    own = model.state_dict()
    misfits = [*(key for key in own if key not in tensors), *(key for key in tensors if key not in own)]
    if misfits:
        problem = f"{'lacks' if misfits[0] in own else 'has an unknown key,'} '{misfits[0]}'"
        raise RestorekitError(f"{source} {problem} ({len(misfits)} keys do not fit): it belongs to another model")
    for key, value in own.items():
        if tensors[key].shape != value.shape:
            found, expected = list(tensors[key].shape), list(value.shape)
            raise RestorekitError(f"'{key}' in {source} is {found}, not {expected}: it belongs to another model")
        if not _same_kind(tensors[key], value):
            kinds = str(tensors[key].dtype).removeprefix("torch."), str(value.dtype).removeprefix("torch.")
            raise RestorekitError(f"'{key}' in {source} is {kinds[0]}, not {kinds[1]}: it belongs to another model")
        if not torch.isfinite(tensors[key]).all():
            raise RestorekitError(
                f"'{key}' in {source} has values that are not finite: take another state of the model"
            )
    model.load_state_dict({key: tensors[key].to(value.dtype) for key, value in own.items()}, assign=True)


def _same_kind(found: Tensor, own: Tensor) -> bool:
    """Whether the numbers are of the network's kind: fractions, or whole numbers, however they are stored."""
    if own.is_floating_point():
        return found.is_floating_point()
    return not found.is_complex() and torch.equal(found.to(own.dtype).to(found.dtype), found)


def _options(model: nn.Module) -> dict[str, Any]:
    return cast(BaseModel, model.options).model_dump(mode="json")


def _still_known(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The record's options without removed options, which must have the value that the network still supports."""
    if record["model"] not in MODELS:
        return {}  # create_model then raises the error that lists known models
    options = renamed_options(record["model"], record["options"])
    former = former_options(record["model"], options)
    for option, value in options.items():
        if option in former and value != former[option]:
            raise RestorekitError(
                f"the model in {folder} was made with {option}: {value!r}, and {record['model']} now has "
                f"{former[option]!r} alone: take the version of restorekit that trained it, or train it again"
            )
    return {option: value for option, value in options.items() if option not in former}


def _digest(weights: Path, record: Mapping[str, Any]) -> str:
    """The digest of a model's weight bytes, name and options."""
    return digest_of({"weights": sha256_file(weights), "model": record["model"], "options": record["options"]})
