"""The batch by workers: one of two ways to give it, the same in every world, and a learning rate that follows it."""

from typing import Any

import pytest
from pydantic import ValidationError

from restorekit.config import TrainConfig, check_params
from restorekit.errors import RestorekitError
from restorekit.training.optimizer import learning_rate
from tests.shipped import shipped_values

BASE: dict[str, Any] = {"steps": 1000, "crop": 32, "lr": 0.001}


def config(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate(BASE | changes)


@pytest.mark.parametrize(
    "changes, batch",
    [
        ({"batch_size": 12, "num_workers": 3}, 12),
        ({"batch_per_worker": 4, "num_workers": 3}, 12),
        ({"batch_per_worker": 4, "num_workers": [2, 64]}, 256),  # of the most workers, however many there are
        ({"batch_per_worker": 1, "num_workers": 512}, 512),
    ],
)
def test_the_batch_is_that_of_the_most_workers(changes: dict[str, Any], batch: int) -> None:
    made = config(**changes)
    assert made.global_batch == batch
    for workers in (1, 2, made.most_workers):
        there = made.in_world(workers)
        assert (there.global_batch, there.batch_per_worker) == (batch, None)


@pytest.mark.parametrize("workers, passes", [(8, 1), (7, 2), (6, 2), (4, 2), (3, 3), (2, 4), (1, 8)])
def test_fewer_workers_take_the_same_batch_in_more_passes_of_no_more_samples(workers: int, passes: int) -> None:
    for own in (1, 2, 4):
        made = config(batch_per_worker=4, num_workers=[1, 8], accumulate=own).in_world(workers)
        share = -(-32 // workers)  # of the rank with most
        assert -(-share // made.accumulate) <= 4 // own
        assert own > 1 or made.accumulate == passes


def test_both_ways_to_give_the_batch_or_none_are_refused() -> None:
    for changes in ({}, {"batch_size": 8, "batch_per_worker": 1}):
        with pytest.raises(ValidationError, match="batch_size, the samples of all workers, or batch_per_worker"):
            config(**changes)
    with pytest.raises(ValidationError, match="set batch_per_worker in its place"):
        config(batch_size=4, num_workers=64)
    with pytest.raises(ValidationError, match="accumulate 4 is more than the 2 samples"):
        config(batch_per_worker=2, num_workers=8, accumulate=4)


def test_the_batch_of_a_run_replaces_that_of_its_model_and_of_all_runs() -> None:
    values = shipped_values()
    values["models"]["dakd"] = {**values["models"]["dakd"], "train": {"batch_per_worker": 3}}
    values["runs"]["dakd-haze"]["train"] = {"batch_size": 6}
    params = check_params(values)
    found = {name: params.training(name) for name in ("dakd-haze", "dakd-rain", "glsgn-rain")}
    given = {name: (one.batch_size, one.batch_per_worker) for name, one in found.items()}
    assert given == {"dakd-haze": (6, None), "dakd-rain": (None, 3), "glsgn-rain": (4, None)}
    values["train"]["batch_per_worker"] = 2
    with pytest.raises(RestorekitError, match="and not both"):
        check_params(values)


def test_the_same_batch_counts_the_same_however_it_is_given() -> None:
    one = config(batch_size=16, num_workers=4)
    other = config(batch_per_worker=4, num_workers=[1, 4])
    assert one.counting({"num_workers"}) == other.counting({"num_workers"})
    assert other.counting({"num_workers"}) != config(batch_per_worker=4, num_workers=8).counting({"num_workers"})
    assert one.counting({"num_workers"}) == {**BASE, "batch_size": 16}


@pytest.mark.parametrize("scale, workers, factor", [("linear", 8, 4.0), ("sqrt", 8, 2.0), ("linear", 1, 0.5)])
def test_the_learning_rate_and_its_warm_up_follow_the_batch(scale: str, workers: int, factor: float) -> None:
    """The rate rises by as much a step as with the batch that it was given for, to `factor` times its height."""
    stated = config(batch_size=8, warmup_steps=20, schedule="constant")
    made = config(
        batch_per_worker=4, num_workers=workers, lr_scale=scale, lr_batch=8, warmup_steps=20, schedule="constant"
    )
    assert made.lr_factor == factor
    for there in (made.in_world(1), made.in_world(workers)):
        rates = [learning_rate(there, step, 1000) for step in range(1000)]
        assert rates[-1] == pytest.approx(0.001 * factor)
        assert rates.index(rates[-1]) == max(20, round(20 * factor))
        if factor > 1:
            assert rates[:20] == pytest.approx([learning_rate(stated, step, 1000) for step in range(20)], rel=0.05)


def test_a_rule_without_its_batch_and_a_warm_up_without_end_are_refused() -> None:
    with pytest.raises(ValidationError, match="needs lr_batch"):
        config(batch_size=8, lr_scale="linear")
    with pytest.raises(ValidationError, match="none takes none"):
        config(batch_size=8, lr_batch=4)
    with pytest.raises(ValidationError, match="warmup_steps 100, 1600 for this batch, must be below steps 1000"):
        config(batch_per_worker=4, num_workers=16, lr_scale="linear", lr_batch=4, warmup_steps=100)
