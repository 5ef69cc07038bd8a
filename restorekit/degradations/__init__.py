"""Degradations of clean photographs: numpy and OpenCV alone, every draw on record, every operator a pure function."""

from restorekit.degradations import composition, haze, holes, motion_blur, rain, raindrop, reflection
from restorekit.degradations.composition import Composition
from restorekit.degradations.haze import Haze
from restorekit.degradations.holes import Holes
from restorekit.degradations.motion_blur import MotionBlur
from restorekit.degradations.rain import Rain
from restorekit.degradations.raindrop import Raindrop
from restorekit.degradations.reflection import Reflection
from restorekit.degradations.scene import Degradation, Degraded, Scene
from restorekit.errors import unknown_name

__all__ = ["DEGRADATIONS", "Degradation", "Degraded", "Scene", "get_degradation", "kinds_of"]

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
    """The degradation behind a task; RestorekitError with the closest names for an unknown one."""
    if task not in DEGRADATIONS:
        raise unknown_name("task", task, DEGRADATIONS)
    return DEGRADATIONS[task]


_KINDS: dict[str, tuple[str, ...]] = {
    "reflection": reflection.KINDS,
    "rain": rain.KINDS,
    "haze": haze.KINDS,
    "raindrop": raindrop.KINDS,
    "motion_blur": motion_blur.KINDS,
    "inpainting": holes.KINDS,
    "mixed": composition.KINDS,
}


def kinds_of(task: str) -> tuple[str, ...]:
    """What `sample` takes as a kind of the task, beside "mixed": any of them."""
    get_degradation(task)
    return _KINDS[task]
