"""The perceptual distance of two images by the trunk that a package carries: LPIPS, tolerant to small shifts."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from restorekit.errors import RestorekitError
from restorekit.metrics.protocols import check_pair
from restorekit.models.trunks import create_trunk, packaged_weights, read_tensors

MIN_SIDE = 16  # pixels: the coarsest level has one value for so many


class PerceptualDistance:
    """LPIPS (Zhang et al., CVPR 2018, equation 1) on the shift-tolerant VGG-16 of Ghildyal and Liu (ECCV 2022).

    Features of five levels have unit length at each place. Their squared differences are weighted per channel by the
    weights that come with the trunk, averaged over the image and added up. Lower is better, and 0 is equal. The pooling
    here is aligned (see `ShiftTolerantVgg16`), so values are close to the package's and not the same.
    """

    def __init__(self, weights: Path | None = None) -> None:
        file = weights or packaged_weights()
        self._trunk = create_trunk("vgg16_shift_tolerant", str(file)).eval()
        tensors = read_tensors(file)
        self._weights = [_level(tensors, level, file) for level in range(len(self._trunk.channels))]

    def __call__(self, restored: np.ndarray, clean: np.ndarray) -> float:
        """The distance of uint8 (H, W, 3) sRGB images of one size, both sides at least MIN_SIDE."""
        check_pair(restored, clean)
        if min(clean.shape[:2]) < MIN_SIDE:
            raise RestorekitError(f"the perceptual distance needs images of at least {MIN_SIDE} x {MIN_SIDE} pixels")
        with torch.inference_mode():
            first, second = (self._trunk.normalize(_input(image)) for image in (restored, clean))
            total = 0.0
            for stage, weights in zip(self._trunk.stages(), self._weights, strict=True):
                first, second = stage(first), stage(second)
                difference = (normalize(first, eps=1e-10) - normalize(second, eps=1e-10)).square_()
                total += float((difference * weights).sum(dim=1).mean())
        return total


def _input(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1.0


def _level(tensors: dict[str, Any], level: int, file: Path) -> Tensor:
    key = f"lin{level}.model.1.weight"
    if not isinstance(tensors.get(key), Tensor):
        raise RestorekitError(f"{file} has no '{key}': it holds no weights of the distance")
    weights: Tensor = tensors[key].float()
    return weights
