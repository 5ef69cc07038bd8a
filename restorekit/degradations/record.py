"""What every record of a degradation holds: plain JSON values, complete, and drawn the same way for every severity."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from restorekit.errors import RestorekitError, unknown_name


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
