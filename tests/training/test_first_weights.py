"""Ablations of one seed begin alike, so that what they end with is due to what was changed."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from restorekit.config import TrainConfig, read_run
from restorekit.config.ablations import Ablations
from restorekit.training.job import Job
from restorekit.training.learner import Learner, World

BASE = {
    "model": "dakd",
    "dataset": "rain",
    "options": {"width": 2, "init": "he"},
    "objective": {"localise_steps": 2},
    "train": {},
}
VARIANTS = {
    "a0": {"options": {"gates": "none", "context": False}},
    "a1": {"options": {"gates": "none", "context": False, "mask_input": True}},
    "a5": {},
}


@pytest.fixture(scope="module")
def first_weights() -> dict[str, dict[str, torch.Tensor]]:
    ablations = Ablations.model_validate({"datasets": ["rain"], "seeds": [0, 1], "variants": VARIANTS})
    base = read_run(BASE)
    config = TrainConfig.model_validate({"steps": 4, "batch_size": 1, "crop": 24, "lr": 0.01})
    runs = {"dakd-rain": base, **ablations.runs("dakd", {"dakd-rain": base})}
    return {
        name: Learner(
            Job(name, "rain", 5 + run.seed, run, config, Path(), Path()), World(0, 1, torch.device("cpu"))
        ).model.state_dict()
        for name, run in runs.items()
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_ablation_begins_as_the_run_that_it_changes(
    first_weights: dict[str, dict[str, torch.Tensor]], variant: str
) -> None:
    own, unchanged = first_weights[f"dakd-rain--{variant}-0"], first_weights["dakd-rain"]
    alike = {name for name in own if name in unchanged and own[name].shape == unchanged[name].shape}
    assert all(torch.equal(own[name], unchanged[name]) for name in alike)
    assert {name for name in own if name.startswith("teacher.")} <= alike
    assert {name for name in own if name.startswith("student.decoder.")} <= alike


def test_what_only_an_ablation_has_is_drawn(first_weights: dict[str, dict[str, torch.Tensor]]) -> None:
    """Its first convolution takes the mask, too, and so has a shape of its own."""
    entered = first_weights["dakd-rain--a1-0"]["student.encoder.enter.0.weight"]
    assert entered.shape[1] == 4
    assert entered.std(dim=(0, 2, 3)).min() > 0


def test_seeds_begin_elsewhere(first_weights: dict[str, dict[str, torch.Tensor]]) -> None:
    name = "teacher.encoder.enter.0.weight"
    assert not torch.equal(first_weights["dakd-rain--a5-0"][name], first_weights["dakd-rain--a5-1"][name])


def test_a_start_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="gates"):
        read_run({**BASE, "starts_as": {"gates": "ajar"}})
