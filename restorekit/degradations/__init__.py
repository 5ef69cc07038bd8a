"""Degradations of clean photographs, in numpy and OpenCV: records hold every draw, operators are pure functions."""

from restorekit.degradations.composition import Composition
from restorekit.degradations.haze import Haze
from restorekit.degradations.holes import Holes
from restorekit.degradations.motion_blur import MotionBlur
from restorekit.degradations.rain import Rain
from restorekit.degradations.raindrop import Raindrop
from restorekit.degradations.reflection import Reflection
from restorekit.degradations.scene import Degradation, Degraded, Scene
from restorekit.errors import unknown_name

__all__ = ["DEGRADATIONS", "Degradation", "Degraded", "Scene", "get_degradation"]

_SINGLE: dict[str, Degradation] = {
    "reflection": Reflection(),
    "rain": Rain(),
    "haze": Haze(),
    "raindrop": Raindrop(),
    "motion_blur": MotionBlur(),
    "inpainting": Holes(),
}
DEGRADATIONS: dict[str, Degradation] = {**_SINGLE, "mixed": Composition(_SINGLE)}


def get_degradation(task: str) -> Degradation:
    """The degradation of a task; a RestorekitError with the closest names for an unknown task."""
    if task not in DEGRADATIONS:
        raise unknown_name("task", task, DEGRADATIONS)
    return DEGRADATIONS[task]
