"""Settings of DAKD's runs."""

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from restorekit.config.run import Run, TrainConfig
from restorekit.config.strict import Count, Positive, Strict

TASKS = ("rain", "haze", "raindrop", "motion_blur")


class DakdOptions(Strict):
    """Options of `create_model("dakd")`; see restorekit/models/dakd/network.py."""

    width: Annotated[StrictInt, Field(ge=1)] = 32
    tau: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1  # above it a pixel counts as degraded; 5 to 35 % should be
    gates: Literal["guided", "plain", "hard", "none"] = "guided"  # all but the first are ablations
    context: StrictBool = True
    mask_input: StrictBool = False  # ablation: the mask as a fourth channel of the student's input
    fusion: StrictBool = False  # ablation: the teacher's features go into the student's at run time
    init: Literal["framework", "he"] = "framework"  # he: drawn for ReLU; for short trainings
    zero_last: StrictBool = False  # start from restored = input; for short trainings
    leak: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # slope of ReLU below 0; for short trainings, where layers die
    recompute: StrictBool = False  # activations again in the backward pass: less memory, more time


class DakdObjective(Strict):
    """Weights of DAKD's losses and the length of its first phase; see restorekit/objectives/dakd.py."""

    localise_steps: Count  # of the first phase, at most; it ends early when the mask's F1 stands still
    patience: Count = 3  # validations without a rise of F1 that are a standstill
    white_weight: Positive = 1.0  # of a degraded pixel in the mask's cross-entropy
    dice: Annotated[float, Field(ge=0.0)] = 0.5  # for images of which less than a tenth is degraded
    pixel: Literal["l1", "huber"] = "l1"
    huber_delta: Positive = 0.1  # where huber turns from square to absolute, on the scale of [0, 1]
    distillation: Annotated[float, Field(ge=0.0)] = 0.1
    attentive: StrictBool = True  # distillation weighted by the teacher's attention
    # The student begins with the weights of the teacher's encoder: against motion blur +0.54 dB where it had +0.49 (one
    # training of 500 steps each, 80 validation images).
    warm_start: StrictBool = False

    @model_validator(mode="after")
    def _possible(self) -> Self:
        changed = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        if "huber_delta" in changed and self.pixel != "huber":
            raise ValueError("huber_delta needs pixel: huber")
        if not self.attentive and not self.distillation:
            raise ValueError("attentive: false needs distillation above 0")
        return self


class DakdRun(Run):
    """A run of DAKD."""

    model: Literal["dakd"]
    options: DakdOptions
    objective: DakdObjective

    def problems(self, task: str, training: TrainConfig) -> dict[str, bool]:
        return {
            f"dakd is for {', '.join(TASKS)}; '{self.dataset}' is for {task}": task not in TASKS,
            f"localise_steps {self.objective.localise_steps} leaves none of {training.steps} steps to restore": (
                self.objective.localise_steps >= training.steps
            ),
        }


RUN = DakdRun
