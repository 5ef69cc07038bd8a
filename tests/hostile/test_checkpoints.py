"""Checkpoints that someone made to harm: code in them never runs, and no value that is not finite comes in."""

import io
import json
import math
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save, save_file

from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.models.authors import read_authors
from restorekit.models.checkpoint import load_model, save_model
from restorekit.training.export import export_model
from restorekit.training.state import StateStore
from tests.hostile.targets import (
    model_files,
    read_record,
    read_state,
    read_state_tensors,
    read_weights,
    sound_state,
    write_model,
)
from tests.training.conftest import MakeJob, run


class Code:
    """Unpickled, it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def pickled(value: Any, legacy: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "legacy", "plain"])
def test_code_in_a_file_of_weights_does_not_run_and_nobody_is_advised_to_run_it(tmp_path: Path, kind: str) -> None:
    trap = tmp_path / "trap"
    value = {"a": torch.zeros(2), "b": Code(trap)}
    data = pickle.dumps(value) if kind == "plain" else pickled(value, kind == "legacy")
    (tmp_path / "released.pth").write_bytes(data)
    with pytest.raises(RestorekitError, match=r"cannot be read") as caught:
        read_authors(tmp_path / "released.pth")
    assert "weights_only" not in str(caught.value)
    assert not trap.exists()


@pytest.mark.parametrize("file", ["weights.safetensors", "model.json"])
def test_a_pickle_in_a_models_folder_is_refused(tmp_path: Path, file: str) -> None:
    trap = tmp_path / "trap"
    data = pickled({"a": Code(trap)}, legacy=False)
    with pytest.raises(RestorekitError, match=r"cannot be read"):
        (read_weights if file.startswith("weights") else read_record)(data, tmp_path)
    assert not trap.exists()


def header(length: int) -> bytes:
    return length.to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'.ljust(64) + bytes(8)


def stating(shape: list[int], end: int = 8) -> bytes:
    text = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(8)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 7, header(2**63), header(10**9), header(65), stating([10**9, 10**9]), stating([2**40], 2**42)],
    ids=["empty", "short", "2**63", "10**9", "a byte too long", "overflow", "4 TiB"],
)
def test_a_header_that_promises_too_much_takes_no_memory(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(RestorekitError, match=r"weights\.safetensors cannot be read"):
        read_weights(data, tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float) -> None:
    tensors = load(model_files()["weights.safetensors"])
    name = sorted(tensors)[3]
    tensors[name].view(-1)[0] = value
    with pytest.raises(RestorekitError, match=rf"'{name}' in .* has values that are not finite"):
        read_weights(save(tensors), tmp_path)


@pytest.mark.parametrize("kind", [torch.int64, torch.bool])
def test_weights_of_another_kind_of_number_are_refused(tmp_path: Path, kind: torch.dtype) -> None:
    tensors = load(model_files()["weights.safetensors"])
    name = sorted(tensors)[3]
    tensors[name] = tensors[name].to(kind)
    with pytest.raises(RestorekitError, match=rf"'{name}' in .* is (int64|bool), not float32"):
        read_weights(save(tensors), tmp_path)


@pytest.mark.parametrize("width", [10**9, 2**62, 10**30, -1, 0, "4", None, 4.5, True])
def test_a_record_with_an_impossible_width_is_refused(tmp_path: Path, width: Any) -> None:
    record = json.loads(model_files()["model.json"])
    record["options"]["width"] = width
    with pytest.raises(RestorekitError, match=r"cannot be built by this version|belongs to another model"):
        read_record(json.dumps(record).encode(), tmp_path)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"format": NaN}', b"[1]", b"null", b"\xff"])
def test_a_record_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(RestorekitError, match=r"cannot be read|no record of format"):
        read_record(text, tmp_path)


def test_weights_that_cannot_be_read_are_an_error_in_a_sentence(tmp_path: Path) -> None:
    """A link to a file that the process may not read; /proc/self/mem is one for root, too."""
    write_model(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    (tmp_path / "weights.safetensors").symlink_to("/proc/self/mem")
    with pytest.raises(RestorekitError, match=r"the weights .* cannot be read"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1}, {"step": "x"}, {"cursor": None}, {"cursor": {}}, {"progress": {"phase": 0, "x": 1}},
        {"cursor": {"epoch": 0, "ranges": [[0]], "batch_size": 4}}, {"sha256": "0"}, {"format": 3},
        {"cursor": {"epoch": 0, "ranges": [[0, 8]], "batch_size": 0}},
    ],
)  # fmt: skip
def test_a_state_with_an_impossible_record_is_skipped(
    tmp_path: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RestorekitError, match=r"no training state in .* can be read: remove the folder"):
        read_state(json.dumps({**json.loads(sound_state()), **change}).encode(), tmp_path)
    assert "skipped the training state" in capsys.readouterr().err


def test_a_state_with_an_infinite_average_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RestorekitError, match="no training state"):
        read_state_tensors(save({"model.a": torch.zeros(2), "ema.a": torch.tensor([0.0, math.inf])}), tmp_path)
    assert "'ema.a' is not finite" in capsys.readouterr().err


def test_a_state_of_another_network_is_refused(make_job: MakeJob) -> None:
    """Its digests are right: someone put it there, or two trainings' folders were mixed up."""
    narrow, wide = make_job("narrow", steps=3, validate_every=3), make_job("wide", steps=3, width=4)
    run(narrow)
    wide.state.parent.mkdir(exist_ok=True)
    narrow.state.rename(wide.state)
    with pytest.raises(RestorekitError, match=r"the state of step 3 in .* does not fit this training"):
        run(wide)


@pytest.mark.parametrize("steps", [1, 6])
def test_an_infinite_weight_ends_the_training_and_spoils_neither_average_nor_state(
    make_job: MakeJob, steps: int
) -> None:
    """The last gradient is finite, and its update is not, since a rate of 10^39 is beyond float32."""
    rates = {"lr": 1e39} if steps == 1 else {"schedule": "milestones", "milestones": [[5 / 6, 1e41]]}
    job = make_job(steps=steps, checkpoint_every=3, validate_every=6, log_every=6, **rates)
    with pytest.raises(RestorekitError, match=rf"step {steps - 1}: the weights are not finite.*lower train\.lr"):
        run(job)
    store, kept = StateStore(job.state), 3 if steps == 6 else 0
    state = store.load_latest()
    assert store.load_best() is None
    assert (0 if state is None else state.step) == kept
    assert state is None or all(tensor.isfinite().all() for tensor in state.tensors.values())
    with pytest.raises(RestorekitError, match=f"at step {kept} of {steps}"):
        export_model(job, store, job.state / "model", {})


def test_a_network_that_is_not_finite_is_not_saved(tmp_path: Path) -> None:
    model = create_model("dmgn", variant="rain", width=2, trunk="none")
    next(model.parameters()).data.fill_(math.nan)
    with pytest.raises(RestorekitError, match=r"is not finite, so .* was not written"):
        save_model(tmp_path / "model", model, {})
    assert not (tmp_path / "model").exists()


def test_a_checkpoint_with_strange_names_stays_in_memory(tmp_path: Path) -> None:
    save_file({"../../x": torch.zeros(1), "/etc/x": torch.zeros(1)}, tmp_path / "released.safetensors")
    assert set(read_authors(tmp_path / "released.safetensors")) == {"../../x", "/etc/x"}
    assert [path.name for path in tmp_path.iterdir()] == ["released.safetensors"]
