"""What models are held against in `make bench-quality`: the image as it is, and methods without learning."""

from collections.abc import Callable

import cv2
import numpy as np

Method = Callable[[np.ndarray, np.ndarray | None], np.ndarray]  # uint8 (H, W, 3) and a bool mask, to uint8 (H, W, 3)


def identity(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return image


def median(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return cv2.medianBlur(image, 5)


def opening(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """A morphological opening, which removes what is thin and brighter than its surroundings."""
    return cv2.morphologyEx(image, cv2.MORPH_OPEN, np.ones((1, 5), np.uint8))


def dark_channel(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """He, Sun and Tang (CVPR 2009): window of 15, 95 % of the haze, transmission smoothed by a guided filter."""
    pixels = image.astype(np.float32) / 255
    window = np.ones((15, 15), np.uint8)
    dark = cv2.erode(pixels.min(axis=2), window)
    brightest = np.argsort(dark, axis=None)[-max(1, dark.size // 1000) :]
    light = pixels.reshape(-1, 3)[brightest].max(axis=0)
    transmission = 1 - 0.95 * cv2.erode((pixels / np.maximum(light, 1e-3)).min(axis=2), window)
    transmission = np.clip(_guided(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), transmission, 41, 1e-3), 0.1, 1.0)
    restored = (pixels - light) / transmission[..., None] + light
    return np.clip(np.rint(restored * 255), 0, 255).astype(np.uint8)


def equalised(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Contrast-limited adaptive equalisation of the lightness."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(2.0, (8, 8)).apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def unsharp(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return cv2.addWeighted(image, 1.5, cv2.GaussianBlur(image, (0, 0), 2.0), -0.5, 0.0)


def telea(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return cv2.inpaint(image, _holes(mask), 3, cv2.INPAINT_TELEA)


def navier_stokes(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return cv2.inpaint(image, _holes(mask), 3, cv2.INPAINT_NS)


def _holes(mask: np.ndarray | None) -> np.ndarray:
    if mask is None:
        raise ValueError("a hole is needed")
    return mask.astype(np.uint8)


def _guided(guide: np.ndarray, values: np.ndarray, size: int, smoothing: float) -> np.ndarray:
    """He, Sun and Tang (ECCV 2010), a grey guide."""

    def box(array: np.ndarray) -> np.ndarray:
        return cv2.blur(array, (size, size))

    mean_guide, mean_values = box(guide), box(values)
    slope = (box(guide * values) - mean_guide * mean_values) / (box(guide * guide) - mean_guide**2 + smoothing)
    return box(slope) * guide + box(mean_values - slope * mean_guide)


OPPONENTS: dict[str, dict[str, Method]] = {
    "reflection": {"identity": identity},
    "rain": {"identity": identity, "median 5": median, "opening 1 x 5": opening},
    "haze": {"identity": identity, "dark channel": dark_channel, "equalised": equalised},
    "raindrop": {"identity": identity, "median 5": median},
    "motion_blur": {"identity": identity, "unsharp mask": unsharp},
    "inpainting": {"Telea": telea, "Navier-Stokes": navier_stokes},
}
