"""Seams: a visible border has a gap, an invisible border has none. Paths are scored at their own scale."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from restorekit.config.glsgn import GlsgnOptions
from restorekit.evaluation.patches import (
    BOUND_DB,
    NEAR,
    Lines,
    border_cost,
    patch_lines,
    path_means,
    roll_by,
    score_frame,
    seam_gap,
)
from restorekit.evaluation.results import Facts
from restorekit.evaluation.scoring import Restored
from restorekit.evaluation.studies import PathStudy
from restorekit.evaluation.test_sets import Pair, PairSet
from restorekit.models.glsgn import GLSGN
from restorekit.rng import rng_for

SIZE, PATCH = (192, 256), (48, 64)


def noisy(strength: np.ndarray, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    clean = astronaut()[: SIZE[0], : SIZE[1]] // 2 + 64  # in the middle of the range, so that no noise is clipped
    noise = rng_for(2, "noise", number).normal(0, 1, clean.shape) * strength[..., None]
    return np.clip(clean + noise, 0, 255).astype(np.uint8), clean


def test_lines_are_inner_borders_and_halfway_between_them():
    assert patch_lines(SIZE, PATCH) == Lines((48, 96, 144), (64, 128, 192))
    assert patch_lines(SIZE, PATCH, shifted=True) == Lines((24, 72, 120, 168), (32, 96, 160, 224))
    assert patch_lines((65, 71), (80, 80)) == Lines((), ())


def test_even_noise_has_no_gap_and_noise_at_borders_has_one():
    lines, between = patch_lines(SIZE, PATCH), patch_lines(SIZE, PATCH, shifted=True)
    even = np.full(SIZE, 10.0)
    gaps = [seam_gap(*noisy(even, number), lines) for number in range(20)]
    controls = [seam_gap(*noisy(even, number), between) for number in range(20)]
    mean = [float(np.mean([gap.db for gap in found if gap is not None])) for found in (gaps, controls)]
    assert abs(mean[0] - mean[1]) < BOUND_DB
    rows = np.abs(np.arange(SIZE[0])[:, None] + 0.5 - np.array(lines.rows)).min(axis=1) <= 4
    seam = even + 20 * rows[:, None]
    found, control = seam_gap(*noisy(seam), lines), seam_gap(*noisy(seam), between)
    assert found is not None
    assert control is not None
    assert found.near < found.far - 1
    assert control.db < 0


def test_a_frame_without_near_or_far_pixels_has_no_gap():
    image = astronaut()[:64, :64]
    assert seam_gap(image, image, Lines((), ())) is None
    assert seam_gap(image, image, patch_lines((64, 64), (16, 16))) is None


def near_borders(down: int = 0, right: int = 0) -> np.ndarray:
    """A mask of the pixels within NEAR of a border of patches that begin `down` and `right` pixels earlier."""
    rows = np.abs(np.arange(SIZE[0])[:, None] + 0.5 - np.array([48, 96, 144]) + down).min(axis=1) <= NEAR
    columns = np.abs(np.arange(SIZE[1])[:, None] + 0.5 - np.array([64, 128, 192]) + right).min(axis=1) <= NEAR
    return rows[:, None] | columns


def test_the_border_cost_is_the_gain_of_the_same_pixels_without_a_border():
    assert roll_by(PATCH) == (24, 32)
    # Twice the noise at borders is 6.02 dB; the noise also varies over the frame.
    uneven = np.linspace(4, 12, SIZE[1])[None].repeat(SIZE[0], 0)
    noise, clean = rng_for(2, "noise").normal(0, 1, (*SIZE, 3)) * uneven[..., None], np.full((*SIZE, 3), 128)
    restored, rolled = (
        np.clip(clean + noise * np.where(near_borders(*by), 2, 1)[..., None], 0, 255).round().astype(np.uint8)
        for by in ((0, 0), (24, 32))
    )
    cost = border_cost(restored, rolled, clean.astype(np.uint8), PATCH)
    assert cost is not None
    assert cost.db == pytest.approx(6.02, abs=0.05)
    unseen = border_cost(rolled, rolled, clean.astype(np.uint8), PATCH)
    assert unseen is not None
    assert unseen.db == 0


def test_a_frame_of_one_patch_has_no_border_cost():
    image = astronaut()[:64, :64]
    assert border_cost(image, image, image, (64, 64)) is None


def pairs() -> PairSet:
    def opened() -> Iterator[Pair]:
        for number in range(2):
            degraded, clean = noisy(np.full(SIZE, 8.0), number)
            yield Pair(Facts(str(number), "astronaut"), degraded, clean)

    return PairSet("made", "digest", opened)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_paths_of_an_identity_network_score_as_their_inputs(precision):
    torch.manual_seed(0)
    found = path_means(
        [score_frame(GLSGN(GlsgnOptions(width=4, zero_last=True)), pair, precision) for pair in pairs().open()]
    )
    assert found["frames"] == 2
    assert set(found["paths"]) == {"path1", "path2", "path3", "global"}
    for path in found["paths"].values():
        assert path["restored"] == pytest.approx(path["degraded"], abs=1e-6)
    assert found["paths"]["path3"]["degraded"] > found["paths"]["path1"]["degraded"] + 3  # noise averages out
    assert found["seams"]["apart"] == pytest.approx(abs(found["seams"]["gap"] - found["seams"]["gap_shifted"]))


def test_a_network_without_paths_has_only_seam_scores():
    torch.manual_seed(0)
    found = path_means(
        [score_frame(GLSGN(GlsgnOptions(width=4, design="tiles")), pair, "fp32") for pair in pairs().open()]
    )
    assert found["paths"] == {}
    assert found["seams"]["near"] > 0


def test_a_network_on_the_whole_frame_has_no_border_cost():
    costs = {}
    for design in ("whole", "stepwise"):
        torch.manual_seed(0)
        model = GLSGN(GlsgnOptions(width=4, design=design))
        costs[design] = path_means([score_frame(model, pair, "fp32") for pair in pairs().open()])["seams"][
            "border_cost"
        ]
    assert abs(costs["whole"]) < 0.01 < abs(costs["stepwise"])


def test_frames_below_the_networks_minimum_size_are_left_out():
    study = PathStudy("fp32")
    look = study.look({})(GLSGN(GlsgnOptions(width=4)))
    for side in (50, 96):
        image = astronaut()[:side, :120]
        restored = Restored(Pair(Facts(str(side), "a"), image, image), image, None)  # type: ignore[arg-type]
        study.take("made", restored, look(restored), None)
    assert study.findings([], 0, 100).metrics["made"]["patches"]["frames"] == 1
