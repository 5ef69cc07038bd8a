"""Recorded activations equal the network's, and recording changes nothing."""

import numpy as np
import torch

from restorekit.config.madf import MadfOptions
from restorekit.evaluation.mask_features import feature_pictures
from restorekit.evaluation.results import Facts
from restorekit.evaluation.test_sets import Pair
from restorekit.models import create_model
from restorekit.models.madf import MADF
from restorekit.models.madf.network import record_activations


def test_mask_features_and_scales() -> None:
    model = MADF(MadfOptions(width=4)).eval()
    image, mask = torch.rand(1, 3, 128, 256), torch.zeros(1, 1, 128, 256)
    mask[..., 30:80, 50:120] = 1
    before = model.restore(image, mask)
    seen = record_activations(model, image, mask)
    assert torch.equal(model.restore(image, mask), before)
    assert [tuple(one.shape) for one in seen.mask_features] == [(4, 128 >> n, 256 >> n) for n in range(1, 8)]
    assert [[tuple(one.shape) for one in found] for found in seen.scales] == [
        [(128 >> n, 256 >> n) for n in range(6, 0, -1)]
    ] * 2
    expected = torch.relu(model.encoder.levels[0].mask_conv((1 - mask).expand(-1, 3, -1, -1)))[0]  # type: ignore[union-attr,operator]
    torch.testing.assert_close(seen.mask_features[0], expected)
    assert not any(len(module._forward_hooks) for module in model.modules())


def test_a_network_without_a_part_gives_empty_lists() -> None:
    image, mask = torch.rand(1, 3, 128, 128), torch.ones(1, 1, 128, 128)
    plain = record_activations(
        MADF(MadfOptions(width=4, filters="ordinary", normalisation="batch")).eval(), image, mask
    )
    assert plain.mask_features == []
    assert plain.scales == []


def test_feature_pictures_exist_for_madf_only() -> None:
    mask = np.zeros((96, 160), np.float32)
    mask[20:60, 30:90] = 1
    pair = Pair(
        Facts("a", "p", hole_share=0.2), np.zeros((96, 160, 3), np.uint8), np.zeros((96, 160, 3), np.uint8), mask
    )
    pictures = feature_pictures(MADF(MadfOptions(width=4)).eval(), pair)
    assert [one.name for one in pictures] == [
        "mask-features-1",
        "mask-features-2",
        "mask-features-3",
        "norm-scales-1",
        "norm-scales-2",
    ]
    assert all(one.image.dtype == np.uint8 and one.image.ndim == 3 for one in pictures)
    other = create_model("dmgn", variant="rain", width=4, trunk="none")
    assert feature_pictures(other, pair) == []
