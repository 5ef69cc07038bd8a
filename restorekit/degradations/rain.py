"""Rain as a camera sees it: semi-transparent streaks in several depth layers, and a veil in heavy rain.

A streak is a falling drop, smeared by the exposure. Over a background of brightness I_b it changes the photograph by
a - b I_b (Garg and Nayar, IJCV 2007): the drop shows much of the sky, and hides the background for a part of the
exposure. With tau the sum of all streaks over a pixel and s = 1 - exp(-tau), degraded = base + s (light - opacity
base), where base is the photograph behind the veil, I (1 - v) + light_veil v.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from restorekit.degradations.depth import draw_depth, scene_depth
from restorekit.degradations.fields import smooth_field
from restorekit.degradations.haze import scattered
from restorekit.degradations.scene import Degraded, Scene, between, check_scene, new_record, uniform
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


# From far to near. On 24 photographs of BSDS, severity 0.2 to 0.8 gives a median input PSNR of 28 to 24 dB (light), 18
# to 13 (heavy) and 16 to 11 (dense); 20 pairs each of Rain100L and Rain100H have 25 and 11.
LAYERS: dict[str, tuple[LayerRange, ...]] = {
    "light": (
        LayerRange((340, 600), (0.38, 0.70), (0.03, 0.05), (0.0010, 0.0015), (0.0000, 0.0008)),
        LayerRange((120, 200), (0.58, 1.05), (0.07, 0.12), (0.0017, 0.0026), (0.0000, 0.0010)),
        LayerRange((8, 16), (0.40, 0.75), (0.12, 0.22), (0.0030, 0.0045), (0.0030, 0.0070)),
    ),
    "heavy": (
        LayerRange((1000, 2200), (0.35, 0.75), (0.04, 0.07), (0.0011, 0.0015), (0.0000, 0.0008)),
        LayerRange((300, 600), (0.55, 1.10), (0.08, 0.15), (0.0016, 0.0026), (0.0000, 0.0012)),
        LayerRange((20, 45), (0.40, 0.80), (0.14, 0.30), (0.0030, 0.0050), (0.0030, 0.0080)),
    ),
    "dense": (
        LayerRange((650, 1250), (0.70, 1.50), (0.06, 0.10), (0.0014, 0.0020), (0.0000, 0.0008)),
        LayerRange((260, 520), (0.95, 2.05), (0.12, 0.22), (0.0024, 0.0036), (0.0000, 0.0012)),
        LayerRange((20, 45), (0.60, 1.20), (0.20, 0.40), (0.0040, 0.0060), (0.0020, 0.0060)),
    ),
}  # fmt: skip
STRONG = {"light": (0.55, 1.8), "heavy": (0.8, 1.25), "dense": (0.8, 1.25)}  # a factor on tau, drawn on a log scale
COVERED = 0.05  # least share of streaks in a pixel of the mask
# Optical depth of the rain up to depth 1, over severity.
VEIL = {"light": (0.0, 0.0), "heavy": (0.2, 1.0), "dense": (0.0, 0.0)}


class Rain:
    """kind "light": streaks only, near Rain100L; "heavy": many streaks and a veil, near HeavyRain; "dense": bright
    streaks all over the frame and no veil, near Rain100H."""

    name = "rain"
    needs_other = False

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        angle = float(np.clip(rng.normal(0.0, 14.0), -35.0, 35.0))
        light = uniform(rng, (0.88, 1.0))
        blue = uniform(rng, (0.0, 0.03))
        low, high = STRONG[params["kind"]]
        strong = low * (high / low) ** float(rng.random())
        layers = []
        for layer in LAYERS[params["kind"]]:
            much = uniform(rng, (0.85, 1.15))
            layers.append(
                {
                    "density": between(layer.density, severity) * much,
                    "tau": between(layer.tau, severity) * strong,
                    "length": uniform(rng, layer.length),
                    "width": uniform(rng, layer.width),
                    "defocus": uniform(rng, layer.defocus),
                    "angle": angle + uniform(rng, (-2.0, 2.0)),  # degrees from the vertical, positive to the right
                    "spread": uniform(rng, (0.5, 2.5)),  # degrees, standard deviation
                    "beads": uniform(rng, (0.0, 0.4)),  # modulation of the streaks by the drops' oscillation
                    "seed": int(rng.integers(2**32)),
                }
            )
        return {
            **params,
            "layers": layers,
            "fan": uniform(rng, (-6.0, 6.0)),  # degrees of direction from the left border to the right one
            "light": [light - blue, light - blue / 2, light],  # sRGB of a drop
            "opacity": uniform(rng, (0.6, 0.9)),
            "veil": between(VEIL[params["kind"]], severity),
            "veil_light": uniform(rng, (0.7, 0.9)),
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
