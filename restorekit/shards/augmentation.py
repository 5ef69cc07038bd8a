"""Both images of a pair are cropped and flipped alike, by draws that belong to (seed, epoch, key) and to no worker.

The only place that knows albumentations (2.0.8, the last version under a permissive licence).
"""

import os
import random
from collections.abc import Mapping

import numpy as np

from restorekit.rng import rng_for, seed_for

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would look for updates on the network at import

import albumentations as albu

FLIPS = {"horizontal": albu.HorizontalFlip, "vertical": albu.VerticalFlip, "transpose": albu.Transpose}
CHANNELS = "channels"  # red, green and blue in another order, so that few photographs seem more


class PairAugmentation:
    """A random `crop` and the named flips, each with probability one half, the same for every image of a sample.

    "channels" among them is one of the six orders of the colours, all alike probable.
    """

    def __init__(self, crop: int, flips: tuple[str, ...], names: tuple[str, ...]) -> None:
        self._names = names
        steps = [albu.RandomCrop(crop, crop), *(FLIPS[flip](p=0.5) for flip in flips if flip != CHANNELS)]
        self._shuffles = CHANNELS in flips
        targets = dict.fromkeys(names[1:], "image")
        self._compose = albu.Compose(steps, additional_targets=targets, seed=0)

    def __call__(self, images: Mapping[str, np.ndarray], seed: int, epoch: int, key: str) -> dict[str, np.ndarray]:
        """Crops and flips `images` (uint8, H x W x 3 or H x W), which are named as at construction."""
        own = seed_for(seed, "augmentation", epoch, key)
        # One generator for all steps: with `set_random_seed` each gets one of its own with the same seed, and so either
        # all flips were made or none, as the crop lay low or high.
        self._compose.set_random_state(np.random.default_rng(own), random.Random(own))
        first, *rest = self._names
        result = self._compose(image=images[first], **{name: images[name] for name in rest})
        made = {first: result["image"], **{name: result[name] for name in rest}}
        if not self._shuffles:
            return made
        order = rng_for(seed, CHANNELS, epoch, key).permutation(3)  # albumentations' own needs an older OpenCV
        return {name: image[..., order] if image.ndim == 3 else image for name, image in made.items()}
