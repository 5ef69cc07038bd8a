"""The comparison of ablations averages seeds, pairs differences, and refuses incomparable runs."""

from typing import Any

import pytest

from restorekit.config import read_run
from restorekit.errors import RestorekitError
from restorekit.evaluation.ablation import Evaluated, ablation_rows, label_of
from restorekit.evaluation.results import Facts, ImageScore, MaskScore
from restorekit.report.page import render_ablations
from restorekit.report.tables import ablation_tables

GAINS = {"one": 1.0, "two": 2.0, "three": 4.0}


def evaluated(label: str, seed: int, extra: float, dataset: str = "rain", **options: Any) -> Evaluated:
    """A run on three images of two photographs; its gains are GAINS plus `extra` dB."""
    spec = read_run(
        {
            "model": "dakd",
            "dataset": dataset,
            "options": options,
            "objective": {"localise_steps": 5},
            "seed": seed,
        }
    )
    before = {"psnr_rgb": 20.0, "ssim_rgb": 0.5}
    scores, masks = [], []
    for number, (key, gain) in enumerate(GAINS.items()):
        facts = Facts(key, f"photograph {number % 2}")
        after = {"psnr_rgb": 20.0 + gain + extra, "ssim_rgb": 0.6}
        scores.append(ImageScore("synthetic-test", facts, 8, 8, before, after))
        inside = None if number else 10.0
        masks.append(
            MaskScore(
                "synthetic-test", key, facts.photograph, 0.2, 0.5, 0.6, None, 0.3, 0.0, inside, inside, 30.0, 31.0,
                None, after["psnr_rgb"], after["psnr_rgb"] + 0.5, after["psnr_rgb"], after["psnr_rgb"],
            )
        )  # fmt: skip
    suffix = label if not seed else f"{label}-{seed}"
    return Evaluated(f"dakd-{dataset}--{suffix}", spec, 10, scores, masks)


def two_labels() -> list[Evaluated]:
    return [
        evaluated("a0", 0, 0.0, gates="none"),
        evaluated("a0", 1, 0.2, gates="none"),
        evaluated("a2", 0, 1.0),
        evaluated("a2", 1, 1.4),
    ]


def test_the_label_is_the_part_between_the_run_and_the_seed() -> None:
    assert [label_of(run) for run in ("dakd-rain--a5", "dakd-rain--a5-1", "dmgn-rain--no-gate-12")] == [
        "a5", "a5", "no-gate",
    ]  # fmt: skip


def test_seeds_are_averaged_and_differences_are_paired() -> None:
    first, second = ablation_rows(two_labels(), 1, 200)
    mean = sum(GAINS.values()) / 3
    assert (first.label, first.difference, first.settings) == ("a0", None, {})
    assert first.gain["psnr_rgb"].mean == pytest.approx(mean + 0.1)
    assert second.by_seed == pytest.approx((mean + 1.0, mean + 1.4))
    assert second.difference is not None
    assert second.difference["psnr_rgb"].mean == pytest.approx(1.1)  # the mean of 1.0 and 1.2, the differences by seed
    low, high = second.difference["psnr_rgb"].ci95
    assert 1.0 - 1e-9 <= low < high <= 1.2 + 1e-9
    assert second.settings == {"options.gates": "guided"}
    assert (second.seeds, second.images, second.photographs) == ((0, 1), 3, 2)
    assert second.mask["f1"].mean == pytest.approx(0.6)
    assert second.mask["gain_inside"].mean == 0.0
    assert "auc" not in second.mask
    assert second.mask["oracle_gain"].mean == pytest.approx(0.5)


def test_gains_do_not_depend_on_the_order_of_the_runs() -> None:
    rows = ablation_rows(two_labels(), 1, 200)
    assert ablation_rows(two_labels()[:2] + two_labels()[:1:-1], 1, 200)[1].gain == rows[1].gain


@pytest.mark.parametrize(
    "runs, message",
    [
        ([evaluated("a0", 0, 0.0), evaluated("a0", 1, 0.0, gates="none")], "differ in their seed, and in nothing else"),
        ([evaluated("a0", 0, 0.0), evaluated("a0", 0, 0.0)], "differ in their seed"),
        ([evaluated("a0", 0, 0.0), evaluated("a2", 1, 0.0)], "no run of seed 1"),
    ],
)
def test_incomparable_runs_are_refused(runs: list[Evaluated], message: str) -> None:
    with pytest.raises(RestorekitError, match=message):
        ablation_rows(runs, 1, 200)


def test_each_data_set_has_its_own_table_and_reference_run() -> None:
    runs = [*two_labels(), evaluated("full", 0, 0.0, dataset="haze"), evaluated("none", 0, -1.0, "haze", context=False)]
    tables = ablation_tables(ablation_rows(runs, 1, 200))
    assert [(table.title, [row[0].text for row in table.rows]) for table in tables] == [
        ("dakd-rain", ["a0", "a2"]), ("dakd-haze", ["full", "none"]),
    ]  # fmt: skip
    assert [row[3].style for row in tables[1].rows] == ["num", "num down"]
    page = render_ablations(ablation_rows(runs, 1, 200))
    for text in ("dakd-rain", "2 seeds of 10 steps", "gates guided", "+1.10 (", "mask F1", "context False"):
        assert text in page, text
