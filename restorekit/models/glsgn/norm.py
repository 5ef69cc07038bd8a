"""Patch Norm (glsgn.md 5.5): the first pass gathers moments of an image's regions, the second pass applies them."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.models.glsgn.grid import at_least_float32

EPSILON = 1e-5


class PatchNorm(nn.Module):
    """Normalises each channel to mean 0 and variance 1, over all regions of an image or ("instance") per region."""

    def __init__(self, channels: int, norm: Literal["joint", "instance"]) -> None:
        super().__init__()
        self.norm = norm
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor, num_regions: int) -> Tensor:
        """Normalised `features` (B * num_regions, C, h, w); images of a batch do not influence each other.

        Without gradients the moments come from `Gathered`: on a CPU, batch_norm sums in float32, which is off by 1e-3
        over a 4K frame.
        """
        parts = features.split(num_regions if self.norm == "joint" else 1)
        normed = [self._learning(part) if torch.is_grad_enabled() else self._exactly(part) for part in parts]
        return normed[0] if len(normed) == 1 else torch.cat(normed)

    def _learning(self, part: Tensor) -> Tensor:
        return F.batch_norm(part, None, None, self.weight, self.bias, True, 0.0, EPSILON)

    def _exactly(self, part: Tensor) -> Tensor:
        gathered = Gathered(self, 1)
        for region in part.split(1):
            gathered.add(0, region)
        return gathered(0, part)


class Moments:
    """Count, mean and sum of squared deviations of each channel, in float64, over all added maps."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.empty(0)  # (C,) on the device of the first map

    def add(self, features: Tensor) -> None:
        """Adds (1, C, h, w). Deviations are from the part's mean, so that large squares do not cancel."""
        values = at_least_float32(features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]))
        mean = values.mean(0)
        squares = (values - mean).square_().sum(0).double()
        count, total = values.shape[0], self.count + values.shape[0]
        if self.count:
            apart = mean.double() - self.mean
            self.squares = self.squares + squares + apart.square() * (self.count * count / total)
            self.mean = self.mean + apart * (count / total)
        else:
            self.squares, self.mean = squares, mean.double()
        self.count = total


class Gathered:
    """A Patch Norm over `num_regions` regions: `add` gathers, a call applies; without a norm, maps stay unchanged."""

    def __init__(self, norm: PatchNorm | None, num_regions: int) -> None:
        self._norm = norm
        joint = norm is not None and norm.norm == "joint"
        self._moments = [Moments() for _ in range(1 if joint else num_regions)]

    def add(self, region: int, features: Tensor) -> None:
        if self._norm is not None:
            self._moments[region % len(self._moments)].add(features)

    def __call__(self, region: int, features: Tensor) -> Tensor:
        if self._norm is None:
            return features
        moments = self._moments[region % len(self._moments)]
        scale = self._norm.weight.double() / (moments.squares / moments.count + EPSILON).sqrt()
        shift = self._norm.bias.double() - moments.mean * scale
        values = at_least_float32(features)
        factor, offset = (one.to(values.dtype).view(1, -1, 1, 1) for one in (scale, shift))
        return torch.addcmul(offset, values, factor).to(features.dtype)
