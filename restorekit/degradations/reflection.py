"""Reflections: the two published syntheses of DMGN (Feng et al., TIP 2021; released code), S1 and S2, and panes.

S1 follows CEILNet and ERRNet, S2 follows Zhang et al. (CVPR 2018), both as DMGN modified them. The functions `s1` and
`s2` are the published forms. `Reflection` places the reflected photograph, scales the published lengths (stated for
256 x 256) with the short side, and dims the reflection to a strength that grows with the severity.

Networks that learn from S1 and S2 alone remove S1 and S2. Beside them, a pane (glass.py) is blended with the scene in
the ways that published sets and cameras do: as light ("glass"), as a clipped sum of sRGB values ("sum"; the test images
of CEILNet, Fan et al., ICCV 2017), and as T + R - T R ("screen"; DSRNet, Hu and Guo, ICCV 2023).
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from scipy.special import ndtr

from restorekit.degradations.glass import draw_glass, draw_loss, glass_light
from restorekit.degradations.optics import GAMMA, to_light, to_srgb
from restorekit.degradations.scene import Degraded, Scene, check_scene, new_record, uniform, visible_mask
from restorekit.errors import RestorekitError
from restorekit.tasks import TASKS

KINDS = TASKS["reflection"].kinds
FRAME = 256  # pixels of the published crops, for which blur and vignette are stated
VIGNETTE = 549  # pixels that the published vignette can cover
_REDUCED = 512  # pixels; from twice this short side on, blurred reflections are made at a smaller size

# Root mean square of the reflection's change, sRGB, over severity 0 to 1 (geometric in between), times a factor of each
# frame. 0.063 at severity 0.2 is 24 dB, 0.127 at 0.8 is 18 dB; real20 lies at 0.08 to 0.21, CEILNet's test at 0.09 to
# 0.35. Median input PSNR of kind "mixed" at severity 0.2, 0.5 and 0.8 over BSDS: 24.5, 21.5 and 18.7 dB (24.0, 21.1 and
# 18.4 with a factor of 0.85 to 1.15 and a narrower pane). S1 and S2 are dimmed to it, never raised above their
# published strength; a pane's reflection is raised up to its `exposure`.
STRENGTH = (0.05, 0.16)
FACTOR = (0.4, 2.6)  # limits of that factor, which is 1 in the median
S2_FACTOR = 1.3  # largest factor of S2, because many of its reflections are faint: a severity would change nothing
EXPOSURE = (4.0, 32.0)  # most light of a reflected scene, in multiples of its photograph's
_FULL_LOSS = 0.1  # strength from which on a pane keeps back all the light that it can; less in proportion below
_GAINS = np.geomspace(1e-4, 1.0, 28)  # in linear light; a gain is interpolated between them


class Synthesis(NamedTuple):
    """background, reflection and their mixture, float32 (H, W, 3)."""

    background: np.ndarray
    reflection: np.ndarray
    mixture: np.ndarray


def s1(background: np.ndarray, reflected: np.ndarray, blur: bool, sigma: float = 2.0) -> Synthesis:
    """S1 as published, for sRGB images in [0, 1] of one size; the blur branch takes `sigma`, 2 to 5 pixels.

    With `blur` the mixture is at most 1; without, it is background + reflected, unclipped, up to 2.
    """
    if not blur:
        return Synthesis(background, reflected, background + reflected)
    reflection = _s1_blurred(background, reflected, 5, sigma)
    return Synthesis(background, reflection, np.clip(background + reflection, 0.0, 1.0))


def s2(
    background: np.ndarray,
    reflected: np.ndarray,
    sigma: float,
    attenuation: float,
    alpha: float,
    window: tuple[int, int],
    clip: bool,
) -> Synthesis:
    """S2 as published, for sRGB images in [0, 1] of one size, at most 549 x 549 pixels (RestorekitError above).

    sigma: one of linspace(1, 5, 80), pixels. attenuation: 1.08 to 1.18. alpha: (0.8, 1], transmission of the glass in
    linear light. window: (top, left) of the vignette's window, 0 to 549 - side. The background comes back unchanged;
    the reflection lies in [0, 1], the mixture only with `clip`.
    """
    height, width = background.shape[:2]
    if max(height, width) > VIGNETTE:
        raise RestorekitError(
            f"the published S2 covers frames of up to {VIGNETTE} x {VIGNETTE} pixels, found {height} x {width}: "
            "crop the frame, or use the degradation 'reflection', which scales the vignette"
        )
    for start, side in zip(window, (height, width), strict=True):
        if not 0 <= start <= VIGNETTE - side:
            raise RestorekitError(f"the vignette's window starts between 0 and {VIGNETTE - side}, found {start}")
    light = to_light(background)
    reflection = _s2_light(light, reflected, 2 * int(np.ceil(2 * sigma)) + 1, sigma, attenuation)
    reflection *= vignette((height, width), (float(window[0]), float(window[1])), 1.0)[..., None]
    mixture = to_srgb(reflection + np.float32(alpha) * light)
    return Synthesis(background, to_srgb(reflection), np.clip(mixture, 0.0, 1.0) if clip else mixture)


def vignette(size: tuple[int, int], start: tuple[float, float], step: float) -> np.ndarray:
    """The published vignette, float32 (H, W) in [0, 1], sampled in steps of `step` from `start` (top, left) on.

    Whole starts and step 1 give the published values: sqrt(k k^T) / max, with k the differences of the normal
    distribution at 561 points over +-(3 + 7/1120). Other starts and steps interpolate them.
    """
    reach = 3 + 7 / 1120
    spacing = 2 * reach / 560
    edges = (spacing * (first + step * np.arange(side)) - reach for side, first in zip(size, start, strict=True))
    down, across = (np.sqrt((ndtr(edge + spacing) - ndtr(edge)) / (ndtr(spacing) - 0.5)) for edge in edges)
    return np.outer(down, across).astype(np.float32)


class Reflection:
    """kind "s1", "s2": the published syntheses; "glass", "sum", "screen": a pane blended as light, as a clipped sum of
    sRGB values, or as T + R - T R. Severity dims the reflection to `STRENGTH`.

    The loader crops, flips and resizes the background; of the published pair geometry, the record keeps the part that
    concerns the reflected photograph.
    """

    name = "reflection"
    needs_other = True

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        s1_branch = {"blur": bool(rng.random() < 0.5), "sigma": uniform(rng, (2.0, 5.0))}
        s2_draws = {
            "sigma": float(np.linspace(1, 5, 80)[rng.integers(80)]),
            "attenuation": 1.08 + uniform(rng, (0.0, 0.1)),
            "alpha": 1.0 - 0.2 * float(rng.random()),
            "window": [float(rng.random()), float(rng.random())],  # of the room around the vignette's window
            "clip": bool(rng.random() < 0.5),
        }
        place = {"short_side": 2 * int(rng.integers(160, 241)), "offset": [float(rng.random()), float(rng.random())]}
        much = float(np.clip(np.exp(rng.normal(0.0, 0.4)), *FACTOR))
        if params["kind"] == "s2":
            much = min(much, S2_FACTOR)
        strength = float(much * STRENGTH[0] * (STRENGTH[1] / STRENGTH[0]) ** severity)
        in_light = bool(rng.random() < 0.5)
        pane = {
            **draw_glass(rng),
            "exposure": float(np.exp(rng.uniform(*np.log(EXPOSURE)))),
            "alpha": [1 - loss * min(1.0, strength / _FULL_LOSS) for loss in draw_loss(rng)],  # transmission
            "in_light": in_light if params["kind"] == "screen" else params["kind"] == "glass",
        }
        own: dict[str, dict[str, Any]] = {"s1": s1_branch, "s2": s2_draws}
        return {**params, "place": place, "strength": strength, **own.get(params["kind"], pane)}

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded:
        size = check_scene(scene, params)
        if scene.other is None:
            raise RestorekitError("a reflection needs a second photograph, the scene that is reflected: give `other`")
        operator = {"s1": _apply_s1, "s2": _apply_s2}.get(params["kind"], _apply_pane)
        reflection, mixture = operator(scene.image, scene.other, size, params)
        return Degraded(mixture, scene.image, reflection, visible_mask(mixture - scene.image), None)


def _apply_s1(
    image: np.ndarray, other: np.ndarray, size: tuple[int, int], params: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    if not params["blur"]:
        reflection = place_reflected(other, size, params["place"])
        reflection *= np.float32(_s1_gain(reflection, params["strength"]))
        return reflection, image + reflection
    small, scale = _reduced(size)
    half = max(1, round(5 * scale))
    reflected = place_reflected(other, small, params["place"])
    reflection = _s1_blurred(_resized(image, small), reflected, half, params["sigma"] * scale)
    reflection *= np.float32(_s1_gain(reflection, params["strength"]))
    reflection = _resized(reflection, size)
    mixture = image + reflection
    return reflection, np.clip(mixture, 0.0, 1.0, out=mixture)


def _apply_s2(
    image: np.ndarray, other: np.ndarray, size: tuple[int, int], params: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    small, scale = _reduced(size)
    light = to_light(image)
    sigma = params["sigma"] * scale
    reflected = place_reflected(other, small, params["place"])
    kernel = 2 * int(np.ceil(2 * sigma)) + 1
    small_light = _resized(light, small)
    reflection = _s2_light(small_light, reflected, kernel, sigma, params["attenuation"])
    # The published crop is 256 of the vignette's 549 pixels; too wide a frame gets a finer step.
    step = min(1 / scale, VIGNETTE / max(small))
    start = [share * (VIGNETTE - side * step) for share, side in zip(params["window"], small, strict=True)]
    reflection *= vignette(small, (start[0], start[1]), step)[..., None]
    reflection *= np.float32(_s2_gain(small_light, reflection, params["alpha"], params["strength"]))
    shown = _resized(to_srgb(reflection), size)
    mixture = to_srgb(cv2.addWeighted(light, params["alpha"], _resized(reflection, size), 1.0, 0.0))
    if params["clip"]:
        np.clip(mixture, 0.0, 1.0, out=mixture)
    return shown, mixture


def _apply_pane(
    image: np.ndarray, other: np.ndarray, size: tuple[int, int], params: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    # A reflection in focus needs every pixel, one out of focus no more than its blur.
    small, _ = _reduced(size, int(params["defocus"] * min(size) / 1.5))
    placed = place_reflected(_of_aspect(other, size, params["place"]["offset"]), small, params["place"])
    reflection = glass_light(to_light(placed), params)
    reflection *= np.float32(_pane_gain(_resized(image, small), reflection, params))
    shown = _resized(to_srgb(reflection), size)
    if not params["in_light"]:
        return shown, _blended(image, shown, params)
    return shown, to_srgb(_blended(to_light(image), _resized(reflection, size), params))


def _blended(scene: np.ndarray, reflection: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """A pane's scene and reflection, both in linear light or both in sRGB: their sum or their screen, float32."""
    power = 1.0 if params["in_light"] else 1 / GAMMA
    seen = scene * np.array([alpha**power for alpha in params["alpha"]], np.float32)
    if params["kind"] == "screen":
        bright = np.clip(reflection, 0.0, 1.0)
        return np.asarray(seen + bright - seen * bright)
    seen += reflection
    return seen if params["kind"] == "glass" else np.clip(seen, 0.0, 1.0, out=seen)


def _of_aspect(other: np.ndarray, size: tuple[int, int], offset: list[float]) -> np.ndarray:
    """The part of `other` with the proportions of a frame of `size`, so that it covers the frame, float32."""
    scale = min(other.shape[0] / size[0], other.shape[1] / size[1])
    sides = [max(1, round(side * scale)) for side in size]
    top, left = (
        round(share * (reached - side)) for share, reached, side in zip(offset, other.shape[:2], sides, strict=True)
    )
    return other[top : top + sides[0], left : left + sides[1]]


def is_too_dark(background: np.ndarray, reflected: np.ndarray) -> bool:
    """Whether a pair is too dark for S2's published data set, which then reflects the next photograph instead, once."""
    return bool(background.mean(dtype=np.float64) / 2 > reflected.mean(dtype=np.float64))


def place_reflected(other: np.ndarray, size: tuple[int, int], place: dict[str, Any]) -> np.ndarray:
    """The reflected photograph, resized and cropped to a frame of `size` (H, W), as published for 256 x 256.

    The side of `other` along the frame's short side becomes `short_side` / 256 of that side; the other side keeps the
    proportion, rounded up to even. The crop's offset is drawn from the room around the frame in a background of equal
    scale. The crop stays within the photograph if the photograph is large enough; otherwise the rest is black.
    """
    short = int(size[0] > size[1])
    ratio = place["short_side"] / FRAME
    sides = [0, 0]
    sides[short] = round(size[short] * ratio)
    sides[1 - short] = 2 * int(np.ceil(other.shape[1 - short] * sides[short] / other.shape[short] / 2))
    shrinks = sides[short] < other.shape[short]
    resized = cv2.resize(other, sides[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    top, left = (
        min(round(share * side * (ratio - 1)), max(0, reached - side))
        for share, side, reached in zip(place["offset"], size, sides, strict=True)
    )
    crop = resized[top : top + size[0], left : left + size[1]]
    frame = np.zeros((*size, 3), np.float32)
    np.clip(crop, 0.0, 1.0, out=frame[: crop.shape[0], : crop.shape[1]])
    return frame


def _s1_blurred(background: np.ndarray, reflected: np.ndarray, half: int, sigma: float) -> np.ndarray:
    """S1's reflection: blurred with darkened borders, and lowered by the mean excess of the mixture over 1."""
    kernel = cv2.getGaussianKernel(2 * half + 1, sigma, cv2.CV_32F)
    reflection = cv2.sepFilter2D(reflected, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    mixture = background + reflection
    over = mixture[mixture > 1]
    if over.size:
        excess = float(over.mean(dtype=np.float64)) - 1
        np.subtract(reflection, np.float32(1.3 * excess), out=reflection)
    return np.clip(reflection, 0.0, 1.0, out=reflection)


def _s2_light(
    background: np.ndarray, reflected: np.ndarray, kernel: int, sigma: float, attenuation: float
) -> np.ndarray:
    """S2's reflection in linear light before the vignette; `background` in linear light, `reflected` in sRGB."""
    reflection = cv2.GaussianBlur(to_light(reflected), (kernel, kernel), sigma, borderType=cv2.BORDER_REFLECT_101)
    for channel in range(3):
        mixture = background[..., channel] + reflection[..., channel]
        over = mixture[mixture > 1]
        if over.size:
            excess = float(over.mean(dtype=np.float64)) - 1
            np.subtract(reflection[..., channel], np.float32(excess * attenuation), out=reflection[..., channel])
    return np.clip(reflection, 0.0, 1.0, out=reflection)


def _s1_gain(reflection: np.ndarray, strength: float) -> float:
    """The factor, at most 1, that dims a reflection to `strength`; in S1 the change is the reflection itself."""
    return min(1.0, strength / max(1e-6, float(cv2.norm(reflection)) / reflection.size**0.5))


def _s2_gain(background: np.ndarray, reflection: np.ndarray, alpha: float, strength: float) -> float:
    """The largest factor in linear light, at most 1, with which S2's mixture changes the photograph by `strength`.

    `background` in linear light. The change is measured on every n-th pixel, about 48 along the short side.
    """
    under, over = _thinned(background, reflection, 48)
    photograph = to_srgb(under)
    if not over.any():
        return 1.0
    changes = [
        float(cv2.norm(to_srgb(cv2.addWeighted(under, alpha, over, gain, 0.0)), photograph)) / under.size**0.5
        for gain in _GAINS
    ]
    return _gain(changes, _GAINS, strength)


def _pane_gain(image: np.ndarray, reflection: np.ndarray, params: dict[str, Any]) -> float:
    """The largest factor, at most `exposure`, with which a pane changes the photograph by `strength`, clipped at 1."""
    under, over = _thinned(image, reflection, 64)
    if not over.any():
        return 1.0
    gains = _GAINS * params["exposure"]
    scene, light = (to_light(under), over) if params["in_light"] else (under, to_srgb(over))
    changes = []
    for gain in gains:
        mixture = _blended(scene, light * np.float32(gain if params["in_light"] else gain ** (1 / GAMMA)), params)
        seen = np.minimum(to_srgb(mixture) if params["in_light"] else mixture, np.float32(1))
        changes.append(float(cv2.norm(seen, under)) / under.size**0.5)
    return _gain(changes, gains, params["strength"])


def _thinned(background: np.ndarray, reflection: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Every n-th pixel of both, about `samples` along the short side."""
    step = max(1, min(background.shape[:2]) // samples)
    return np.ascontiguousarray(background[::step, ::step]), np.ascontiguousarray(reflection[::step, ::step])


def _gain(changes: list[float], gains: np.ndarray, strength: float) -> float:
    """The largest of the rising `gains`, or between them, whose change is `strength`.

    A faint reflection first makes up for the light that the glass takes from the background. If no factor brings the
    change down to `strength`, the result is the factor with the least change.
    """
    above = len(changes) - 1
    while above > 0 and changes[above] > strength and changes[above - 1] > strength:
        above -= 1
    if changes[-1] <= strength:
        return float(gains[-1])
    if above == 0:
        return float(gains[int(np.argmin(changes))])
    return float(np.exp(np.interp(strength, changes[above - 1 : above + 1], np.log(gains[above - 1 : above + 1]))))


def _reduced(size: tuple[int, int], most: int = 64) -> tuple[tuple[int, int], float]:
    """The size at which a blurred reflection is made, and its pixels for one pixel of the published frame.

    `most` limits how many times smaller than the frame that is.
    """
    factor = max(1, min(min(size) // _REDUCED, most))
    small = (-(-size[0] // factor), -(-size[1] // factor))
    return small, min(small) / FRAME


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    shrinks = size[0] < image.shape[0]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
