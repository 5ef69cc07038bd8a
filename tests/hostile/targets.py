"""Readers of what comes from outside the process, each as a function of bytes: the tests and `make fuzz` share them.

A reader may return or raise a RestorekitError. Whatever else it does with some bytes is a finding. The bytes are
signed anew where a digest would refuse every change, as someone would who means harm.
"""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from restorekit.config import check_params
from restorekit.config.document import read_document
from restorekit.detection.calibration import Calibration
from restorekit.detection.folder import load_detector, save_detector
from restorekit.detection.network import DetectorNetwork
from restorekit.errors import RestorekitError
from restorekit.files import canonical_json, digest_of, sha256_file
from restorekit.image import encode_grey, encode_rgb, read_image
from restorekit.image.arrays import decode_grey, decode_rgb
from restorekit.models import create_model
from restorekit.models.authors import read_authors
from restorekit.models.checkpoint import load_model, save_model
from restorekit.shards.manifest import ShardManifest, _digest_in, write_shard
from restorekit.shards.reader import ShardReader
from restorekit.tasks import DETECTED
from restorekit.training.state import StateStore
from tests.shipped import ROOT

SIDE = 8


@dataclass(frozen=True)
class Target:
    """A reader and bytes that it takes; `read` gets the bytes and an empty folder."""

    read: Callable[[bytes, Path], Any]
    sound: Callable[[], bytes]


def refused(target: Target, data: bytes, folder: Path) -> str | None:
    """The reader's refusal of `data`, or None where it read them; any other exception is raised."""
    try:
        target.read(data, folder)
    except RestorekitError as error:
        return str(error)
    return None


@cache
def image(encoding: Any = "png") -> bytes:
    return encode_rgb(np.arange(3 * SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE, 3), encoding)


def sample() -> dict[str, bytes]:
    record = b'{"task": "rain", "scene": "made", "photograph": "made"}'
    mask = encode_grey(np.zeros((SIDE, SIDE), np.uint8))
    return {"degraded.png": image(), "clean.png": image(), "mask.png": mask, "json": record}


def read_params(data: bytes, folder: Path) -> Any:
    (folder / "params.yaml").write_bytes(data)
    return check_params(read_document(folder / "params.yaml"))


def read_manifest(data: bytes, folder: Path) -> Any:
    """The bytes are a manifest; a digest in it is made to fit."""
    path = folder / "manifest.json"
    path.write_bytes(data)
    signed = f' "digest": "{_digest_in(path)}",'.encode()
    lines = [signed if line.startswith(b' "digest": ') else line for line in data.split(b"\n")]
    path.write_bytes(b"\n".join(lines))
    return ShardManifest.load(folder)


def write_manifest(folder: Path, names: tuple[str, ...] = ("a",)) -> bytes:
    shards = tuple(write_shard(folder / f"{name}.tar", [(name, sample())]) for name in names)
    ShardManifest("rain", "rain", "train", "made", shards).save(folder)
    return (folder / "manifest.json").read_bytes()


def read_shard(data: bytes, folder: Path) -> Any:
    """The bytes are an index, its length in front, and a tar; the manifest lists both as they are."""
    length = int.from_bytes(data[:2], "big")
    return list(read_tar(data[2 + length :], data[2 : 2 + length], folder))


def read_tar(tar: bytes, index: bytes, folder: Path, num_samples: int = 1) -> ShardReader:
    """A reader of a folder whose manifest lists a tar and an index of any bytes."""
    (folder / "a.tar").write_bytes(tar)
    (folder / "a.idx").write_bytes(index)
    digests = {"sha256": hashlib.sha256(tar).hexdigest(), "index_sha256": hashlib.sha256(index).hexdigest()}
    shard = {"name": "a.tar", "samples": num_samples, "bytes": len(tar), **digests}
    content = {"dataset": "rain", "task": "rain", "split": "train", "photos_digest": "made", "shards": [shard]}
    (folder / "manifest.json").write_text(canonical_json({"format": 2, "digest": digest_of(content), **content}))
    return ShardReader(folder)


@cache
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return create_model("dmgn", variant="rain", width=2, trunk="none")


@cache
def model_files() -> dict[str, bytes]:
    """The files of a model's folder."""
    with TemporaryDirectory() as folder:
        save_model(Path(folder), network(), {"run": "dmgn-rain", "task": "rain", "dataset": "rain"})
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def write_model(folder: Path) -> Path:
    for name, data in model_files().items():
        (folder / name).write_bytes(data)
    return folder


def read_weights(data: bytes, folder: Path) -> Any:
    write_model(folder)
    (folder / "weights.safetensors").write_bytes(data)
    record = json.loads((folder / "model.json").read_text())
    return read_record(json.dumps(record).encode(), folder)


def read_record(data: bytes, folder: Path) -> Any:
    """The bytes are a model's record; a digest in it is made to fit."""
    if not (folder / "weights.safetensors").exists():
        write_model(folder)
    try:
        record = json.loads(data)
        digest = {name: record[name] for name in ("model", "options")}
        data = json.dumps(
            {**record, "digest": digest_of({"weights": sha256_file(folder / "weights.safetensors"), **digest})}
        ).encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        pass  # not a record, and not to be signed
    (folder / "model.json").write_bytes(data)
    return load_model(folder)


@cache
def detector_files() -> dict[str, bytes]:
    """The files of a detector's folder."""
    torch.manual_seed(0)
    even = Calibration(dict.fromkeys(DETECTED, 1.0), dict.fromkeys(DETECTED, 0.5))
    with TemporaryDirectory() as folder:
        save_detector(Path(folder), DetectorNetwork(len(DETECTED), 2), even, {"steps": 1})
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def read_detector(data: bytes, folder: Path) -> Any:
    """The bytes are a detector's record; a digest in it is made to fit."""
    (folder / "weights.safetensors").write_bytes(detector_files()["weights.safetensors"])
    return _detector(data, folder)


def read_detector_weights(data: bytes, folder: Path) -> Any:
    (folder / "weights.safetensors").write_bytes(data)
    return _detector(detector_files()["detector.json"], folder)


def _detector(data: bytes, folder: Path) -> Any:
    try:
        record = json.loads(data)
        signed = {name: record[name] for name in ("labels", "width", "temperatures", "thresholds")}
        weights = sha256_file(folder / "weights.safetensors")
        data = json.dumps({**record, "digest": digest_of({"weights": weights, **signed})}).encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        pass  # not a record, and not to be signed
    (folder / "detector.json").write_bytes(data)
    return load_detector(folder)


STATE = {
    "format": 4, "step": 3, "cursor": {"epoch": 0, "ranges": [[0, 8]], "batch_size": 4, "step": 1},
    "progress": {}, "precision": "fp32",
}  # fmt: skip


def read_state(data: bytes, folder: Path) -> Any:
    """The bytes are a state's record, beside one tensor."""
    return _state(data, save({"model.a": torch.zeros(2)}), folder)


def read_state_tensors(data: bytes, folder: Path) -> Any:
    record = {**STATE, "sha256": hashlib.sha256(data).hexdigest()}
    return _state(json.dumps(record).encode(), data, folder)


def _state(record: bytes, tensors: bytes, folder: Path) -> Any:
    state = folder / "step-00000003"
    state.mkdir()
    (state / "tensors.safetensors").write_bytes(tensors)
    (state / "state.json").write_bytes(record)
    return StateStore(folder).load_latest()


def sound_state() -> bytes:
    return json.dumps({**STATE, "sha256": hashlib.sha256(save({"model.a": torch.zeros(2)})).hexdigest()}).encode()


def read_released(data: bytes, folder: Path) -> Any:
    (folder / "released.pth").write_bytes(data)
    return read_authors(folder / "released.pth")


@cache
def released() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a.weight": torch.zeros(3)}, buffer)
    return buffer.getvalue()


def read_pixels(data: bytes, folder: Path) -> Any:
    return decode_rgb(data), decode_grey(data)


def read_photo(data: bytes, folder: Path) -> Any:
    (folder / "photo.png").write_bytes(data)
    return read_image(folder / "photo.png")


@cache
def sound_shard() -> bytes:
    with TemporaryDirectory() as folder:
        write_shard(Path(folder) / "a.tar", [("a", sample())])
        index = (Path(folder) / "a.idx").read_bytes()
        return len(index).to_bytes(2, "big") + index + (Path(folder) / "a.tar").read_bytes()


@cache
def sound_manifest() -> bytes:
    with TemporaryDirectory() as folder:
        return write_manifest(Path(folder))


TARGETS = {
    "params": Target(read_params, lambda: (ROOT / "params.yaml").read_bytes()),
    "manifest": Target(read_manifest, sound_manifest),
    "shard": Target(read_shard, sound_shard),
    "weights": Target(read_weights, lambda: model_files()["weights.safetensors"]),
    "record": Target(read_record, lambda: model_files()["model.json"]),
    "detector": Target(read_detector, lambda: detector_files()["detector.json"]),
    "detector_weights": Target(read_detector_weights, lambda: detector_files()["weights.safetensors"]),
    "state": Target(read_state, sound_state),
    "state_tensors": Target(read_state_tensors, lambda: save({"model.a": torch.zeros(2)})),
    "released": Target(read_released, released),
    "pixels": Target(read_pixels, image),
    "photo": Target(read_photo, image),
}
