"""A camera after a degradation: noise, clipping, a tone curve, sharpening and JPEG, as in photographs that people have.

Averaging or compositing alone leaves inputs without noise, which no camera takes. On real blur, noise after the
averaging brought others 0.9 dB and the whole chain 1.2 dB (Rim et al., RSBlur, ECCV 2022). Exposure, white balance and
tone curve change input and target alike, because a restored photograph keeps its look; noise, clipping, sharpening and
JPEG change the input alone. For speed, sRGB counts as the square root of light.
"""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from scipy.special import ndtri

from restorekit.degradations.scene import Degraded, log_uniform, uniform
from restorekit.image import to_float
from restorekit.rng import rng_for

GAIN = (0.6, 1.1)  # exposure, a factor on light
BALANCE = 0.06  # standard deviation of the logarithm of a channel's factor on light
CONTRAST = (-0.25, 0.35)  # share of an S-curve; below 0 of its inverse
SHOT = (2e-5, 2e-3)  # variance of the noise a unit of light: from a small gain to a large one
READ = (1e-6, 2e-4)  # variance of the noise in the dark
CORRELATED = (0.0, 0.8)  # pixels: standard deviation of the blur of noise by demosaicing
SHARPENED = (0.0, 0.9)  # share of the detail that sharpening adds
RADIUS = (0.5, 1.4)  # pixels: standard deviation of the blur that the detail is measured against
QUALITY = (40, 96)  # of JPEG
SAMPLINGS = {
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
}
_LEAST_BLUR = 0.25  # pixels: less leaves a pixel to itself
_STRIP = 2**13  # pixels of a frame that are exposed at once, to stay within the processor's cache
# The standard normal distribution by its value in the middle of 256 equal shares: a byte draws one.
_NORMAL = ndtri((np.arange(256) + 0.5) / 256).astype(np.float32)
_NORMAL /= np.sqrt(np.square(_NORMAL).mean())


def draw_camera(rng: np.random.Generator) -> dict[str, Any]:
    """The record of a camera, as JSON values; each part but the tone curve is left out of some photographs."""
    noise = {
        "shot": log_uniform(rng, SHOT),
        "read": log_uniform(rng, READ),
        "blur": uniform(rng, CORRELATED),
        "seed": int(rng.integers(2**32)),
    }
    sharpening = {"amount": uniform(rng, SHARPENED), "radius": uniform(rng, RADIUS)}
    sampling = list(SAMPLINGS)[int(rng.choice(3, p=(0.3, 0.1, 0.6)))]
    jpeg = {"quality": int(rng.integers(QUALITY[0], QUALITY[1] + 1)), "sampling": sampling}
    gain = log_uniform(rng, GAIN)
    has_noise, has_sharpening, has_jpeg = (bool(value) for value in rng.random(3) < (0.5, 0.5, 0.75))
    return {
        "gains": [gain * float(np.exp(rng.normal(0.0, BALANCE))) for _ in range(3)],  # on the light of each channel
        "contrast": uniform(rng, CONTRAST),
        "noise": noise if has_noise else None,
        "sharpening": sharpening if has_sharpening else None,
        "jpeg": jpeg if has_jpeg else None,
    }


def photographed(made: Degraded, camera: dict[str, Any]) -> Degraded:
    """`made` as the camera of `camera` takes it: `degraded` in [0, 1], and `clean` with the same exposure and tones.

    The layer is exposed like the photograph; mask and transmission stay.
    """
    height, width = made.clean.shape[:2]
    # Rows of values, because NumPy is slow to broadcast over three channels.
    roots = np.tile(np.sqrt(np.asarray(camera["gains"], np.float32)), width)  # factors on sRGB
    degraded, original = (image.reshape(height, -1) for image in (made.degraded, made.clean))
    flat, clean = np.empty(degraded.shape, np.uint8), np.empty_like(original)
    rng = rng_for(camera["noise"]["seed"], "noise") if camera["noise"] else None
    rows = max(8, _STRIP // width)
    for top in range(0, height, rows):
        strip = np.s_[top : top + rows]
        taken = np.maximum(degraded[strip], 0.0)
        taken *= roots
        if rng is not None:
            _add_noise(taken, camera["noise"], rng)
        flat[strip] = cv2.convertScaleAbs(_toned(taken, camera["contrast"]), alpha=255)  # rounds
        clean[strip] = _toned(original[strip] * roots, camera["contrast"])
    developed: np.ndarray = flat.reshape(made.clean.shape)
    if camera["sharpening"] is not None:
        radius, amount = camera["sharpening"]["radius"], camera["sharpening"]["amount"]
        side = 2 * int(np.ceil(2.5 * radius)) + 1
        blurred = cv2.GaussianBlur(developed, (side, side), radius)
        developed = cv2.addWeighted(developed, 1 + amount, blurred, -amount, 0.0)
    if camera["jpeg"] is not None:
        developed = _compressed(developed, camera["jpeg"])
    layer = None if made.noise_layer is None else made.noise_layer * roots[:3]
    return replace(made, degraded=to_float(developed), clean=clean.reshape(made.clean.shape), noise_layer=layer)


def _add_noise(root: np.ndarray, noise: dict[str, Any], rng: np.random.Generator) -> None:
    """Adds noise of variance read + shot * light to the light, in place; `root` is the root of light, (rows, 3 W)."""
    raw = rng.bit_generator.random_raw(-(-root.size // 8))
    draws = cv2.LUT(raw.view(np.uint8)[: root.size].reshape(root.shape), _NORMAL)
    if noise["blur"] > _LEAST_BLUR:
        kernel = cv2.getGaussianKernel(3, noise["blur"], cv2.CV_32F)
        kernel = kernel / np.sqrt(np.square(kernel).sum())  # keeps the deviation
        shape = (root.shape[0], -1, 3)
        draws = cv2.sepFilter2D(draws.reshape(shape), cv2.CV_32F, kernel, kernel).reshape(root.shape)
    light = np.multiply(root, root, out=root)
    deviation = light * np.float32(noise["shot"])
    deviation += np.float32(noise["read"])
    draws *= cv2.sqrt(deviation, deviation)
    light += draws
    cv2.sqrt(np.maximum(light, 0.0, out=light), light)


def _toned(image: np.ndarray, contrast: float) -> np.ndarray:
    """`image`, clipped at white, with a share of the S-curve 3 x^2 - 2 x^3 in place of x; `image` is overwritten."""
    np.minimum(image, 1.0, out=image)
    factor = image * np.float32(-2.0 * contrast)
    factor += np.float32(3.0 * contrast)
    factor *= image
    factor += np.float32(1.0 - contrast)
    factor *= image
    return factor


def _compressed(image: np.ndarray, jpeg: dict[str, Any]) -> np.ndarray:
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg["quality"]]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[jpeg["sampling"]]]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB))
