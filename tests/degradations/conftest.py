"""Small photographs that every degradation is tested on."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from skimage import data

from restorekit.degradations import Scene

_PHOTOGRAPHS = {name: getattr(data, name)()[..., :3] for name in ("astronaut", "chelsea", "coffee", "rocket")}


def photograph(name: str, size: tuple[int, int]) -> np.ndarray:
    """One of the four photographs stretched to `size` (H, W), float32 in [0, 1]."""
    pixels = _PHOTOGRAPHS[name].astype(np.float32) / 255
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)


@pytest.fixture
def make_scene() -> Callable[..., Scene]:
    def make(size: tuple[int, int] = (128, 160), name: str = "chelsea", other: str = "coffee") -> Scene:
        return Scene(photograph(name, size), other=photograph(other, (120, 150)))

    return make
