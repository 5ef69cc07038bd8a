"""Distances between feature maps of a frozen ImageNet trunk, and between features of a teacher and a student."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restorekit.losses.pixel import l1
from restorekit.models.trunks import ShiftTolerantVgg16, Trunk

LEVEL_WEIGHTS = (1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5)  # of relu1_1 ... relu5_1
GREY_LEVELS = 255.0
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
TEMPERATURE = 0.5  # t of dakd.md 5
MAX_ENERGY = 4.0  # limit of an energy divided by the mean energy
TINY = 1e-6


class Perceptual(nn.Module):
    """P(x, y) of dmgn.md 8 for images (B, 3, H, W) in [-1, 1], 16 pixels a side or more; the gradient reaches x only.

    P sums weighted L1 distances of five levels of a frozen trunk and of the images themselves. The formula comes from
    the first author's CFDNet (ICME 2021), whose images are in [0, 1]: here (x + 1) / 2 is normalised with ImageNet's
    mean and standard deviation, and multiplied by 255. So P counts in grey levels, some hundred times an L1. VGG-19
    receives the multiplied image, as in CFDNet. The shift-tolerant VGG-16 receives the normalised image, as in its
    training, and its distances are multiplied instead, so that the level weights keep their meaning.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        device = image.device.type
        # float16 cannot hold VGG's responses to values of +-1000
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
        return GREY_LEVELS * ((image + 1) / 2 - self.get_buffer("mean")) / self.get_buffer("std")


class FeatureDistance(nn.Module):
    """The weighted sum of L1 distances at relu1_1 ... relu5_1, for images (B, 3, H, W) in [0, 1] of 16 pixels or more.

    Both trunks get the normalisation of their training (glsgn.md 7). The gradient reaches the first image only.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        found, wanted = self._input(image), self._input(target.detach())
        distances = []
        for stage, weight in zip(self.trunk.stages(), LEVEL_WEIGHTS, strict=True):
            found = stage(found)
            with torch.no_grad():
                wanted = stage(wanted)
            distances.append(weight * l1(found, wanted))
        return torch.stack(distances).sum()

    def _input(self, image: Tensor) -> Tensor:
        return (image.float() - self.get_buffer("mean")) / self.get_buffer("std")


class PooledFeatures(nn.Module):
    """phi: three feature levels of an ImageNet-normalised image (B, 3, H, W), 8 pixels a side or more."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, image: Tensor) -> list[Tensor]:
        device, features, levels = image.device.type, image, []
        # float16 cannot hold VGG's largest responses
        with torch.autocast(device, dtype=torch.bfloat16, enabled=torch.is_autocast_enabled(device)):
            for stage in self.trunk.pooled_stages():
                features = stage(features)
                levels.append(features)
        return levels


def content(levels: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """The sum over levels of the mean absolute difference, a scalar."""
    return torch.stack([l1(one, other) for one, other in zip(levels, wanted, strict=True)]).sum()


def style(levels: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """The sum over levels of the mean absolute difference of Gram matrices, a scalar."""
    return content([gram(level) for level in levels], [gram(level) for level in wanted])


def gram(features: Tensor) -> Tensor:
    """F F^T / (C H W) of features (B, C, H, W), float32 (B, C, C)."""
    with torch.autocast(features.device.type, enabled=False):
        rows = features.float().flatten(2)
        return rows @ rows.mT / rows[0].numel()


def distillation(student: Sequence[Tensor], teacher: Sequence[Tensor], attentive: bool = True) -> Tensor:
    """The mean squared distance of maps (B, C, H, W), weighted by the teacher's attention and summed over the pairs.

    The result is a float32 scalar; no gradient reaches the teacher. Without `attentive` every value counts the same.
    """
    terms = []
    for own, given in zip(student, teacher, strict=True):
        wanted = given.detach().float()
        distances = (normalized(own.float()) - normalized(wanted)).square()
        terms.append((attention(wanted) * distances if attentive else distances).mean())
    return torch.stack(terms).sum()


def normalized(features: Tensor) -> Tensor:
    """Each channel of (B, C, H, W) divided by its root mean square; a channel of zeros stays zero."""
    return features / (features.square().mean(dim=(2, 3), keepdim=True) + TINY).sqrt()


def attention(teacher: Tensor) -> Tensor:
    """A (B, C, H, W), mean 1 in each image: a share for each position times a share for each channel."""
    energy = teacher.abs()
    batch, channels, height, width = energy.shape
    places = _share(energy.mean(dim=1).flatten(1)) * (height * width)
    kinds = _share(energy.mean(dim=(2, 3))) * channels
    return places.view(batch, 1, height, width) * kinds.view(batch, channels, 1, 1)


def _share(energy: Tensor) -> Tensor:
    """Softmax of (B, N) energies divided by their mean; energies of zero get equal shares."""
    relative = energy / (energy.mean(dim=1, keepdim=True) + TINY)
    return (relative.clamp(max=MAX_ENERGY) / TEMPERATURE).softmax(dim=1)
