"""The input and the output of a degradation, and the record of its draws; no operator changes its input.

Records are complete and hold plain JSON values, drawn the same way for every severity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from restorekit.errors import RestorekitError, unknown_name

VISIBLE = 0.04  # ten 8-bit levels in some channel: the least change of a degraded pixel in a mask


@dataclass(frozen=True)
class Scene:
    """The input of a degradation.

    image: float32 (H, W, 3), sRGB in [0, 1], the clean photograph.
    disparity: float32 (H, W), larger = nearer, any positive scale, NaN or 0 where unknown.
    other: float32 (H', W', 3), sRGB in [0, 1], the reflected photograph, for reflection only.
    holes: bool (H, W), a user's mask, for holes of the kind "files" only.
    """

    image: np.ndarray
    disparity: np.ndarray | None = None
    other: np.ndarray | None = None
    holes: np.ndarray | None = None


@dataclass(frozen=True)
class Degraded:
    """A degraded photograph with its target and the layers of its change.

    degraded: float32 (H, W, 3), sRGB, not clipped: the writer clips to 8 bits.
    clean: float32 (H, W, 3), the target.
    noise_layer: float32 (H, W, 3), the superimposed layer, not clipped; None for holes.
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

    `sample` draws a record of JSON values for a frame of `size` (H, W) pixels and a severity in [0, 1]. Its draws do
    not depend on the severity, so that one generator seed and a rising severity give one scene, ever stronger.
    `apply` is a pure function of the scene and the record. Both raise a RestorekitError where the request is
    impossible.
    """

    name: str
    needs_other: bool

    def sample(self, rng: np.random.Generator, size: tuple[int, int], severity: float, kind: str) -> dict[str, Any]: ...

    def apply(self, scene: Scene, params: dict[str, Any]) -> Degraded: ...


def check_scene(scene: Scene, params: dict[str, Any]) -> tuple[int, int]:
    """The frame's (H, W), if the scene has the size that `params` was drawn for; else a RestorekitError."""
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


def undegraded(scene: Scene) -> Degraded:
    """The scene without a degradation: input and target are equal, the layer and the mask empty."""
    nothing, still = np.zeros_like(scene.image), np.zeros(scene.image.shape[:2], np.float32)
    return Degraded(scene.image.copy(), scene.image, nothing, still, np.ones_like(still))


def visible_mask(change: np.ndarray, threshold: float = VISIBLE) -> np.ndarray:
    """float32 (H, W): 1 where a channel of `change`, float32 (H, W, 3), exceeds the threshold in magnitude."""
    limit = (float(np.float32(threshold)),) * 3
    below = cv2.inRange(change, tuple(-one for one in limit), limit)
    return cv2.threshold(below, 0, 1, cv2.THRESH_BINARY_INV)[1].astype(np.float32)


def new_record(
    rng: np.random.Generator, task: str, kinds: Sequence[str], size: tuple[int, int], severity: float, kind: str
) -> dict[str, Any]:
    """The part of a record that all tasks share, with "mixed" replaced by one of `kinds`; raises a RestorekitError.

    `size` is (H, W) in pixels, `severity` lies in [0, 1]. `apply` makes its own generators from the record's `seed`.
    """
    height, width = (int(side) for side in size)
    if height < 1 or width < 1:
        raise RestorekitError(f"a frame has at least 1 x 1 pixels, found {height} x {width}")
    if not 0.0 <= severity <= 1.0:
        raise RestorekitError(f"severity {severity:g} must lie in [0, 1]")
    if kind != "mixed" and kind not in kinds:
        raise unknown_name(f"kind of {task}", kind, [*kinds, "mixed"])
    drawn = kinds[int(rng.integers(len(kinds)))]  # drawn always, so that a fixed kind does not shift later draws
    return {
        "task": task,
        "kind": drawn if kind == "mixed" else kind,
        "severity": float(severity),
        "size": [height, width],
        "seed": int(rng.integers(2**32)),
    }


def uniform(rng: np.random.Generator, span: tuple[float, float]) -> float:
    """A Python float, drawn between the two ends of `span`."""
    return float(rng.uniform(*span))


def log_uniform(rng: np.random.Generator, span: tuple[float, float]) -> float:
    """A Python float, drawn between the two ends of `span`, both above 0, on a log scale."""
    return float(span[0] * (span[1] / span[0]) ** rng.random())


def between(span: tuple[float, float], share: float) -> float:
    """The value at `share` of the way from span[0] to span[1]."""
    return float(span[0] + (span[1] - span[0]) * share)
