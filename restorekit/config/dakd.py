"""Settings of DAKD's runs: the networks' options, the objective's weights, and checks of combinations."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictBool, StrictInt, model_validator

from restorekit.config.run import Run, TrainConfig
from restorekit.config.strict import Count, Positive, Strict
from restorekit.tasks import tasks_of

MIN_SIZE = 4  # pixels a side: fewer cannot be reflected up to a multiple of 4
TASKS = tasks_of("dakd")


class DakdOptions(Strict):
    """Options of `create_model("dakd")`; without any, the default design of dakd.md section 4."""

    width: Annotated[StrictInt, Field(ge=1)] = 32  # channels at full resolution, and growth of the dense blocks
    # A pixel counts as degraded if a channel differs by more than tau (dakd.md 3); 5 to 35 % of the pixels should. The
    # networks do not use tau: the option records the meaning of a mask together with the weights.
    tau: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    gates: Literal["guided", "none"] = "guided"  # ablation: no gated convolutions
    context: StrictBool = True  # ablation: no global context
    mask_input: StrictBool = False  # ablation: the mask as a fourth channel of the student's input
    fusion: StrictBool = False  # ablation: the teacher's features are added to the student's at run time
    init: Literal["framework", "he"] = "framework"  # he: 3x3 convolutions drawn for ReLU, for short trainings
    zero_last: StrictBool = False  # training starts from restored = input: for short trainings
    # Slope below 0 of the activations that are ReLU in dakd.md. In short trainings with little gain at first, as on
    # motion blur, whole layers of ReLU die.
    negative_slope: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class DakdObjective(Strict):
    """Weights of DAKD's losses, and the length of the first phase, in which the teacher learns (dakd.md 5 and 6)."""

    localise_steps: Count  # maximum of the first phase, which ends early when the mask's F1 stops rising
    patience: Count = 3  # validations without a rise of F1 that end the first phase
    white_weight: Positive = 1.0  # weight of a degraded pixel in the mask's cross-entropy
    pixel: Literal["l1", "huber", "psnr"] = "l1"
    huber_delta: Positive = 0.1  # where huber turns from square to absolute, on the scale of [0, 1]
    distillation: Annotated[float, Field(ge=0.0)] = 0.1
    attentive: StrictBool = True  # distillation weighted by the teacher's attention
    # The student starts with the weights of the teacher's encoder. On motion blur the gain was +0.54 dB instead of
    # +0.49 (one training of 500 steps each, 80 validation images).
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

    renamed_options: ClassVar[Mapping[str, str]] = {"leak": "negative_slope"}

    model: Literal["dakd"]
    options: DakdOptions
    objective: DakdObjective

    @classmethod
    def former_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"recompute": options.get("recompute", False)}  # recompute changed only the memory of a training

    def problems(self, dataset: str, task: str, training: TrainConfig) -> dict[str, bool]:
        return {
            f"dakd is for {', '.join(TASKS)}; '{dataset}' is for {task}": task not in TASKS,
            f"localise_steps {self.objective.localise_steps} leaves none of {training.steps} steps to restore": (
                self.objective.localise_steps >= training.steps
            ),
        }


RUN = DakdRun
