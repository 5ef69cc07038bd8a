"""Mixed precision only where the device has it in hardware; what `auto` came to is told, and is what is learnt with."""

from pathlib import Path

import pytest
import torch

from restorekit.cluster import ray_cluster
from restorekit.training.learner import Learner, World
from restorekit.training.precision import computed_in, precision_warning
from restorekit.training.progress import EVENTS
from restorekit.training.ray_worker import fit
from tests.training.conftest import MakeJob

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("processor", "wanted"),
    [
        ({"avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"neon": True}, torch.float32),
        ({"neon": True, "bf16": True}, torch.bfloat16),
    ],
    ids=["avx2", "avx512", "avx512_bf16", "neon", "neon bf16"],
)
def test_auto_is_bfloat16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, processor: dict[str, bool], wanted: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    assert computed_in("auto", CPU) is wanted
    assert (precision_warning("bf16", CPU) is None) is (wanted is torch.bfloat16)
    assert precision_warning("auto", CPU) is None
    assert precision_warning("fp32", CPU) is None


def test_what_is_named_is_taken() -> None:
    assert computed_in("fp32", CPU) is torch.float32
    assert computed_in("bf16", CPU) is torch.bfloat16


def test_auto_learns_what_the_type_it_came_to_learns(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def learnt(precision: str) -> torch.Tensor:
        learner = Learner(make_job(precision=precision), World(0, 1, CPU))
        torch.manual_seed(0)
        learner.update({name: torch.rand(2, 3, 24, 24) for name in ("degraded", "clean", "layer")}, 1.0, 0.01)
        return torch.cat([values.flatten() for values in learner.learnt().values()])

    plain, mixed = learnt("fp32"), learnt("bf16")
    assert not torch.equal(plain, mixed)
    for has_it, wanted in ((False, plain), (True, mixed)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has_it=has_it: {"avx512_bf16": has_it})
        assert torch.equal(learnt("auto"), wanted)


def test_a_training_says_what_auto_came_to(make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    job = make_job(precision="auto", steps=2)
    with ray_cluster(1):
        fit(job)
    wanted = str(computed_in("auto", CPU)).removeprefix("torch.")
    assert f"with 2 steps to go, in {wanted}" in (job.state / EVENTS).read_text()
