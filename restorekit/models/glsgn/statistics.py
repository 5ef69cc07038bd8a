"""Patch Norm in two passes: moments are gathered from parts of a frame in any order, and applied afterwards."""

import torch
from torch import Tensor

from restorekit.models.glsgn.grid import at_least_float32
from restorekit.models.glsgn.pathway import EPSILON, PatchNorm


class Moments:
    """Count, mean and sum of squared deviations of each channel, in float64, over all that was added."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Takes in (1, C, h, w), whose deviations are those from its own mean: no large squares cancel."""
        values = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
        values = at_least_float32(values)
        mean = values.mean(0)
        squares = (values - mean).square_().sum(0).double()
        count = values.shape[0]
        apart = mean.double() - self.mean.to(mean.device)
        self.squares = (
            self.squares.to(mean.device) + squares + apart.square() * (self.count * count / (self.count + count))
        )
        self.count += count
        self.mean = self.mean.to(mean.device) + apart * (count / self.count)


class Normed:
    """A Patch Norm over `num_regions` regions: `add` gathers, a call applies; without a norm nothing is changed."""

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
        return (values * factor).add_(offset).to(features.dtype)
