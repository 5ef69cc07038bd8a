"""The command `export`, and the options of `restore` about the device and the precision."""

from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.image import read_image, to_float
from tests.cli.conftest import TypeIn, photo


def test_a_model_is_exported_and_restores_a_photo_as_the_command_does(
    type_in: TypeIn, tmp_path: Path, model: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
    ended = type_in("export", model, "--onnx", "rain.onnx")
    assert ended.returncode == 0, ended.stderr
    assert "within" in ended.stdout
    given = photo(tmp_path / "photo.png")
    assert type_in("restore", given, "--model", model).returncode == 0
    pixels = to_float(read_image(given).pixels).transpose(2, 0, 1)[None]
    session = onnxruntime.InferenceSession(str(tmp_path / "rain.onnx"), providers=["CPUExecutionProvider"])
    restored = session.run(None, {"image": pixels})[0][0].transpose(1, 2, 0)
    wanted = read_image(tmp_path / "photo.restored.png").pixels
    assert np.abs(255 * restored - wanted).max() <= 0.51


def test_a_missing_model_leaves_no_file(type_in: TypeIn, tmp_path: Path) -> None:
    ended = type_in("export", "./nowhere", "--onnx", "rain.onnx")
    assert ended.returncode == 1
    assert "no model's folder" in ended.stderr
    assert not (tmp_path / "rain.onnx").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_a_photo_is_restored_in_another_precision_but_not_on_a_missing_device(
    type_in: TypeIn, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = photo(tmp_path / "photo.png")
    assert type_in("restore", given, "--model", model, "--output", "exact.png").returncode == 0
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    ended = type_in("restore", given, "--model", model, "--output", "half.png", "--precision", "bf16")
    assert ended.returncode == 0
    assert "note: this processor only imitates bf16" in ended.stderr
    exact, half = (read_image(tmp_path / name).pixels.astype(int) for name in ("exact.png", "half.png"))
    assert np.abs(half - exact).max() <= 3
    for device, message in (("cuda:1", "no GPU here for device 'cuda:1'"), ("gpu", "take cpu, cuda, or cuda:1")):
        ended = type_in("restore", given, "--model", model, "--output", "no.png", "--device", device)
        assert ended.returncode == 1
        assert message in ended.stderr
    assert not (tmp_path / "no.png").exists()
