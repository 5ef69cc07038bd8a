"""The phases of DMGN (dmgn.md 3): head features, separator, coarse branch, attention, noise map, refining trunk.

The hypercolumn (1475 channels with a VGG) is never stored: its convolution is a sum over slices (dmgn.md 7).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from restorekit.models.dmgn.cells import DeepMaskingCell, Gate, PartsConv, reflect, spread
from restorekit.models.trunks import Trunk

GROUP = 64  # channels of a level that are resized together


class Hypercolumn(nn.Module):
    """Hypercolumn features HFL (dmgn.md 3.1) of an image (B, 3, H, W) in [-1, 1]: (B, width, H, W).

    The gradient reaches the input through the image's own three channels only: the trunk's maps are constants.
    `group` changes the memory, not the result.
    """

    def __init__(self, width: int, trunk: Trunk | None, group: int = GROUP) -> None:
        super().__init__()
        self.trunk = trunk
        self.group = group
        self.first = PartsConv([3, *(trunk.channels if trunk else ())], width)
        self.second = nn.Conv2d(width, width, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.second(reflect(self._combine(image).relu_())).relu_()

    def _combine(self, image: Tensor) -> Tensor:
        """The first convolution's output; in training, the backward pass resizes each slice again."""
        features = self.first.part(reflect(image), 0, bias=True)
        if self.trunk is None:
            return features
        features = features.to(image.dtype)  # under autocast, two dozen slices are summed in float32
        size, start = list(image.shape[-2:]), image.shape[1]
        with torch.no_grad():
            level = self.trunk.normalize(image)
        for stage in self.trunk.stages():
            with torch.no_grad():
                level = stage(level)
            for group in level.split(self.group, dim=1):
                weight = self.first.weight[:, start : start + group.shape[1]]
                if torch.is_grad_enabled():
                    part = checkpoint(_slice, group, weight, size, use_reentrant=False, preserve_rng_state=False)
                else:
                    part = _slice(group, weight, size)
                features += part
                del part
                start += group.shape[1]
        return features


def _slice(level: Tensor, weight: Tensor, size: list[int]) -> Tensor:
    return F.conv2d(reflect(_to_size(level, size)), weight)


def _to_size(level: Tensor, size: list[int]) -> Tensor:
    if list(level.shape[-2:]) == size:
        return level
    return F.interpolate(level, size=size, mode="bilinear", align_corners=False)


DILATIONS = (1, 2, 4, 8, 16, 1)  # of the refining cells
STEER = tuple(0.4 * 0.5**cell for cell in range(len(DILATIONS)))  # a_i: weight of K in the gate of refining cell i
MIN_DEPTH = 1e-6  # limit for max n - mean n; below the limit K = 1


class Separator(nn.Module):
    """Maps features (B, C, H, W) to U (B, C, H, W) and m (B, 1, H, W): m U is background, (1 - m) U noise (3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3)
        self.second = nn.Conv2d(channels, channels, 3)
        self.gate = Gate(channels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        shared = self.second(reflect(self.first(reflect(features)).relu_())).relu_()
        return shared, self.gate(shared)


class Up(nn.Module):
    """Joins features with a skip of twice their size; computing the skip's part first frees the skip early."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.first = PartsConv([inputs, channels], channels)
        self.second = nn.Conv2d(channels, channels, 3)

    def skip(self, skip: Tensor) -> Tensor:
        """The skip's part (B, C, H, W) of the joining convolution."""
        return self.first.part(reflect(skip), self.first.in_channels - skip.shape[1], bias=True)

    def forward(self, features: Tensor, joined: Tensor) -> Tensor:
        """The joined map (B, C, H, W) of features (B, 2 C, h, w) and the result of `skip`, which is overwritten."""
        start = 0
        for part in features.split(joined.shape[1], dim=1):  # never holds all channels at full size
            joined += self.first.part(reflect(_resize(part, joined)), start)
            start += part.shape[1]
        return self.second(reflect(joined.relu_())).relu_()


def _resize(features: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=True)


class Branch(nn.Module):
    """A coarse branch (3.4): twelve cells over three scales, and a head. Background and noise have a branch each."""

    def __init__(self, width: int, gated: bool = True) -> None:
        super().__init__()
        widths = [width, 2 * width, *[4 * width] * 8, 2 * width, width]
        self.cells = nn.ModuleList(DeepMaskingCell(channels, gated=gated) for channels in widths)
        self.down1 = nn.Conv2d(width, 2 * width, 3, stride=2, bias=False)
        self.down2 = nn.Conv2d(2 * width, 4 * width, 3, stride=2, bias=False)
        self.up1 = Up(4 * width, 2 * width)
        self.up2 = Up(2 * width, width)
        self.head = nn.Conv2d(width, width, 3)
        self.last = nn.Conv2d(width, 3, 1)

    def forward(self, shared: Tensor, share: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The head's image (B, 3, H, W) for `share` times the separator's features, and the twelve gates."""
        gates: list[Tensor] = []
        features = self._cell(0, spread(share, shared) * shared, gates)
        full = self.up2.skip(features)
        features = self._cell(1, self.down1(reflect(features)).relu_(), gates)
        half = self.up1.skip(features)
        features = self.down2(reflect(features)).relu_()
        for cell in range(2, 10):
            features = self._cell(cell, features, gates)
        features = self.up1(features, half)
        del half  # `half`, and `full` below, would otherwise stay alive until the return
        features = self.up2(self._cell(10, features, gates), full)
        del full
        features = self._cell(11, features, gates)
        return self.last(self.head(reflect(features)).relu_()), gates

    def _cell(self, cell: int, features: Tensor, gates: list[Tensor]) -> Tensor:
        features, gate = self.cells[cell](features)
        gates.append(gate)
        return features


class SignedAttention(nn.Module):
    """ACA (3.5): one weight in (0, 1) for each channel, from a gated average, times a sign."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 16)
        self.pool = nn.Conv2d(channels, channels, 5, stride=4, groups=channels, bias=False)
        self.gate = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        self.reduce = nn.Linear(channels, inner, bias=False)
        self.expand = nn.Linear(inner, channels, bias=False)

    def forward(self, features: Tensor, sign: float) -> Tensor:
        """`sign` times the weighted features, (B, C, H, W)."""
        with torch.autocast(features.device.type, enabled=False):  # depthwise in bfloat16 is five times slower on a CPU
            pooled = self.pool(reflect(features.to(self.pool.weight.dtype))).relu_()
            average = (pooled * torch.sigmoid(self.gate(pooled))).mean(dim=(2, 3))
            weights = torch.sigmoid(self.expand(F.relu(self.reduce(average))))
        return features * (sign * weights).to(features.dtype)[:, :, None, None]


class NoiseMap(nn.Module):
    """NDM (3.6): features of the image and of the noise image to K (B, 1, H, W), min 0 and mean 1 in each image.

    The map is computed in float32 under mixed precision, because the normalisation amplifies rounding by
    1 / (max n - mean n), some thousands at first. `batch_stats` follows the released code: statistics of the
    whole batch and no guard, so that a constant n gives NaN.
    """

    def __init__(self, channels: int, batch_stats: bool = False) -> None:
        super().__init__()
        self.batch_stats = batch_stats
        self.first = PartsConv([channels, channels], channels)
        self.second = nn.Conv2d(channels, channels, 3)
        self.gate = Gate(channels, bias=False)

    def forward(self, features: Tensor, noise_features: Tensor) -> Tensor:
        dtype = self.first.weight.dtype
        with torch.autocast(features.device.type, enabled=False):
            joined = self.first.part(reflect(features.to(dtype)), 0, bias=True)
            joined += self.first.part(reflect(noise_features.to(dtype)), features.shape[1])
            return self.normalize(self.gate(self.second(reflect(joined.relu_())).relu_()))

    def normalize(self, noise: Tensor) -> Tensor:
        """K = 1 - (n - mean n) / (max n - mean n) for n of shape (B, 1, H, W).

        Values are measured downwards from max n, so that the mean of a constant n is exact, and K is 1.
        """
        dims = (0, 1, 2, 3) if self.batch_stats else (1, 2, 3)
        below = noise.amax(dim=dims, keepdim=True) - noise
        depth = below.mean(dim=dims, keepdim=True)
        return 1 - (depth - below) / (depth if self.batch_stats else depth.clamp(min=MIN_DEPTH))


class Refiner(nn.Module):
    """The refining trunk (3.7): dilated cells at full resolution, which K steers if the network has a noise map."""

    def __init__(self, width: int, final_tanh: bool, parts: int = 3, gated: bool = True) -> None:
        super().__init__()
        self.final_tanh = final_tanh
        self.first = PartsConv([width] * parts, width)
        self.cells = nn.ModuleList(DeepMaskingCell(width, dilation, gated) for dilation in DILATIONS)
        self.mix = nn.Conv2d(width, width, 1)
        self.last = nn.Conv2d(width, 3, 1)

    def forward(self, joined: Tensor, steer: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The residual image (B, 3, H, W) and six gates, from `joined`, the sum of Z's parts, which is overwritten."""
        features = joined.relu_()
        gates = []
        for cell, amount in zip(self.cells, STEER, strict=True):
            features, gate = cell(features, steer, amount)
            gates.append(gate)
        residual = self.last(self.mix(features).relu_())
        return torch.tanh(residual) if self.final_tanh else residual, gates
