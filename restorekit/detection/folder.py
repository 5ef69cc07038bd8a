"""A detector's folder: weights.safetensors and detector.json, joined by a digest that loading checks; no pickle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from restorekit.detection.calibration import Calibration
from restorekit.detection.network import DetectorNetwork
from restorekit.errors import RestorekitError
from restorekit.files import digest_of, read_json, sha256_file, write_atomically, write_json
from restorekit.models.checkpoint import WEIGHTS, fill
from restorekit.tasks import DETECTED

FORMAT = 1
RECORD = "detector.json"  # not that of a model: no photo is restored with it
REMEDY = "train it again (`make detector`) or restore the folder"
_SIGNED = ("labels", "width", "temperatures", "thresholds")  # what the digest covers besides the weights
_MAX_WIDTH = 64


def save_detector(
    folder: Path, network: DetectorNetwork, calibration: Calibration, record: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes the detector into `folder`, the record last, and returns the full record.

    `record` is JSON: the seed, steps, digests of the data and so on. The weights keep their precision.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise RestorekitError(f"'{name}' is not finite, so {folder} was not written: lower detector.lr")
    full = {
        **record, "format": FORMAT, "labels": list(DETECTED), "width": _width_of(network), "digest": "",
        "temperatures": dict(calibration.temperatures), "thresholds": dict(calibration.thresholds),
    }  # fmt: skip
    with write_atomically(folder / WEIGHTS) as file:
        save_file(tensors, file)
        full["digest"] = _digest(file, full)
    write_json(folder / RECORD, full)
    return full


def load_detector(folder: Path) -> tuple[DetectorNetwork, Calibration, dict[str, Any]]:
    """The network in eval mode and in 32 bits, its calibration and its record.

    Raises RestorekitError if a file is missing or damaged, if the digest does not match, or if the labels are not
    those of this version.
    """
    record = read_json(folder / RECORD, "detector", REMEDY)
    calibration = _checked(record, folder / RECORD)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise RestorekitError(f"no weights at {weights}: {REMEDY}")
    try:
        if _digest(weights, record) != record["digest"]:
            raise RestorekitError(f"{weights} is not what {folder / RECORD} describes (the digest differs): {REMEDY}")
        tensors = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise RestorekitError(f"the weights {weights} cannot be read ({error}): {REMEDY}") from error
    with torch.device("meta"):  # draws no random numbers and allocates the weights only once
        network = DetectorNetwork(len(DETECTED), record["width"])
    fill(network, tensors, str(weights))
    return network.eval(), calibration, record


def _checked(record: Any, file: Path) -> Calibration:
    if not isinstance(record, dict) or record.get("format") != FORMAT or not isinstance(record.get("digest"), str):
        raise RestorekitError(f"{file} is no record of a detector of format {FORMAT}: {REMEDY}")
    if record.get("labels") != list(DETECTED):
        raise RestorekitError(f"{file} has other labels than this version, {', '.join(DETECTED)}: {REMEDY}")
    width = record.get("width")
    if type(width) is not int or not 2 <= width <= _MAX_WIDTH:
        raise RestorekitError(f"{file} has no 'width' from 2 to {_MAX_WIDTH}: {REMEDY}")
    read = {name: _numbers(record.get(name), file, name) for name in ("temperatures", "thresholds")}
    if not all(value > 0 for value in read["temperatures"].values()):
        raise RestorekitError(f"{file} has temperatures that are not above 0: {REMEDY}")
    if not all(0 <= value <= 1 for value in read["thresholds"].values()):
        raise RestorekitError(f"{file} has thresholds that are no probabilities: {REMEDY}")
    return Calibration(**read)


def _numbers(values: Any, file: Path, name: str) -> dict[str, float]:
    """A finite number for each label."""
    if not isinstance(values, dict) or set(values) != set(DETECTED):
        raise RestorekitError(f"{file} has no '{name}' for each of {', '.join(DETECTED)}: {REMEDY}")
    for value in values.values():
        if type(value) not in (int, float) or not abs(value) <= 1e6:  # NaN, too
            raise RestorekitError(f"{file} has '{name}' that are no numbers: {REMEDY}")
    return {label: float(values[label]) for label in DETECTED}


def _width_of(network: DetectorNetwork) -> int:
    return cast(nn.Conv2d, network.stages[0].reduce).out_channels


def _digest(weights: Path, record: Mapping[str, Any]) -> str:
    """The digest of the weights' bytes and of what decides how they are read."""
    return digest_of({"weights": sha256_file(weights), **{name: record[name] for name in _SIGNED}})
