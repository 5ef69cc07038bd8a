"""What a degradation is given and what it gives back: arrays in, arrays out, and nothing that was given is changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from restorekit.errors import RestorekitError, unknown_name

VISIBLE = 0.04  # a change of ten 8-bit levels in some channel: the least that counts as degraded in a mask


@dataclass(frozen=True)
class Scene:
    """What a degradation is applied to.

    image: float32 (H, W, 3), sRGB in [0, 1], the clean photograph.
    disparity: float32 (H, W), larger = nearer, any positive scale, NaN or 0 where unknown.
    other: float32 (H', W', 3), sRGB in [0, 1], the photograph that is reflected; only reflection needs it.
    holes: bool (H, W), a mask of the user's; only holes of the kind "files" need it.
    """

    image: np.ndarray
    disparity: np.ndarray | None = None
    other: np.ndarray | None = None
    holes: np.ndarray | None = None


@dataclass(frozen=True)
class Degraded:
    """A degraded photograph with its target and what was done to it.

    degraded: float32 (H, W, 3), sRGB, not clipped: the writer clips to 8 bits.
    clean: float32 (H, W, 3), the target.
    noise_layer: float32 (H, W, 3), what the operator superimposed, not clipped; None for holes.
    mask: float32 (H, W), 1 = degraded or missing.
    transmission: float32 (H, W) in (0, 1], haze only.
    """

    degraded: np.ndarray
    clean: np.ndarray
    noise_layer: np.ndarray | None
    mask: np.ndarray | None
    transmission: np.ndarray | None


class Degradation(Protocol):
    """An operator and the sampler of its parameters.

    `sample` draws a JSON-able record for a frame of `size` (H, W) pixels and a severity in [0, 1]; what it draws does
    not depend on the severity, so that one generator seed and a rising severity give one scene, ever stronger. `apply`
    is a pure function of the scene and the record. Both raise RestorekitError where the request is impossible.
    """

    name: str
    needs_other: bool

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]: ...

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded: ...


def check_scene(scene: Scene, params: dict[str, Any]) -> tuple[int, int]:
    """The frame's (H, W), once the scene is known to be what `params` was drawn for; else a RestorekitError."""
    image = scene.image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.float32:
        raise RestorekitError(f"a scene's image is float32 (H, W, 3); found {image.dtype} {image.shape}")
    height, width = image.shape[:2]
    if [height, width] != list(params["size"]):
        raise RestorekitError(
            f"the record was drawn for a frame of {params['size'][0]} x {params['size'][1]} pixels, the photograph has "
            f"{height} x {width}: resize it, or draw a record for its size"
        )
    if scene.disparity is not None and scene.disparity.shape != (height, width):
        raise RestorekitError(f"disparity {scene.disparity.shape} must have the image's size {(height, width)}")
    return height, width


def visible_mask(change: np.ndarray, threshold: float = VISIBLE) -> np.ndarray:
    """1 where some channel of `change`, float32 (H, W, 3), is above the threshold in magnitude; float32 (H, W)."""
    limit = (float(np.float32(threshold)),) * 3
    below = cv2.inRange(change, tuple(-one for one in limit), limit)
    return cv2.threshold(below, 0, 1, cv2.THRESH_BINARY_INV)[1].astype(np.float32)


def new_record(
    rng: np.random.Generator, task: str, kinds: Sequence[str], size: tuple[int, int], severity: float, kind: str
) -> dict[str, Any]:
    """The part of a record that all tasks share; "mixed" becomes one of `kinds`. Raises RestorekitError.

    `size` is (H, W) in pixels and `severity` in [0, 1]. `seed` names the generators that `apply` makes for itself.
    """
    height, width = (int(side) for side in size)
    if height < 1 or width < 1:
        raise RestorekitError(f"a frame has at least 1 x 1 pixels, found {height} x {width}")
    if not 0.0 <= severity <= 1.0:
        raise RestorekitError(f"severity {severity:g} must lie in [0, 1]")
    if kind != "mixed" and kind not in kinds:
        raise unknown_name(f"kind of {task}", kind, [*kinds, "mixed"])
    drawn = kinds[int(rng.integers(len(kinds)))]  # drawn in any case, so that a fixed kind shifts nothing after it
    return {
        "task": task,
        "kind": drawn if kind == "mixed" else kind,
        "severity": float(severity),
        "size": [height, width],
        "seed": int(rng.integers(2**32)),
    }


def uniform(rng: np.random.Generator, span: tuple[float, float]) -> float:
    """One Python float between the two ends of `span`."""
    return float(rng.uniform(*span))


def between(span: tuple[float, float], share: float) -> float:
    """The value at `share` of the way from span[0] to span[1]."""
    return float(span[0] + (span[1] - span[0]) * share)
