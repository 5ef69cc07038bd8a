"""The table of tasks: the degradation of each, the images of its samples, and the models that restore it.

Every other list of tasks, kinds, members or models is derived from the table here.
"""

from dataclasses import dataclass
from types import MappingProxyType

from restorekit.errors import unknown_name

MIXED = "mixed"  # the kind that draws one of a task's kinds for every sample
FILES = "files"  # the kind of a task that takes its masks from the user's files


@dataclass(frozen=True)
class Task:
    """One degradation that models are trained to undo."""

    says: str  # for the sentence "photographs degraded by ..."
    kinds: tuple[str, ...]  # the kinds that the operator can draw, in the order of its draws
    default: str = MIXED  # the kind of a data set without one in its parameters
    models: tuple[str, ...] = ()  # the networks that are trained on the task
    members: tuple[str, ...] = ()  # images of a sample besides the pair; others are rebuilt from the record
    real: bool = True  # whether params.yaml can name photographed pairs of the task
    frames: bool = False  # whether its data sets can be frames of one size, with real pairs among them
    takes_mask: bool = False  # whether a model is given the mask: real sets need one, and files of masks can be used
    detected: bool = True  # whether the detector looks for it on photographs

    @property
    def choices(self) -> tuple[str, ...]:
        """The kinds that a data set can name."""
        return (*self.kinds, MIXED, *((FILES,) if self.takes_mask else ()))


TASKS = MappingProxyType(
    {
        "reflection": Task(
            "reflections", ("s1", "s2", "glass", "sum", "screen"), models=("dmgn", "glsgn"), members=("layer",),
            frames=True,
        ),
        "rain": Task(
            "rain", ("light", "heavy", "dense"), default="light", models=("dmgn", "glsgn", "dakd"), frames=True
        ),
        "haze": Task(
            "haze", ("uniform", "varying", "patches"), default="uniform", models=("dmgn", "glsgn", "dakd"),
            members=("transmission",), frames=True,
        ),
        "raindrop": Task(
            "raindrops", ("soft", "crisp", "beads", "running"), models=("glsgn", "dakd"), members=("mask",)
        ),
        "motion_blur": Task(
            "motion blur", ("shake", "kernel", "layers", "regions"), models=("glsgn", "dakd"), members=("mask",)
        ),
        "inpainting": Task(
            "holes", ("strokes", "blobs", "boxes", "borders"), models=("madf",), members=("mask",), takes_mask=True,
            detected=False,
        ),
        # Several degradations on every photograph, unknown to the model: degradations/composition.py.
        "mixed": Task(
            "several of them",
            (
                "haze+rain", "rain+raindrop", "rain+motion_blur", "haze+motion_blur", "motion_blur+raindrop",
                "haze+rain+raindrop",
            ),
            members=("mask",), real=False, detected=False,
        ),
    }
)  # fmt: skip

MODELS = tuple(sorted({model for task in TASKS.values() for model in task.models}))
REAL_TASKS = tuple(name for name, task in TASKS.items() if task.real)
DETECTED = tuple(name for name, task in TASKS.items() if task.detected)
MEMBERS = frozenset(member for task in TASKS.values() for member in task.members)


def get_task(name: str) -> Task:
    """The task `name`; RestorekitError with the closest names for an unknown name."""
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]


def tasks_of(model: str) -> tuple[str, ...]:
    """The tasks that `model` is trained on, in the order of the table."""
    if model not in MODELS:
        raise unknown_name("model", model, MODELS)
    return tuple(name for name, task in TASKS.items() if model in task.models)


def labels_of_task(task: str) -> tuple[str, ...]:
    """What the detector can learn from samples of `task`, in the table's order; for "mixed" what its mixtures hold."""
    parts = {part for kind in get_task(task).kinds for part in kind.split("+")} | {task}
    return tuple(name for name in DETECTED if name in parts)


def degradations_in_words() -> str:
    """The single degradations as a sentence lists them: "reflections, rain, ... or holes"."""
    words = [TASKS[name].says for name in REAL_TASKS]
    return f"{', '.join(words[:-1])} or {words[-1]}"
