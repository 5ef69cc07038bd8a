"""Calibration: honest temperatures, and thresholds that keep clean images below the share of alarms."""

import numpy as np
import pytest

from restorekit.detection.calibration import LEAST, Calibration, Judged, calibrate, figures, probabilities
from restorekit.detection.training import POSITIVE
from restorekit.rng import rng_for
from restorekit.tasks import DETECTED

LABELS = len(DETECTED)


def made(scale: float = 1.0, count: int = 4000) -> Judged:
    """Logits that are right but for a factor: each label is there as often as its probability says."""
    rng = rng_for(1, "judged")
    honest = rng.normal(0.0, 2.0, (count, LABELS))
    # The training weighs what is there by POSITIVE, so that a probability is of even odds.
    shares = probabilities(honest - np.log(POSITIVE), np.ones(LABELS))
    targets = (rng.random((count, LABELS)) < shares).astype(float)
    targets[: count // 2] = 0.0  # clean ones, whose logits are low
    honest[: count // 2] = rng.normal(-3.0, 1.5, (count // 2, LABELS))
    return Judged(scale * honest, targets, np.ones_like(targets))


def test_a_temperature_undoes_a_factor_on_the_logits() -> None:
    plain, bold = (calibrate(made(scale), 0.05).temperatures for scale in (1.0, 3.0))
    for label in DETECTED:
        assert bold[label] / plain[label] == pytest.approx(3.0, rel=0.06)


@pytest.mark.parametrize("false_alarms", [0.01, 0.05, 0.3])
def test_thresholds_keep_all_alarms_together_below_the_limit(false_alarms: float) -> None:
    judged = made()
    calibration = calibrate(judged, false_alarms)
    assert figures(judged, calibration)["clean_left_alone"] >= 1.0 - false_alarms
    assert all(threshold >= LEAST for threshold in calibration.thresholds.values())


def test_a_stricter_limit_raises_thresholds() -> None:
    loose, strict = (calibrate(made(), limit).thresholds for limit in (0.3, 0.01))
    assert all(strict[label] >= loose[label] for label in DETECTED)
    assert strict != loose


def test_figures_count_what_comes_first_and_what_is_found() -> None:
    logits = np.full((4, LABELS), -5.0)
    logits[0, 0], logits[1, 0], logits[1, 1], logits[2, 2] = 5.0, 3.0, 5.0, 5.0  # the third is clean, the last faint
    targets = np.zeros_like(logits)
    targets[0, 0] = targets[1, 0] = targets[3, 0] = 1.0
    weights = np.ones_like(logits)
    weights[3, 0] = 0.2
    even = Calibration(dict.fromkeys(DETECTED, 1.0), dict.fromkeys(DETECTED, 0.5))
    first = DETECTED[0]
    assert figures(Judged(logits, targets, weights), even) == {
        "clean_left_alone": 0.0, f"{first}_found": 1.0, f"{first}_first": 0.5,
    }  # fmt: skip
