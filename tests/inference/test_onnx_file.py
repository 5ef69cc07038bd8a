"""Every network goes into an ONNX file that restores images of any size as torch does, or no file is written."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restorekit.errors import RestorekitError
from restorekit.inference.onnx_file import TOLERANCE, inputs_of, write_onnx
from restorekit.models import create_model
from restorekit.models.descriptor import Descriptor
from restorekit.models.madf import filling
from restorekit.tasks import MODELS
from tests.models.conftest import enliven

onnx = pytest.importorskip("onnx", reason="pip install '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")

NETWORKS = {
    "dmgn": {"variant": "rain", "width": 2, "trunk": "none", "use_ndm": True},
    "glsgn": {"width": 2},
    "glsgn, overlapping": {"width": 2, "overlap": 8, "patch_norm": "none", "negative_slope": 0.2},
    "dakd": {"width": 2},
    "madf": {"width": 4, "refinements": 1, "start": "smooth"},
}


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = create_model(name.partition(",")[0], **NETWORKS[name])
    if name == "dmgn":
        enliven(model)  # narrow and as made, its residual is the same everywhere; GLSGN's would be thousands
    if name == "madf":
        for last in (model.last_recovery, *model.last_refinement):  # begin at 0
            nn.init.normal_(last.mix.weight, std=0.02)
    return model.eval()


def test_all_networks_are_here() -> None:
    assert {name.partition(",")[0] for name in NETWORKS} == set(MODELS)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_restores_sizes_that_the_exporter_has_not_seen(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "RELAXATIONS", 8)  # a level of the pyramid is as many operations in the file
    model, file = network(name), tmp_path / "below" / "model.onnx"
    written = write_onnx(model, {"model": name, "digest": "abc", "task": None}, file)
    assert len(written.sizes) == 3
    assert written.difference <= TOLERANCE
    properties = {one.key: one.value for one in onnx.load(file).metadata_props}
    assert (properties["model"], properties["digest"]) == (name, "abc")
    assert "task" not in properties
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    assert names == (["image", "mask"] if name == "madf" else ["image"])
    for size in ((64, 64), (64, 301)):
        inputs = inputs_of(model, size)
        found = session.run(["restored"], dict(zip(names, (one.numpy() for one in inputs), strict=True)))[0]
        wanted = model.restore(*inputs).numpy()
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() <= TOLERANCE
        assert np.abs(wanted - inputs[0].numpy()).max() > 10 * TOLERANCE  # the network does something
    assert sorted(path.name for path in file.parent.iterdir()) == ["model.onnx"]


class Halves(nn.Module):
    """Divides low images by two and high ones by three, which a trace cannot follow."""

    descriptor = Descriptor("halves", ("rain",), False, 1, 1, "exact", 0, 100)

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        return image / 2 if int(image.shape[2]) < 120 else image / 3


def test_a_file_that_restores_another_size_otherwise_does_not_replace_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"old")
    with pytest.raises(RestorekitError, match=r"not written: at 77 x 131 pixels onnxruntime's result is up to 0\.\d+"):
        write_onnx(Halves(), {}, file)
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


class Unfolds(Halves):
    """Unfolds a free size, which the exporter refuses."""

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        return image.unfold(3, 3, 1)[..., 1]


def test_a_network_that_the_exporter_refuses_is_an_error_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match="not written: torch's exporter does not take this network"):
        write_onnx(Unfolds(), {}, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_another_suffix_and_a_missing_library_are_errors_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RestorekitError, match=r"ends in \.onnx"):
        write_onnx(Halves(), {}, tmp_path / "model.pt")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RestorekitError, match=r"needs onnxruntime, which is not installed: pip install"):
        write_onnx(Halves(), {}, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
