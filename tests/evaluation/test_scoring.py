"""From pairs to a table and its slices: each image once, in 8 bits, gains paired by key; tables read back equal."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut, chelsea

from restorekit.errors import RestorekitError
from restorekit.evaluation.results import Facts, ImageScore, paired_gains
from restorekit.evaluation.scoring import score_pairs
from restorekit.evaluation.slices import slice_scores, slices_of
from restorekit.evaluation.table import read_table, write_table
from restorekit.evaluation.test_sets import Pair, PairSet, synthetic_test
from restorekit.image import to_float, to_uint8
from restorekit.metrics.protocols import METRICS, gain, score
from restorekit.rng import rng_for

PROTOCOLS = ("psnr_rgb", "ssim_rgb", "lmse")


def pairs(count: int = 6, repeat_key: bool = False) -> PairSet:
    """Pairs of 37 x 31 pixels, alternately from two photographs, with noise of growing strength."""

    def made() -> Iterator[Pair]:
        for number in range(count):
            clean = (astronaut() if number % 2 else chelsea())[60:97, 90:121]
            noise = rng_for(1, "noise", number).normal(0.0, 5.0 + 5.0 * number, clean.shape)
            degraded = np.clip(clean + noise, 0, 255).astype(np.uint8)
            key = "same" if repeat_key else f"image-{number}"
            kind = "fine" if number < 4 else "coarse, rough"
            yield Pair(Facts(key, "astronaut" if number % 2 else "chelsea", kind, number / count), degraded, clean)

    return PairSet("made", "digest", made)


def halfway(pair: Pair) -> np.ndarray:
    """A restorer that halves the error; its values lie between the 8-bit levels."""
    return to_float(pair.degraded) * 0.5 + to_float(pair.clean) * 0.5 + 0.0007


@pytest.fixture(scope="module")
def rows() -> list[ImageScore]:
    return [restored.score for restored in score_pairs(pairs(), halfway, PROTOCOLS)]


def test_scores_are_those_of_the_quantised_image() -> None:
    for restored in score_pairs(pairs(2), halfway):
        image = to_uint8(halfway(restored.pair))
        np.testing.assert_array_equal(restored.image, image)
        assert restored.score.restored == score(image, restored.pair.clean)
        assert restored.score.degraded == score(restored.pair.degraded, restored.pair.clean)
        assert (restored.score.width, restored.score.height) == (31, 37)
        assert set(restored.score.restored) == set(METRICS)


def test_halving_the_error_is_a_gain_by_every_protocol(rows: list[ImageScore]) -> None:
    for protocol in PROTOCOLS:
        assert (paired_gains(rows, protocol) > 0).all()
    assert paired_gains(rows, "psnr_rgb").mean() == pytest.approx(6.0, abs=0.3)


def test_an_unchanged_image_has_no_gain() -> None:
    same = [restored.score for restored in score_pairs(pairs(), lambda pair: to_float(pair.degraded), PROTOCOLS)]
    for found in slice_scores(same, seed=0, resamples=100):
        assert (found.gain, found.ci95) == (0.0, (0.0, 0.0))


def test_gains_over_another_table_are_paired_by_key(rows: list[ImageScore]) -> None:
    others = [restored.score for restored in score_pairs(pairs(), lambda pair: to_float(pair.degraded), PROTOCOLS)]
    for protocol in PROTOCOLS:
        np.testing.assert_array_equal(paired_gains(rows, protocol, others[::-1]), paired_gains(rows, protocol))
        np.testing.assert_array_equal(paired_gains(rows, protocol, rows), np.zeros(len(rows)))
    with pytest.raises(RestorekitError, match="same test images"):
        paired_gains(rows, "psnr_rgb", others[1:])


def test_a_key_that_occurs_twice_and_an_empty_set_are_refused() -> None:
    with pytest.raises(RestorekitError, match="'same' is twice"):
        list(score_pairs(pairs(repeat_key=True), halfway, PROTOCOLS))
    with pytest.raises(RestorekitError, match="holds no images"):
        list(score_pairs(pairs(0), halfway, PROTOCOLS))


def test_the_table_of_images_reads_back_to_the_bit(rows: list[ImageScore], tmp_path: Path) -> None:
    odd = ImageScore("made", Facts('a "key", with comma', "näme\nof two lines"), 31, 37, {"lmse": 0.1}, {"lmse": 1e-17})
    write_table(tmp_path / "table.csv", rows)
    assert read_table(tmp_path / "table.csv") == rows
    write_table(tmp_path / "odd.csv", [odd])
    assert read_table(tmp_path / "odd.csv") == [odd]
    header = (tmp_path / "table.csv").read_text().splitlines()[0]
    assert header.startswith(
        "dataset,key,photograph,kind,severity,hole_share,width,height,psnr_rgb.degraded,psnr_rgb.restored"
    )


def test_the_error_of_a_missing_or_damaged_table_has_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match="dvc repro evaluate"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_text("dataset,key\nmade,a\n")
    with pytest.raises(RestorekitError, match="dvc repro evaluate"):
        read_table(tmp_path / "bad.csv")


def test_slices_are_kinds_and_thirds_of_severity(rows: list[ImageScore]) -> None:
    slices = slices_of([row.facts for row in rows])
    assert slices == {
        "all": [0, 1, 2, 3, 4, 5],
        "kind:coarse, rough": [4, 5],
        "kind:fine": [0, 1, 2, 3],
        "severity:low": [0, 1],
        "severity:mid": [2, 3],
        "severity:high": [4, 5],
    }


@pytest.mark.parametrize("count", range(1, 12))
def test_slices_of_one_kind_cover_every_image_once(count: int) -> None:
    rng = rng_for(3, "facts", count)
    facts = [
        Facts(str(number), "p", str(rng.integers(3)), float(rng.choice([0.1, 0.5, 0.5, 0.9])))
        for number in range(count)
    ]
    slices = slices_of(facts)
    for sort in ("kind:", "severity:"):
        members = [index for name, found in slices.items() if name.startswith(sort) for index in found]
        assert sorted(members) in ([], list(range(count)))
    assert all(len(found) < count for name, found in slices.items() if name != "all")


def test_unknown_or_equal_facts_give_no_slices() -> None:
    assert slices_of([Facts("a", "p"), Facts("b", "q")]) == {"all": [0, 1]}
    assert slices_of([Facts("a", "p", "same", 0.5), Facts("b", "q", "same", 0.5)]) == {"all": [0, 1]}


def test_slice_scores_are_means_with_their_counts(rows: list[ImageScore]) -> None:
    scores = {(found.slice, found.protocol): found for found in slice_scores(rows, seed=3, resamples=200)}
    fine = scores["kind:fine", "lmse"]
    assert (fine.n, fine.photographs, fine.better, fine.dataset) == (4, 2, "lower", "made")
    assert fine.degraded == pytest.approx(np.mean([row.degraded["lmse"] for row in rows[:4]]))
    assert fine.gain == pytest.approx(gain("lmse", fine.degraded, fine.restored))
    assert all(found.ci95[0] <= found.gain <= found.ci95[1] for found in scores.values())
    again = slice_scores(rows[::-1], seed=3, resamples=200)
    assert {(found.slice, found.protocol): found.ci95 for found in again} == {
        key: found.ci95 for key, found in scores.items()
    }


def test_pairs_from_test_shards_have_the_facts_of_their_records(tiny_shards: Path) -> None:
    found = synthetic_test(tiny_shards / "val")
    first, second = list(found.open())
    assert first.facts == Facts("0000", "made", "lines", 0.5)
    assert first.degraded.shape == first.clean.shape == (40, 40, 3)
    assert first.mask is None
    assert [pair.facts.key for pair in found.open()] == [
        first.facts.key,
        second.facts.key,
    ]  # each call begins a new pass
    assert (found.name, len(found.digest)) == ("synthetic-test", 64)
