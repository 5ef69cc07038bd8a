"""The detector's training: the same bits however often it is broken off, and it learns what it is shown."""

from pathlib import Path

import pytest
import torch
from torch import nn

from restorekit.detection import training
from restorekit.detection.calibration import calibrate, figures, judge
from restorekit.detection.training import learning_rate, train_detector, training_digest
from restorekit.errors import RestorekitError
from tests.detection.conftest import parts, settings


class StopError(Exception):
    pass


def silent(step: int, values: dict[str, float]) -> None:
    """A report that nobody reads."""


def weights_of(network: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in network.state_dict().values()]


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights_of(one), weights_of(other), strict=True))


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_broken_training_ends_with_the_bits_of_an_unbroken_one(
    two_sets: dict[Path, float], tmp_path: Path, optimizer: str
) -> None:
    def stop_at(last: int) -> training.Report:
        def report(step: int, values: dict[str, float]) -> None:
            if step == last:
                raise StopError

        return report

    shards, config = parts(two_sets, "train"), settings(optimizer=optimizer)
    whole = train_detector(config, 3, shards, tmp_path / "whole", silent)
    for last in (4, 6):
        with pytest.raises(StopError):
            train_detector(config, 3, shards, tmp_path / "broken", stop_at(last))
    resumed = train_detector(config, 3, shards, tmp_path / "broken", silent)
    assert same(whole, resumed)
    assert not same(whole, train_detector(config, 4, shards, tmp_path / "other", silent))


def test_a_finished_training_is_not_repeated(two_sets: dict[Path, float], tmp_path: Path) -> None:
    shards = parts(two_sets, "train")
    first = train_detector(settings(), 3, shards, tmp_path, silent)

    def refuse(step: int, values: dict[str, float]) -> None:
        raise AssertionError(f"step {step} was taken again")

    assert same(first, train_detector(settings(), 3, shards, tmp_path, refuse))


@pytest.mark.parametrize("cut", [0, 40, -20])
def test_a_damaged_state_is_named_and_not_taken(two_sets: dict[Path, float], tmp_path: Path, cut: int) -> None:
    train_detector(settings(steps=2), 3, parts(two_sets, "train"), tmp_path, silent)
    state = tmp_path / training.STATE
    state.write_bytes(state.read_bytes()[:cut])
    with pytest.raises(RestorekitError, match=r"state\.safetensors cannot be read .*remove"):
        train_detector(settings(), 3, parts(two_sets, "train"), tmp_path, silent)


def test_the_state_of_another_network_is_refused(two_sets: dict[Path, float], tmp_path: Path) -> None:
    train_detector(settings(steps=2), 3, parts(two_sets, "train"), tmp_path, silent)
    with pytest.raises(RestorekitError, match="is of another network"):
        train_detector(settings(width=5), 3, parts(two_sets, "train"), tmp_path, silent)


def test_the_digest_is_of_what_changes_weights(two_sets: dict[Path, float]) -> None:
    shards = parts(two_sets, "train")
    digest = training_digest(settings(), 3, shards)
    assert training_digest(settings(checkpoint_every=5, log_every=1, threads=2, false_alarms=0.1), 3, shards) == digest
    others = [
        training_digest(settings(lr=0.5), 3, shards),
        training_digest(settings(), 4, shards),
        training_digest(settings(), 3, parts(two_sets, "val")),
    ]
    assert len({digest, *others}) == 4


def test_the_rate_rises_then_falls_to_nothing() -> None:
    config = settings(steps=100, warmup_steps=10, lr=1.0)
    rates = [learning_rate(config, step) for step in range(101)]
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.0)


def test_it_learns_lines_and_veils_and_leaves_clean_scenes_alone(two_sets: dict[Path, float], tmp_path: Path) -> None:
    config = settings(steps=100, batch_size=4, lr=0.006, warmup_steps=5, ema_decay=0.9, dropout=0.0, width=8)
    network = train_detector(config, 3, parts(two_sets, "train"), tmp_path, silent)
    judged = judge(network, config, 3, list(parts(two_sets, "val")))
    found = figures(judged, calibrate(judged, 0.05))
    assert found["clean_left_alone"] >= 0.95
    assert found["haze_first"] > 0.7
    assert found["rain_first"] > 0.7
    assert "reflection_first" not in found
