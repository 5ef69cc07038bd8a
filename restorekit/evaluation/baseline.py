"""What a gain is over: the degraded image itself, and where something is missing the plainest filling of it."""

import numpy as np

from restorekit.evaluation.pairs import Pair


def baseline(pair: Pair) -> np.ndarray:
    """The pair's degraded image, uint8 (H, W, 3), with its holes, if it has any, filled by `mean_fill`."""
    if pair.facts.hole_share is None or pair.mask is None:
        return pair.degraded
    return mean_fill(pair.degraded, pair.mask > 0)


def mean_fill(image: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Holes, bool (H, W), of one colour, the mean of all that is not missing; mid-grey where nothing is known."""
    colour = image[~holes].mean(axis=0) if not holes.all() else np.full(3, 127.5)
    return np.where(holes[..., None], np.rint(colour).astype(np.uint8), image)
