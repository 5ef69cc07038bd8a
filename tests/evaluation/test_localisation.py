"""Predicted masks against true masks: scores, undefined figures, and drawn maps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from restorekit.config.dakd import DakdOptions
from restorekit.evaluation.localisation import localiser_of, mask_figures, score_mask
from restorekit.evaluation.pictures import MAP_GUTTER, laid_over, overlays
from restorekit.evaluation.results import (
    MASK_FIGURES,
    Facts,
    ImageScore,
    MaskFigure,
)
from restorekit.evaluation.table import read_mask_table, read_table, write_table
from restorekit.evaluation.test_sets import Pair
from restorekit.metrics.mask_metrics import changed
from restorekit.models import create_model
from restorekit.models.dakd import DAKD

SIZE = (37, 46)


def pair(share: float, key: str = "one") -> Pair:
    rng = np.random.default_rng(3)
    clean = rng.integers(60, 150, (*SIZE, 3), np.uint8)
    degraded = clean + np.uint8(60) * (rng.random(SIZE) < share).astype(np.uint8)[..., None]
    return Pair(Facts(key, "photograph"), degraded, clean)


def network(bias: float = 0.0, **options: Any) -> DAKD:
    """A network with a constant mask and a random residual."""
    torch.manual_seed(2)
    model = DAKD(DakdOptions(width=4, init="he", **options))
    nn.init.zeros_(model.teacher.decoder.last.weight)
    nn.init.constant_(model.teacher.decoder.last.bias, bias)  # type: ignore[arg-type]
    return model


def row(model: DAKD, one: Pair) -> Any:
    localiser = localiser_of(model, "fp32")
    assert localiser is not None
    shown = localiser.locate(one.degraded)
    found = localiser.restore_with(one.degraded, shown.mask)
    return score_mask("made", one, found, shown, localiser)


def test_a_network_without_masks_has_no_localiser() -> None:
    assert localiser_of(create_model("dmgn", variant="rain", width=4, trunk="none"), "fp32") is None


def test_scores_of_an_all_white_mask() -> None:
    scored = row(network(bias=9.0), pair(0.2))
    assert scored.share == pytest.approx(0.2, abs=0.05)
    assert scored.iou == pytest.approx(scored.share)
    assert scored.f1 == scored.f1_all_white == pytest.approx(2 * scored.share / (1 + scored.share))
    assert scored.f1_all_black == 0.0
    assert scored.auc == pytest.approx(0.5)
    assert scored.psnr_white == pytest.approx(scored.psnr_found, abs=0.1)
    assert len({scored.psnr_white, scored.psnr_black, scored.psnr_oracle}) == 3
    assert scored.inside_degraded < scored.outside_degraded == 100.0


def test_means_leave_out_undefined_figures() -> None:
    clean = row(network(bias=-9.0), pair(0.0))
    assert (clean.f1, clean.inside_restored, clean.auc, clean.correlation) == (1.0, None, None, None)
    figures = {figure.name: figure for figure in mask_figures([clean, row(network(), pair(0.3, "two"))], 1, 100)}
    assert figures["f1"].n == 2
    assert figures["gain_inside"].n == figures["auc"].n == 1
    assert set(figures) == set(MASK_FIGURES)
    assert all(MaskFigure.from_json(figure.to_json()) == figure for figure in figures.values())
    assert not {"auc", "gain_inside"} & {figure.name for figure in mask_figures([clean], 1, 100)}


def test_the_table_reads_back_to_the_bit(tmp_path: Path) -> None:
    rows = [row(network(), pair(share, key)) for share, key in ((0.0, "none"), (0.4, "some"))]
    images = [ImageScore("made", Facts(one.key, "photograph"), 46, 37, {"lmse": 0.5}, {"lmse": 0.1}) for one in rows]
    write_table(tmp_path / "table.csv", images, rows)
    assert read_mask_table(tmp_path / "table.csv") == rows
    assert read_table(tmp_path / "table.csv") == images
    write_table(tmp_path / "table.csv", images)
    assert read_mask_table(tmp_path / "table.csv") == []


@pytest.mark.parametrize("options", [{}, {"gates": "none", "context": False}])
def test_maps_have_the_size_of_the_image(options: dict[str, Any]) -> None:
    one = pair(0.2)
    localiser = localiser_of(network(**options), "fp32")
    assert localiser is not None
    shown = localiser.locate(one.degraded)
    assert shown.mask.shape == SIZE
    assert shown.energy.shape == (4, *SIZE)
    assert list(shown.maps) == ([] if options else ["gate", "context from", "context to"])
    assert all(values.shape == SIZE for values in shown.maps.values())
    drawn = overlays(one.degraded, changed(one.degraded, one.clean, 0.1), shown)
    panels = len(drawn.names)
    assert panels == 3 + len(shown.maps)
    assert drawn.image.shape == (SIZE[0], panels * SIZE[1] + (panels - 1) * MAP_GUTTER, 3)
    np.testing.assert_array_equal(drawn.image[:, : SIZE[1]], one.degraded)


def test_a_map_of_zeros_leaves_the_photograph_grey() -> None:
    photo = pair(0.0).degraded
    grey, full = laid_over(photo, np.zeros(SIZE, np.float32)), laid_over(photo, np.ones(SIZE, np.float32))
    assert np.ptp(grey, axis=2).max() == 0
    assert len(np.unique(full.reshape(-1, 3), axis=0)) == 1
