"""The gate's table of cases: evidence, outcome and the words of the reason."""

import pytest

from restorekit.evaluation.results import CleanFigure
from restorekit.tracking.gate import IDENTITY, CleanFloor, Evidence, decide


def evidence(gain: float, low: float, high: float, n: int = 24, metric: str = "psnr_rgb") -> Evidence:
    return Evidence(metric, IDENTITY, gain, (low, high), n, min(n, 2))


CASES = [
    # gain, low, high, n, min_gain, champion, outcome, words
    (2.0, 1.5, 2.5, 24, 0.0, None, "promoted", "above 0 dB"),
    (2.0, 1.5, 2.5, 24, 0.0, "other", "promoted", "above 0 dB"),
    (2.0, 0.0, 4.0, 24, 0.0, None, "rejected", "may be chance"),
    (2.0, -0.1, 4.0, 24, 0.0, "other", "rejected", "may be chance"),
    (2.0, 1.5, 2.5, 24, 1.5, None, "rejected", "not wholly above 1.5 dB"),
    (2.0, 1.6, 2.5, 24, 1.5, None, "promoted", "above 1.5 dB"),
    (-1.0, -2.0, -0.5, 24, 0.0, None, "rejected", "not above 0 dB"),
    (0.0, 0.0, 0.0, 24, 0.0, "other", "rejected", "not above 0 dB"),
    (2.0, 2.0, 2.0, 1, 0.0, None, "rejected", "too few"),
    (2.0, 1.5, 2.5, 24, 0.0, "mine", "already champion", "the candidate is the champion"),
    (-2.0, -3.0, -1.0, 24, 0.0, "mine", "already champion", "the candidate is the champion"),
]


@pytest.mark.parametrize("gain, low, high, n, min_gain, champion, outcome, words", CASES)
def test_outcome_and_reason(
    gain: float, low: float, high: float, n: int, min_gain: float, champion: str | None, outcome: str, words: str
) -> None:
    decision = decide(evidence(gain, low, high, n), min_gain, "mine", champion)
    assert decision.outcome == outcome
    assert decision.promoted == (outcome == "promoted")
    assert any(words in reason for reason in decision.reasons)


def test_reasons_say_gain_interval_opponent_and_counts() -> None:
    decision = decide(evidence(2.0, 1.5, 2.5), 0.0, "mine", None)
    assert decision.reasons[0] == (
        "psnr_rgb +2.00 dB (95% interval +1.50 to +2.50) over the degraded images themselves, "
        "on 24 images of 2 photographs"
    )
    one = decide(evidence(0.01, 0.01, 0.01, n=1, metric="ssim_rgb"), 0.0, "mine", None)
    assert "ssim_rgb +0.0100 (95% interval +0.0100 to +0.0100)" in one.reasons[0]
    assert one.reasons[0].endswith("on 1 image of 1 photograph")


def clean(mean: float, floor: float) -> CleanFloor:
    return CleanFloor(
        CleanFigure("made", "clean_psnr", 2, mean, (mean - 3.0, mean + 3.0), mean - 4.0, "chelsea"), floor
    )


@pytest.mark.parametrize("mean, outcome", [(24.99, "rejected"), (25.0, "promoted"), (41.0, "promoted")])
def test_a_gain_counts_only_at_the_floor_of_clean_photographs_or_above(mean: float, outcome: str) -> None:
    assert decide(evidence(2.0, 1.5, 2.5), 0.0, "mine", "other", clean(mean, 25.0)).outcome == outcome


def test_the_floor_does_not_replace_the_gain() -> None:
    decision = decide(evidence(2.0, -0.1, 4.0), 0.0, "mine", None, clean(60.0, 25.0))
    assert decision.outcome == "rejected"
    assert "may be chance" in decision.reasons[1]


def test_a_champion_stays_champion_below_the_floor_and_the_reasons_say_it() -> None:
    decision = decide(evidence(2.0, 1.5, 2.5), 0.0, "mine", "mine", clean(20.0, 25.0))
    assert decision.outcome == "already champion"
    assert "below 25 dB" in decision.reasons[-1]


def test_a_refusal_says_the_figure_the_floor_and_the_parameter() -> None:
    assert decide(evidence(2.0, 1.5, 2.5), 0.0, "mine", None, clean(22.25, 25.0)).reasons[-1] == (
        "clean photographs are harmed: clean_psnr 22.25 dB (95% interval 19.25 to 25.25, worst 18.25) of 2 clean "
        "photographs is below 25 dB, the floor promote.clean_psnr"
    )
    assert decide(evidence(2.0, 1.5, 2.5), 0.0, "mine", None, clean(41.5, 40.0)).reasons[-1] == (
        "clean_psnr 41.50 dB (95% interval 38.50 to 44.50, worst 37.50) of 2 clean photographs is not below 40 dB, the "
        "floor promote.clean_psnr"
    )
