"""Methods without learning: their fills, the buckets of the comparison, and its table."""

import numpy as np
import pytest
from skimage.data import astronaut

from restorekit.degradations.holes import BUCKETS
from restorekit.evaluation.opponents import (
    OPPONENTS,
    PROTOCOLS,
    baseline,
    by_opponent,
    mean_fill,
    opponent_scores,
    opponents_rows,
)
from restorekit.evaluation.results import Facts, OpponentScore
from restorekit.evaluation.scoring import score_pairs
from restorekit.evaluation.slices import slices_of
from restorekit.evaluation.test_sets import Pair, PairSet
from restorekit.metrics.protocols import gain, l1_percent, score
from restorekit.report.tables import opponent_tables


def pair(key: str, hole: int, photograph: str = "astronaut") -> Pair:
    """A crop with a square hole, filled with white."""
    clean = np.ascontiguousarray(astronaut()[100:164, 180:260])
    mask = np.zeros((64, 80), np.float32)
    mask[10 : 10 + hole, 15 : 15 + hole] = 1
    degraded = np.where(mask[..., None] > 0, np.uint8(255), clean)
    return Pair(Facts(key, photograph, hole_share=float(mask.mean())), degraded, clean, mask)


SAYS = {name: one.says for name, one in OPPONENTS.items()}
PAIRS = [pair("a", 12), pair("b", 26), pair("c", 50, "other")]


@pytest.mark.parametrize("name", OPPONENTS)
def test_fills_change_only_the_hole_and_ignore_its_old_pixels(name: str) -> None:
    fill = OPPONENTS[name].fill
    for one in PAIRS:
        holes = one.mask > 0
        filled = fill(one.degraded, holes)
        assert filled.dtype == np.uint8
        assert np.array_equal(filled[~holes], one.clean[~holes])
        assert np.array_equal(filled, fill(np.where(holes[..., None], np.uint8(3), one.degraded), holes))


def test_every_other_method_beats_the_mean_on_a_slope() -> None:
    clean = np.repeat(np.linspace(20, 235, 80).astype(np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    holes = np.zeros((64, 80), bool)
    holes[20:40, 30:50] = True
    found = {name: score(one.fill(clean, holes), clean, ["psnr_rgb"])["psnr_rgb"] for name, one in OPPONENTS.items()}
    assert all(found[name] > found["mean"] + 5 for name in ("telea", "navier_stokes", "biharmonic", "smooth"))


def test_the_mean_fill_averages_the_known_pixels() -> None:
    image = np.full((4, 6, 3), 10, np.uint8)
    image[:2] = 30
    holes = np.zeros((4, 6), bool)
    holes[0] = True
    image[0] = 200
    assert (mean_fill(image, holes)[0] == 17).all()  # (6 x 30 + 12 x 10) / 18 = 16.7
    assert (mean_fill(image, np.ones((4, 6), bool)) == 128).all()


def test_the_baseline_is_the_mean_fill_for_holes_and_the_degraded_image_otherwise() -> None:
    first = PAIRS[0]
    assert np.array_equal(baseline(first), mean_fill(first.degraded, first.mask > 0))
    drops = Pair(Facts("a", "p"), first.degraded, first.clean, first.mask)  # degraded pixels, not holes
    assert baseline(drops) is first.degraded


def test_an_opponent_skips_images_with_too_large_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(
        score_pairs(PairSet("made", "d", lambda: iter(PAIRS[2:])), lambda one: one.clean / np.float32(255))
    ).score
    assert "biharmonic" in opponents_rows(PAIRS[2], row)
    monkeypatch.setitem(OPPONENTS, "biharmonic", OPPONENTS["biharmonic"].__class__(OPPONENTS["telea"].fill, "", 2499))
    assert opponents_rows(PAIRS[2], row).keys() == OPPONENTS.keys() - {"biharmonic"}


def compared() -> list[OpponentScore]:
    restored = list(score_pairs(PairSet("made", "d", lambda: iter(PAIRS)), lambda one: one.clean / np.float32(255)))
    rows = [one.score for one in restored]
    found = [opponents_rows(one.pair, one.score) for one in restored]
    del found[2]["biharmonic"]
    return opponent_scores(rows, by_opponent(found), seed=1, resamples=200)


def test_leads_are_paired_over_the_same_images() -> None:
    found = {(one.slice, one.opponent, one.protocol): one for one in compared()}
    whole = found["all", "telea", "psnr_rgb"]
    assert (whole.n, whole.of, whole.ours) == (3, 3, 100.0)
    assert whole.lead == pytest.approx(whole.ours - whole.theirs)
    assert whole.ci95[0] <= whole.lead <= whole.ci95[1]
    fewer = found["all", "biharmonic", "l1_percent"]
    assert (fewer.n, fewer.of, fewer.ours) == (2, 3, 0.0)
    assert fewer.lead == pytest.approx(gain("l1_percent", fewer.theirs, 0.0))
    assert fewer.lead > 0
    assert {one.protocol for one in found.values()} == set(PROTOCOLS)
    assert OpponentScore.from_json(whole.to_json()) == whole


def test_the_table_shows_every_bucket_with_all_opponents() -> None:
    (table,) = opponent_tables(compared(), SAYS, "psnr_rgb")
    names = [cell.text for cell in table.head]
    assert names == ["slice", "images", "this network", *(name.replace("_", " ") for name in OPPONENTS)]
    assert [row[0].text for row in table.rows] == ["all", "holes:0.01-0.1", "holes:0.1-0.2", "holes:0.4-0.5"]
    place = names.index("biharmonic")
    assert (table.rows[3][place].text, table.rows[3][place].note) == ("-", "")
    assert table.rows[0][place].note.endswith("2 of 3 images, ours 100.00")
    assert all(cell.style == "num up" for cell in table.rows[1][3:])
    assert all(f"{one.says}." in table.note for one in OPPONENTS.values())
    assert "psnr_rgb" in opponent_tables(compared(), SAYS, "ncc")[0].title
    assert opponent_tables([], {}, "psnr_rgb") == []


@pytest.mark.parametrize("share, bucket", [(0.01, "other"), (0.011, "0.01-0.1"), (0.1, "0.01-0.1"), (0.1001, "0.1-0.2"),
                                           (0.6, "0.5-0.6"), (0.61, "other"), (0.0, "other")])  # fmt: skip
def test_a_bucket_includes_its_upper_bound(share: float, bucket: str) -> None:
    facts = [
        Facts("a", "p", hole_share=share),
        Facts("b", "p", hole_share=0.35 if bucket != "0.3-0.4" else 0.05),
        Facts("c", "p"),
    ]
    assert slices_of(facts)[f"holes:{bucket}"] == [0]
    assert len(BUCKETS) == 6


def test_l1_percent_is_the_mean_absolute_difference() -> None:
    clean = np.full((2, 5, 3), 100, np.uint8)
    off = clean.copy()
    off[0, 0] = (151, 49, 100)
    assert l1_percent(off, clean) == pytest.approx(100 * 102 / 255 / 30)
    assert l1_percent(clean, clean) == 0
