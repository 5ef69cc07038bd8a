"""Mask figures against scikit-learn and against their definitions, also for extreme masks."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score, roc_auc_score

from restorekit.losses.pixel import mask_target
from restorekit.metrics.mask_metrics import auc, changed, correlation, iou_f1, psnr_where
from restorekit.metrics.protocols import score


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_figures_equal_those_of_scikit_learn(rng: np.random.Generator, share: float) -> None:
    wanted = rng.random((23, 31)) < share
    found = np.round(np.clip(0.3 * wanted + 0.7 * rng.random((23, 31)), 0, 1), 2).astype(np.float32)  # with ties
    white = found >= 0.5
    iou, f1 = iou_f1(found, wanted)
    assert iou == pytest.approx(jaccard_score(wanted.ravel(), white.ravel()))
    assert f1 == pytest.approx(f1_score(wanted.ravel(), white.ravel()))
    assert auc(found, wanted) == pytest.approx(roc_auc_score(wanted.ravel(), found.ravel()))


def test_figures_of_masks_of_one_colour() -> None:
    black, white = np.zeros((4, 5), bool), np.ones((4, 5), bool)
    assert iou_f1(black.astype(np.float32), black) == (1.0, 1.0)
    assert iou_f1(white.astype(np.float32), black) == (0.0, 0.0)
    assert iou_f1(black.astype(np.float32), white) == (0.0, 0.0)
    assert auc(np.ones((4, 5)), black) is None
    assert auc(np.ones((4, 5)), white) is None
    assert correlation(np.ones((4, 5)), np.eye(4, 5, dtype=bool)) is None


@pytest.mark.parametrize("tau", [0.06, 0.1, 0.2])
def test_the_mask_of_scoring_equals_the_mask_of_training(rng: np.random.Generator, tau: float) -> None:
    degraded, clean = rng.integers(0, 256, (2, 64, 65, 3), np.uint8)
    pair = [torch.from_numpy(image.transpose(2, 0, 1)[None] / np.float32(255)) for image in (degraded, clean)]
    np.testing.assert_array_equal(changed(degraded, clean, tau), mask_target(*pair, tau)[0, 0].bool().numpy())


def test_psnr_inside_and_outside_add_up_to_the_whole(rng: np.random.Generator) -> None:
    restored, clean = rng.integers(0, 256, (2, 20, 24, 3), np.uint8)
    inside = rng.random((20, 24)) < 0.2
    errors = [255**2 / 10 ** (psnr_where(restored, clean, where) / 10) for where in (inside, ~inside)]
    whole = inside.mean() * errors[0] + (1 - inside.mean()) * errors[1]
    assert 10 * np.log10(255**2 / whole) == pytest.approx(score(restored, clean, ["psnr_rgb"])["psnr_rgb"])
    assert psnr_where(restored, clean, np.zeros((20, 24), bool)) is None
    assert psnr_where(clean, clean, inside) == 100.0


def test_correlation_is_pearsons_coefficient(rng: np.random.Generator) -> None:
    energy, wanted = rng.random((9, 8)), rng.random((9, 8)) < 0.4
    assert correlation(energy, wanted) == pytest.approx(np.corrcoef(energy.ravel(), wanted.ravel())[0, 1])
