"""Precision: `auto` mixes only where the hardware has bfloat16; a training reports the precision and computes in it."""

import json
from pathlib import Path

import pytest
import torch

from restorekit.config import Precision
from restorekit.distributed.progress_bar import EVENTS
from restorekit.distributed.worker import fit_here
from restorekit.models.precision import resolved
from restorekit.training.export import export_model
from restorekit.training.state import StateStore
from restorekit.training.world import World, agreed, precision_warning
from tests.training.conftest import MakeJob, assert_equal, learnt
from tests.training.ranks import at_once, carrying, do

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("processor", "wanted"),
    [
        ({"avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"neon": True}, "fp32"),
        ({"neon": True, "bf16": True}, "bf16"),
    ],
    ids=["avx2", "avx512", "avx512_bf16", "neon", "neon bf16"],
)
def test_auto_is_bfloat16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, processor: dict[str, bool], wanted: Precision
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    assert resolved("auto", CPU) == wanted
    assert (precision_warning("bf16", CPU) is None) is (wanted == "bf16")
    assert precision_warning("fp32", CPU) is None


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_named_precision_is_taken(precision: Precision) -> None:
    assert resolved(precision, CPU) == precision


def test_auto_learns_what_the_precision_it_means_learns(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, mixed = (learnt(make_job(precision=precision), 1) for precision in ("fp32", "bf16"))
    assert any(not torch.equal(plain[name], mixed[name]) for name in plain)
    for has_bf16, wanted in ((False, plain), (True, mixed)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has_bf16=has_bf16: {"avx512_bf16": has_bf16})
        assert_equal(learnt(make_job(precision="auto"), 1), wanted)


def agree(rank: int, folder: Path) -> None:
    """One of two ranks; only the first has a processor with bfloat16."""
    torch.cpu.get_capabilities = lambda: {"avx512_bf16": rank == 0}
    torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    found = {precision: agreed(precision, World(rank, 2, CPU)) for precision in ("auto", "bf16", "fp32")}
    (folder / f"rank-{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def test_ranks_with_unlike_processors_agree(tmp_path: Path) -> None:
    assert at_once(tmp_path, agree, ((rank, tmp_path) for rank in range(2))) == [0, 0]
    found = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    assert found == [{"auto": "fp32", "bf16": "bf16", "fp32": "fp32"}] * 2


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_training_reports_and_keeps_the_precision_that_auto_means(
    make_job: MakeJob, tmp_path: Path, num_workers: int
) -> None:
    job = make_job(precision="auto", steps=2, num_workers=num_workers)
    if num_workers == 1:
        fit_here(job)
    else:
        do(tmp_path, carrying(job, num_workers))
    wanted = resolved("auto", CPU)
    assert f"with 2 steps to go, in {wanted}" in (job.state / EVENTS).read_text()
    assert export_model(job, StateStore(job.state), tmp_path / "model", {})["precision"] == wanted


def test_an_imitated_precision_is_warned_of(make_job: MakeJob) -> None:
    job = make_job(precision="bf16", steps=1)
    fit_here(job)
    warned = "has no bfloat16 and takes several times as long" in (job.state / EVENTS).read_text()
    assert warned is (resolved("auto", CPU) == "fp32")
