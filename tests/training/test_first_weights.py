"""Ablations of one seed begin with the same weights, so that a difference at the end is due to the change."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from restorekit.config import TrainConfig, read_run
from restorekit.config.ablations import Ablations
from restorekit.config.run import Run
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from tests.training.conftest import ALONE

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


def weights_of(name: str, run: Run, config: TrainConfig) -> dict[str, torch.Tensor]:
    """The first weights of a run."""
    return Learner(Job(name, "", 5 + run.seed, run, config, Path(), Path()), ALONE).model.state_dict()


@pytest.fixture(scope="module")
def first_weights() -> dict[str, dict[str, torch.Tensor]]:
    ablations = Ablations.model_validate({"datasets": ["rain"], "seeds": [0, 1], "variants": VARIANTS})
    base = read_run(BASE)
    config = TrainConfig.model_validate({"steps": 4, "batch_size": 1, "crop": 24, "lr": 0.01})
    runs = {"dakd-rain": base, **ablations.runs("dakd", {"dakd-rain": base})}
    return {name: weights_of(name, run, config) for name, run in runs.items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_ablation_begins_as_the_run_that_it_changes(
    first_weights: dict[str, dict[str, torch.Tensor]], variant: str
) -> None:
    own, unchanged = first_weights[f"dakd-rain--{variant}-0"], first_weights["dakd-rain"]
    alike = {name for name in own if name in unchanged and own[name].shape == unchanged[name].shape}
    assert all(torch.equal(own[name], unchanged[name]) for name in alike)
    assert {name for name in own if name.startswith("teacher.")} <= alike
    assert {name for name in own if name.startswith("student.decoder.")} <= alike


def test_weights_that_only_an_ablation_has_are_drawn(first_weights: dict[str, dict[str, torch.Tensor]]) -> None:
    """The first convolution takes the mask, too, and so has another shape."""
    entered = first_weights["dakd-rain--a1-0"]["student.encoder.enter.0.weight"]
    assert entered.shape[1] == 4
    assert entered.std(dim=(0, 2, 3)).min() > 0


def test_seeds_begin_with_different_weights(first_weights: dict[str, dict[str, torch.Tensor]]) -> None:
    name = "teacher.encoder.enter.0.weight"
    assert not torch.equal(first_weights["dakd-rain--a5-0"][name], first_weights["dakd-rain--a5-1"][name])


def test_an_impossible_start_is_refused() -> None:
    with pytest.raises(ValidationError, match="gates"):
        read_run({**BASE, "starts_as": {"gates": "ajar"}})


@pytest.mark.parametrize("option", [{"pn_plus_one": False}, {"start": "mean"}])
def test_values_that_an_option_sets_are_not_taken_from_the_other_network(option: dict[str, object]) -> None:
    """A scale without the "1 +" begins at 1; taken from a network with it, it would begin at 0 and pass nothing."""
    settings = {
        "model": "madf",
        "dataset": "inpainting",
        "options": {"width": 4, "init": "he", "start": "smooth"},
        "objective": {"perceptual": 0.0, "style": 0.0},
    }
    ablations = Ablations.model_validate(
        {"datasets": ["inpainting"], "seeds": [0], "variants": {"full": {}, "other": {"options": option}}}
    )
    runs = ablations.runs("madf", {"madf-inpainting": read_run(settings)})
    config = TrainConfig.model_validate({"steps": 4, "batch_size": 1, "crop": 64, "lr": 0.01})
    begun = {name: weights_of(name, run, config) for name, run in runs.items()}
    full, other = begun["madf-inpainting--full-0"], begun["madf-inpainting--other-0"]
    set_alone = "refinement.0.0.norm.modulate.bias" if "pn_plus_one" in option else "last_recovery.mix.weight"
    assert not torch.equal(full[set_alone], other[set_alone])
    differ = {name for name in full if not torch.equal(full[name], other[name])}
    assert len(differ) < len(full) / 5  # the rest begins alike
