"""Both images of a pair are cropped and flipped alike, by draws that belong to (seed, epoch, key) and to no worker.

The only place that knows albumentations (2.0.8, the last version under a permissive licence).
"""

import os
from collections.abc import Mapping

import numpy as np

from restorekit.rng import seed_for

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would look for updates on the network at import

import albumentations as albu

FLIPS = {"horizontal": albu.HorizontalFlip, "vertical": albu.VerticalFlip, "transpose": albu.Transpose}


class PairAugmentation:
    """A random `crop` and the named flips, each with probability one half, the same for every image of a sample."""

    def __init__(self, crop: int, flips: tuple[str, ...], names: tuple[str, ...]) -> None:
        self._names = names
        steps = [albu.RandomCrop(crop, crop), *(FLIPS[flip](p=0.5) for flip in flips)]
        targets = dict.fromkeys(names[1:], "image")
        self._compose = albu.Compose(steps, additional_targets=targets, seed=0)

    def __call__(self, images: Mapping[str, np.ndarray], seed: int, epoch: int, key: str) -> dict[str, np.ndarray]:
        """Crops and flips `images` (uint8, H x W x 3 or H x W), which are named as at construction."""
        self._compose.set_random_seed(seed_for(seed, "augmentation", epoch, key) % 2**32)
        first, *rest = self._names
        result = self._compose(image=images[first], **{name: images[name] for name in rest})
        return {first: result["image"], **{name: result[name] for name in rest}}
