"""Crops and flips, the same for all images of a sample, drawn from (seed, epoch, key) in any loader worker.

Only this file imports albumentations (2.0.8, the last version under a permissive licence), which takes long to import.
"""

import os
import random
from collections.abc import Mapping

import numpy as np

from restorekit.rng import rng_for, seed_for

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # at import it would ask the network for updates

import albumentations as albu

FLIPS = {"horizontal": albu.HorizontalFlip, "vertical": albu.VerticalFlip, "transpose": albu.Transpose}
CHANNELS = "channels"  # permutes red, green and blue, for more variety from few photographs


class PairAugmentation:
    """A random `crop` and the named flips, each with probability one half, the same for every image of a sample.

    "channels" draws one of the six orders of the colours, with equal probabilities.
    """

    def __init__(self, crop: int, flips: tuple[str, ...], names: tuple[str, ...]) -> None:
        self._names = names
        steps = [albu.RandomCrop(crop, crop), *(FLIPS[flip](p=0.5) for flip in flips if flip != CHANNELS)]
        self._shuffles = CHANNELS in flips
        targets = dict.fromkeys(names[1:], "image")
        self._compose = albu.Compose(steps, additional_targets=targets, seed=0)

    def __call__(self, images: Mapping[str, np.ndarray], seed: int, epoch: int, key: str) -> dict[str, np.ndarray]:
        """The cropped and flipped `images` (uint8, H x W x 3 or H x W), with the names given at construction."""
        own = seed_for(seed, "augmentation", epoch, key)
        # One generator for all steps: `set_random_seed` would give every step a generator of the same seed, so that
        # a sample would have all flips or none, depending on the place of its crop.
        self._compose.set_random_state(np.random.default_rng(own), random.Random(own))
        first, *rest = self._names
        result = self._compose(image=images[first], **{name: images[name] for name in rest})
        made = {first: result["image"], **{name: result[name] for name in rest}}
        if not self._shuffles:
            return made
        order = rng_for(seed, CHANNELS, epoch, key).permutation(3)  # albumentations' version needs an older OpenCV
        return {name: image[..., order] if image.ndim == 3 else image for name, image in made.items()}
