"""Batch norms over all ranks: the gradient and the statistics of the whole batch, however many workers share it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from restorekit.config import MadfRun
from restorekit.errors import RestorekitError
from restorekit.training.learner import Learner
from restorekit.training.world import World
from tests.training.conftest import MakeJob
from tests.training.ranks import do

SPEC: dict[str, Any] = {
    "model": "madf",
    "dataset": "inpainting",
    "options": {"width": 4, "refinements": 1, "start": "mean", "init": "he"},
    "objective": {"perceptual": 0.0, "style": 0.0},
}


def test_the_gradient_of_a_network_with_batch_norms_is_that_of_the_whole_batch(
    make_job: MakeJob, tmp_path: Path
) -> None:
    """In float64; three workers take 2, 1 and 1 of 4 samples, and in an epoch's last batch 1, 1 and none of 2."""
    spec = MadfRun.model_validate(SPEC)
    settings = {"spec": spec, "crop": 128, "grad_clip": 1e9, "ema_decay": 0.0}
    job = make_job("over", sync_batch_norm=True, num_workers=3, **settings)
    one, own = make_job("one", **settings), make_job("own", num_workers=2, **settings)
    cases = {"1 of 4": (one, 1, 4), "3 of 4": (job, 3, 4), "1 of 2": (one, 1, 2), "3 of 2": (job, 3, 2)}
    cases |= {"2 alone": (own, 2, 4)}
    files = {name: str(tmp_path / f"{name}.safetensors") for name in cases}
    do(
        tmp_path,
        *(
            {"job": of.to_json(), "world": world, "made": count, "gradient": files[name]}
            for name, (of, world, count) in cases.items()
        ),
    )
    found = {name: load_file(file) for name, file in files.items()}

    def difference(one: str, other: str) -> float:
        assert found[one].keys() == found[other].keys()
        pairs = [(found[one][name].double(), expected.double()) for name, expected in found[other].items()]
        scale = torch.stack([expected.norm() for _, expected in pairs]).norm()
        return max(float((value - expected).norm() / (expected.norm() + 1e-6 * scale)) for value, expected in pairs)

    assert difference("3 of 4", "1 of 4") <= 1e-6
    assert difference("3 of 2", "1 of 2") <= 1e-6
    assert difference("2 alone", "1 of 4") > 1e-2  # each with its own statistics


def test_workers_that_take_different_numbers_of_passes_are_refused(make_job: MakeJob) -> None:
    for changes in ({"accumulate": 2}, {"num_workers": [1, 2]}):
        with pytest.raises(ValidationError, match="needs accumulate: 1 and a fixed num_workers"):
            make_job(sync_batch_norm=True, **changes)


def test_a_network_without_batch_norms_is_refused_by_name(make_job: MakeJob) -> None:
    two = World(0, 2, torch.device("cpu"))
    with pytest.raises(RestorekitError, match="sync_batch_norm: this network has no batch norms"):
        Learner(make_job(sync_batch_norm=True, num_workers=2), two)
