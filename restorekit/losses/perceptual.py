"""P of dmgn.md section 8: weighted L1 distances between five levels of a frozen trunk, and of the images themselves.

The formula is that of the first author's CFDNet (ICME 2021), with its quirks: a [-1, 1] image is normalised with
ImageNet's mean and standard deviation as if it were a [0, 1] one, and multiplied by 255. So P counts in grey levels
and is some hundred times an L1.
"""

import torch
from torch import Tensor, nn

from restorekit.losses.pixel import l1
from restorekit.models.trunks import ShiftTolerantVgg16, Trunk

LEVEL_WEIGHTS = (1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5)  # of relu1_1 ... relu5_1
GREY_LEVELS = 255.0


class Perceptual(nn.Module):
    """P(x, y) for images (B, 3, H, W) in [-1, 1], 16 pixels a side or more; the gradient reaches x only.

    VGG-19 gets the multiplied image, as in CFDNet; the shift-tolerant VGG-16 gets the normalisation it was trained
    with, and its distances are multiplied instead, so that the level weights keep their meaning.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        device = image.device.type
        # float16 cannot hold VGG's response to values of +-1000
        with torch.autocast(device, dtype=torch.bfloat16, enabled=torch.is_autocast_enabled(device)):
            return self._distance(self._input(image.float()), self._input(target.detach().float()))

    def _distance(self, features: Tensor, wanted: Tensor) -> Tensor:
        total = l1(features, wanted)
        for stage, weight in zip(self.trunk.stages(), LEVEL_WEIGHTS, strict=True):
            features = stage(features)
            with torch.no_grad():
                wanted = stage(wanted)
            total = total + weight * l1(features, wanted)
        return total * (GREY_LEVELS if isinstance(self.trunk, ShiftTolerantVgg16) else 1.0)

    def _input(self, image: Tensor) -> Tensor:
        if isinstance(self.trunk, ShiftTolerantVgg16):
            return self.trunk.normalize(image)
        return GREY_LEVELS * (image - self.get_buffer("mean")) / self.get_buffer("std")
