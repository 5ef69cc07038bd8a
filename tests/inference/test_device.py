"""A device by number and a precision are checked first; every network restores in 16 bits about what it does in 32."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restorekit.errors import RestorekitError
from restorekit.inference import Restorer
from restorekit.inference.device import computing, find_device, imitation_note
from restorekit.models import create_model
from restorekit.models.descriptor import Descriptor
from restorekit.rng import rng_for

NETWORKS = {
    "dmgn": {"variant": "rain", "width": 4, "trunk": "none", "use_ndm": True},
    "glsgn": {"width": 4},
    "dakd": {"width": 4},
    "madf": {"width": 4, "start": "smooth"},
}
# The error in bf16, root mean square, as a share of what the network changes: twice what was measured. GLSGN's fusion
# masks, which are not bounded, carry it on. Float16 has three bits more, so that a quarter has to do.
MOST = {"dmgn": 0.004, "glsgn": 0.06, "dakd": 0.004, "madf": 0.0002}


def network(name: str) -> nn.Module:
    """A network whose weights change an image by some hundredths."""
    torch.manual_seed(0)
    model = create_model(name, **NETWORKS[name])
    if name == "madf":
        for last in (model.last_recovery, *model.last_refinement):  # begin at 0
            nn.init.normal_(last.mix.weight, std=0.02)
    return model


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_sixteen_bits_give_what_float32_gives(name: str, precision: str) -> None:
    given = rng_for(0, "photo").random((64, 64, 3)).astype(np.float32)
    mask = (rng_for(1, "holes").random((64, 64)) < 0.2).astype(np.float32) if name == "madf" else None
    exact = Restorer(network(name)).restore(given, mask)
    found = Restorer(network(name), precision=precision).restore(given, mask)
    assert found.dtype == np.float32
    changed, error = (np.sqrt(np.mean(np.square(one, dtype=np.float64))) for one in (exact - given, found - exact))
    assert 0 < error < MOST[name] * changed / (4 if precision == "fp16" else 1)


def test_auto_is_the_devices_best_and_float32_the_default() -> None:
    layer, image = nn.Conv2d(3, 3, 3), torch.rand(1, 3, 8, 8)
    cpu = torch.device("cpu")
    with computing("auto", cpu):
        assert layer(image).dtype is (torch.float32 if imitation_note("bf16", cpu) else torch.bfloat16)
    with computing("fp16", cpu):
        assert layer(image).dtype is torch.float16
    with torch.autocast("cpu", dtype=torch.bfloat16), computing("fp32", cpu):
        assert layer(image).dtype is torch.float32


def test_a_processor_that_only_imitates_a_precision_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    for precision in ("bf16", "fp16"):
        assert "this processor only imitates" in str(imitation_note(precision, cpu))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_fp16": True, "amx_bf16": True})
    assert not any(imitation_note(precision, cpu) for precision in ("auto", "fp32", "bf16", "fp16"))


class Overflows(nn.Module):
    """Leaves the range of float16 on the way."""

    descriptor = Descriptor("overflows", ("rain",), False, 1, 1, "exact", 0, 100)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        nn.init.constant_(self.layer.weight, 1e5)

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.layer(image) * 1e-6


def test_float16_that_overflows_is_an_error_that_names_float32() -> None:
    given = np.full((8, 8, 3), 0.9, np.float32)
    with pytest.raises(RestorekitError, match="not finite: take fp32 instead of fp16"):
        Restorer(Overflows(), precision="fp16").restore(given)
    assert np.isfinite(Restorer(Overflows(), precision="bf16").restore(given)).all()


@pytest.mark.parametrize("name", ["cuda:x", "cuda:-1", "gpu", "cpu:0", "", "cuda:1 "])
def test_an_unknown_device_is_an_error_that_lists_the_known(name: str) -> None:
    with pytest.raises(RestorekitError, match="take cpu, cuda, or cuda:1"):
        find_device(name)


def test_a_gpu_by_number_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(RestorekitError, match="no device 'cuda:2': the GPUs here are cuda:0 to cuda:1"):
        find_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RestorekitError, match="no device 'cuda:1': the only GPU here is cuda:0"):
        find_device("cuda:1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_missing_gpu_is_an_error(name: str) -> None:
    with pytest.raises(RestorekitError, match=f"no GPU here for device '{name}': take cpu"):
        find_device(name)
