"""Tiles of a large photo meet without a seam: what tiles change is bounded for every network, and changes slowly."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from restorekit.image import read_image, to_float
from restorekit.inference import Restorer
from restorekit.models import create_model
from restorekit.rng import rng_for
from restorekit.sources.packages import file_of
from tests.models.conftest import enliven

# Model, options, side of a tile with room for the network's context, (height, width) of an image of several tiles; then
# twice what was measured, in steps of 8 bits: the largest difference from the whole image, and the largest jump of that
# difference from one line of pixels to the next, in the mean of the line. A seam is such a jump. In an untrained GLSGN
# the borders of the network's own patches, which lie elsewhere in a tile than in the whole, leave lines, too.
Case = tuple[str, dict[str, Any], int, tuple[int, int], float, float]
CASES: dict[str, Case] = {
    "dmgn": ("dmgn", {"variant": "rain", "width": 2, "trunk": "none"}, 320, (330, 470), 1.4, 0.004),
    "glsgn": (
        "glsgn", {"width": 2, "zero_last": True, "overlap": 8, "patch_norm": "none"}, 320, (330, 470), 1.3, 0.6,
    ),
    "dakd": ("dakd", {"width": 2}, 208, (300, 304), 0.001, 0.0001),
    "madf": ("madf", {"width": 4}, 640, (128, 900), 0.006, 0.0003),
    "glsgn, one path": ("glsgn", {"width": 2, "design": "whole"}, 320, (336, 472), 0.001, 0.00001),
}  # fmt: skip


def restored(case: str) -> tuple[np.ndarray, np.ndarray, Restorer, tuple[int, int]]:
    """The whole image and the tiled one, restored, in steps of 8 bits."""
    name, options, side, size, *_ = CASES[case]
    torch.manual_seed(0)
    model = create_model(name, **options)
    if name == "dmgn":
        enliven(model)  # narrow and as made, its residual is the same everywhere
        model.refiner.last.weight.data *= 0.05
    elif options.get("zero_last"):
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d) and layer.out_channels == 3:
                nn.init.normal_(layer.weight, std=0.002)
    pixels = to_float(read_image(file_of("skimage", "data/coffee.png")).pixels)
    given = np.ascontiguousarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)).clip(0, 1)
    mask = (rng_for(0, "holes").random(size) < 0.1).astype(np.float32) if name == "madf" else None
    tiled = Restorer(model, tile=side)
    assert tiled.layout(*size).num_tiles > 1
    return Restorer(model).restore(given, mask), tiled.restore(given, mask), tiled, size


@pytest.mark.parametrize("case", CASES)
def test_tiles_differ_from_the_whole_within_the_bound_and_without_a_seam(case: str) -> None:
    whole, tiled, restorer, size = restored(case)
    apart = 255 * (tiled.astype(np.float64) - whole)
    *_, most, seam = CASES[case]
    assert np.abs(apart).max() <= most
    layout = restorer.layout(*size)
    for axis, places in ((0, layout.rows), (1, layout.columns)):
        lines = apart.mean(1 - axis)  # of each row, or column
        jumps = np.abs(np.diff(lines, axis=0)).max(-1)
        assert jumps.max(initial=0) <= seam, places
