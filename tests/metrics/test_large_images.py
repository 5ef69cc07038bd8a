"""Metrics of frames that are too large for many copies in memory: strips give the value of the whole."""

import numpy as np
import pytest
from skimage.data import astronaut

from restorekit.metrics import protocols, psnr
from restorekit.metrics.protocols import METRICS
from restorekit.rng import rng_for


@pytest.mark.parametrize("name", ["psnr_rgb", "psnr_y", "ssim_rgb", "ssim_y", "ssim_dmgn"])
@pytest.mark.parametrize("strip", [1500, 4000])
def test_strips_give_the_value_of_the_whole(monkeypatch, name, strip):
    clean = astronaut()[100:197, 50:201]
    noise = rng_for(1, "noise").normal(0, 12, clean.shape)
    restored = np.clip(clean + noise, 0, 255).astype(np.uint8)
    whole = METRICS[name].measure(restored, clean)
    monkeypatch.setattr(protocols, "STRIP_PIXELS", strip)
    monkeypatch.setattr(psnr, "STRIP_VALUES", 3 * strip)
    assert METRICS[name].measure(restored, clean) == pytest.approx(whole, rel=1e-12)
