"""Rain as cameras see it and as data sets draw it: streaks in several layers, and a veil in heavy rain.

A streak is a falling drop, smeared by the exposure. Over a background of brightness I_b it changes the photograph by
a - b I_b (Garg and Nayar, IJCV 2007): the drop shows much of the sky, and hides the background for a part of the
exposure. With tau the sum of all streaks over a pixel and s = 1 - exp(-tau), degraded = base + s (light - opacity
base), where base is the photograph behind the veil, I (1 - v) + light_veil v. Opacity 0 adds the streaks, opacity 1
with white light is the screen blend.

A network that is trained on one way of drawing learns to find that way, and leaves the rain of others where it is. So
the size of the streaks against the frame, their drawing, ends and brightness, the number of layers and directions, and
the composition are drawn for every frame.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from restorekit.degradations.depth import draw_depth, scene_depth
from restorekit.degradations.fields import smooth_field
from restorekit.degradations.haze import scattered
from restorekit.degradations.scene import Degraded, Scene, between, check_scene, log_uniform, new_record, uniform
from restorekit.degradations.streaks import draw_streaks
from restorekit.rng import rng_for
from restorekit.tasks import TASKS

KINDS = TASKS["rain"].kinds


@dataclass(frozen=True)
class LayerRange:
    """The ranges that one depth layer is drawn from, with lengths in fractions of the short side."""

    density: tuple[float, float]  # streaks on a square of the short side, at severity 0 and at 1
    tau: tuple[float, float]  # optical depth of a bright streak's middle, at severity 0 and at 1
    length: tuple[float, float]
    width: tuple[float, float]  # standard deviation of the streak's cross section
    defocus: tuple[float, float]  # standard deviation of the added blur, which widens and dims


# From far to near, at scale 1.
LAYERS: dict[str, tuple[LayerRange, ...]] = {
    "light": (
        LayerRange((300, 600), (0.38, 0.70), (0.025, 0.06), (0.0009, 0.0017), (0.0000, 0.0010)),
        LayerRange((100, 200), (0.58, 1.05), (0.05, 0.14), (0.0014, 0.0030), (0.0000, 0.0014)),
        LayerRange((8, 16), (0.40, 0.75), (0.10, 0.26), (0.0025, 0.0050), (0.0000, 0.0070)),
    ),
    "heavy": (
        LayerRange((1150, 2600), (0.40, 0.90), (0.03, 0.09), (0.0009, 0.0017), (0.0000, 0.0010)),
        LayerRange((340, 700), (0.62, 1.30), (0.06, 0.18), (0.0014, 0.0030), (0.0000, 0.0014)),
        LayerRange((20, 45), (0.40, 0.80), (0.12, 0.34), (0.0025, 0.0055), (0.0000, 0.0080)),
    ),
    "dense": (
        LayerRange((800, 1700), (0.85, 1.85), (0.05, 0.12), (0.0012, 0.0022), (0.0000, 0.0010)),
        LayerRange((320, 680), (1.15, 2.50), (0.10, 0.26), (0.0020, 0.0040), (0.0000, 0.0014)),
        LayerRange((25, 55), (0.70, 1.40), (0.16, 0.45), (0.0030, 0.0065), (0.0000, 0.0060)),
    ),
}  # fmt: skip
STRONG = {"light": (0.5, 2.0), "heavy": (0.65, 1.5), "dense": (0.65, 1.5)}  # a factor on tau, drawn on a log scale
SCALE = (0.55, 2.4)  # a factor on all lengths, drawn on a log scale: the size of the rain against the frame
# Noise: standard deviations above its mean from which on it shows, from much to little of the frame.
CUT = {"light": (2.0, 1.2), "heavy": (1.2, 0.3), "dense": (0.8, -0.2)}
NOISE_TAU = {"light": (0.38, 0.95), "heavy": (0.5, 1.4), "dense": (0.9, 2.4)}  # over severity
# The ways to put streaks of light L and cover s over a background B, each with its share of the frames.
COMPOSITIONS = {
    "covering": 0.35,  # B + s (L - opacity B): Garg and Nayar's drop, which hides the background for a part of the time
    "added": 0.3,  # B + s L, cut off at white: Rain100L and Rain100H
    "screen": 0.2,  # B + s (1 - B)
    "blended": 0.15,  # B + s (L - B) with a darker L, which darkens a bright sky
}
MIX = ("light", "light", "dense", "heavy")  # the kinds that "mixed" draws, half of them light
COVERED = 0.05  # least share of streaks in a pixel of the mask
# Optical depth of the rain up to depth 1, over severity.
VEIL = {"light": (0.0, 0.0), "heavy": (0.2, 1.0), "dense": (0.0, 0.0)}


class Rain:
    """kind "light": streaks only, near Rain100L; "heavy": many streaks and a veil, near HeavyRain; "dense": bright
    streaks all over the frame and no veil, near Rain100H. "mixed" draws light rain for every second frame.
    """

    name = "rain"
    needs_other = False

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        drawn = MIX[int(rng.integers(len(MIX)))]
        if kind == "mixed":
            params["kind"] = drawn
        kind = params["kind"]
        fall, crossing = _angle(rng, 16.0), rng.random() < 0.25
        strong, scale = log_uniform(rng, STRONG[kind]), log_uniform(rng, SCALE)
        noisy = (0.0, 0.35, 1.0)[int(rng.choice(3, p=(0.4, 0.35, 0.25)))]  # probability of a layer to be of noise
        number = int(rng.choice((1, 2, 3), p=(0.15, 0.2, 0.65)))
        cover = {1: 2.2, 2: 1.4, 3: 1.0}[number] if kind != "light" else 1.0  # fewer layers, more streaks in each
        layers = []
        for layer in LAYERS[kind]:
            angle = _angle(rng, 22.0) if crossing else fall
            layers.append(_draw_layer(rng, layer, severity, kind, angle, strong, (scale, cover / scale**2), noisy))
        kept = sorted(int(which) for which in rng.permutation(3)[:number])
        return {
            **params,
            "layers": [layers[which] for which in kept],
            "fan": uniform(rng, (-6.0, 6.0)),  # degrees of direction from the left border to the right one
            **_draw_composition(rng),
            "veil": between(VEIL[kind], severity),
            "veil_light": uniform(rng, (0.6, 0.95)),
            "depth": draw_depth(rng),
        }

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded:
        size = check_scene(scene, params)
        tau = np.zeros(size, np.float32)
        for layer in params["layers"]:
            tau += draw_streaks(size, layer, params["fan"])
        share = 1 - cv2.exp(-tau)
        base = _veiled(scene, params) if params["veil"] else scene.image
        # (light - opacity base) times share.
        streaks = cv2.subtract(np.array([*params["light"], 0.0]), base * np.float32(params["opacity"]))
        cv2.multiply(streaks, cv2.cvtColor(share, cv2.COLOR_GRAY2RGB), streaks)
        degraded = cv2.add(base, streaks, streaks)
        mask = (share > COVERED).astype(np.float32)
        return Degraded(degraded, scene.image, degraded - scene.image, mask, None)


def _angle(rng: np.random.Generator, deviation: float) -> float:
    """Degrees from the vertical, positive to the right."""
    return float(np.clip(rng.normal(0.0, deviation), -45.0, 45.0))


def _draw_layer(
    rng: np.random.Generator, layer: LayerRange, severity: float, kind: str, angle: float, strong: float,
    factors: tuple[float, float], noisy: float,
) -> dict[str, Any]:  # fmt: skip
    """The record of a layer of drops or of noise; both are drawn, so that the drawing shifts no later draws.

    factors: of the lengths, and of the density.
    """
    scale, crowd = factors
    placed = {
        "length": uniform(rng, layer.length) * scale,
        "width": uniform(rng, layer.width) * scale,
        "defocus": uniform(rng, layer.defocus) * scale,
        "angle": angle + uniform(rng, (-2.0, 2.0)),
        "seed": int(rng.integers(2**32)),
    }
    drops = {
        "drawing": "drops",
        "density": between(layer.density, severity) * log_uniform(rng, (0.6, 1.6)) * crowd,
        "tau": between(layer.tau, severity) * strong,
        "spread": uniform(rng, (0.0, 3.0)),
        "beads": uniform(rng, (0.0, 0.8)),
        "ends": uniform(rng, (0.02, 0.45)),
        "taper": uniform(rng, (-0.8, 0.8)),
        "flat": bool(rng.random() < 0.4),
    }
    noise = {
        "drawing": "noise",
        "tau": between(NOISE_TAU[kind], severity) * strong,
        "share": log_uniform(rng, (0.02, 0.5)),
        "cut": between(CUT[kind], float(rng.random())),
        "uneven": uniform(rng, (0.0, 0.5)),
    }
    return {**placed, **(noise if rng.random() < noisy else drops)}


def _draw_composition(rng: np.random.Generator) -> dict[str, Any]:
    """light: sRGB of the streaks; opacity: the share of the background that they hide."""
    how = str(rng.choice(list(COMPOSITIONS), p=list(COMPOSITIONS.values())))
    grey, blue = float(rng.random()), uniform(rng, (-0.01, 0.04))
    opacity = uniform(rng, (0.5, 0.9))
    spans = {"covering": (0.85, 1.0), "added": (0.5, 0.9), "screen": (1.0, 1.0), "blended": (0.55, 0.95)}
    light = between(spans[how], grey)
    blue *= how != "screen"
    return {
        "composition": how,
        "light": [light - blue, light - blue / 2, light],
        "opacity": {"covering": opacity, "added": 0.0, "screen": 1.0, "blended": 1.0}[how],
    }


def _veiled(scene: Scene, params: dict[str, Any]) -> np.ndarray:
    """The photograph behind rain too far away to show single streaks: scattering grows with depth, in sheets."""
    size = (scene.image.shape[0], scene.image.shape[1])
    depth = scene_depth(scene, params["depth"])
    depth *= np.float32(-params["veil"]) * np.maximum(1 + np.float32(0.2) * _sheets(size, params), 0.0)
    return scattered(scene.image, [light * params["veil_light"] for light in params["light"]], cv2.exp(depth))


def _sheets(size: tuple[int, int], params: dict[str, Any]) -> np.ndarray:
    """Density of the rain, float32 (H, W) of standard deviation 1, in sheets along the direction of its fall."""
    slope = float(np.tan(np.radians(params["layers"][0]["angle"])))
    shift = slope * (size[0] - 1)
    wide = smooth_field(
        rng_for(params["seed"], "sheets"), (size[0], size[1] + int(np.ceil(abs(shift)))), (0.25, 0.03), 2
    )
    sheared = np.array([[1.0, -slope, max(shift, 0.0)], [0.0, 1.0, 0.0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(wide, sheared, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
