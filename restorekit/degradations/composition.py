"""Several degradations on one photograph, in the order in which light meets them, each with its own record.

Haze and then rain lie in the air, and drops on the glass come after them. The exposure blurs the scene and the rain in
it, but not the glass, which moves with the camera. The target is the clean photograph; the mask joins those of the
parts.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from restorekit.degradations.scene import Degradation, Degraded, Scene, check_scene, new_record, uniform

# Kind: the parts in order, (task, its kind).
MIXTURES: dict[str, tuple[tuple[str, str], ...]] = {
    "haze+rain": (("haze", "mixed"), ("rain", "light")),
    "rain+raindrop": (("rain", "light"), ("raindrop", "mixed")),
    "rain+motion_blur": (("rain", "light"), ("motion_blur", "shake")),
    "haze+motion_blur": (("haze", "mixed"), ("motion_blur", "mixed")),
    "motion_blur+raindrop": (("motion_blur", "mixed"), ("raindrop", "mixed")),
    "haze+rain+raindrop": (("haze", "uniform"), ("rain", "light"), ("raindrop", "mixed")),
}
KINDS = tuple(MIXTURES)
SHARE = (0.5, 0.9)  # severity of a part, as a share of the mixture's


class Composition:
    """The task "mixed": a kind names its parts in their order, such as "haze+rain"."""

    name = "mixed"
    needs_other = False

    def __init__(self, parts: Mapping[str, Degradation]) -> None:
        """`parts`: the degradations that the mixtures are made of, by task."""
        self._parts = parts

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]:
        params = new_record(rng, self.name, KINDS, size, severity, kind)
        parts = []
        for task, part_kind in MIXTURES[params["kind"]]:
            share = uniform(rng, SHARE)
            own = np.random.default_rng(int(rng.integers(2**63)))  # so that no part shifts another part's draws
            parts.append(self._parts[task].sample(own, size, severity * share, part_kind))
        return {**params, "parts": parts}

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded:
        size = check_scene(scene, params)
        image, transmission = scene.image, None
        mask = np.zeros(size, np.float32)
        for part in params["parts"]:
            # Clipped, because a sensor sees no light below black or above white.
            made = self._parts[part["task"]].apply(Scene(np.clip(image, 0.0, 1.0), scene.disparity), part)
            image = made.degraded
            if made.mask is not None:
                np.maximum(mask, made.mask, out=mask)
            if made.transmission is not None:
                transmission = made.transmission
        return Degraded(image, scene.image, image - scene.image, mask, transmission)
